"""Names are loaded when they are used, and errors say what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

import cfgdrive_virt
from cfgdrive_virt import lazy

from .processes import python
from .samples import SAMPLE

LARGE = ("libvirt", "lxml", "oslo_config", "pycdlib", "yaml")


@pytest.mark.parametrize("name", ["ConfigDriveError", "ConfigDriveRequest"])
def test_errors_and_values_need_no_library(name: str) -> None:
    printed = python(
        f"import sys; from cfgdrive_virt import {name}; print(*sys.modules)"
    )
    assert not set(LARGE) & set(printed.split())


def test_a_name_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cfgdrive_virt.ConfigDriveRequest
    monkeypatch.setattr(lazy, "importlib", None)
    assert cfgdrive_virt.ConfigDriveRequest is found


def test_all_names_are_given_away_with_a_star() -> None:
    printed = python(
        "from cfgdrive_virt import *; print(Bond.__name__, Vlan.__name__)"
    )
    assert printed == "Bond Vlan\n"


def test_a_submodule_is_no_public_name() -> None:
    printed = python(
        "import cfgdrive_virt; print(hasattr(cfgdrive_virt, 'image'));"
        " from cfgdrive_virt import image; print(image.__name__)"
    )
    assert printed == "False\ncfgdrive_virt.image\n"


@pytest.mark.parametrize("library", ["lxml", "oslo_config", "pycdlib"])
def test_a_missing_library_is_named(library: str) -> None:
    printed = python(
        f"import sys; sys.modules['{library}'] = None\n"
        "try: from cfgdrive_virt import ConfigDriveDriver\n"
        "except ImportError as error: print(error.name)"
    )
    assert printed.partition(".")[0].strip() == library


#: A service's hooks, with all formats, after it has loaded the driver.
HOOKS = """
import dataclasses, sys
from oslo_config import cfg
from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.adapters.cli import instance_file

with open(sys.argv[1], "rb") as file:
    request = instance_file.load(file.read(), "")
conf = cfg.ConfigOpts()
conf(args=[], default_config_files=[], default_config_dirs=[])
driver = ConfigDriveDriver(conf)
conf.set_override("instances_path", sys.argv[2])
before = set(sys.modules)
for image_format in ("iso9660", "vfat"):
    conf.set_override("config_drive_format", image_format)
    driver.plan(request)
    driver.spawn(request)
    driver.status(request)
    driver.reboot(request)
    driver.rebuild(dataclasses.replace(request, name="other"))
    driver.recall(request.uuid)
    driver.destroy(request.uuid)
after = set(sys.modules) - before
print(*(name for name in after if not name.startswith("encodings.")))
"""


def test_no_hook_loads_a_module_when_it_is_first_called(
    tmp_path: Path,
) -> None:
    assert python(HOOKS, str(SAMPLE), str(tmp_path)) == "\n"
