"""One line of nova.conf, and what pip installs and removes."""

from __future__ import annotations

import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest
from nova import version
from nova.virt import driver as nova_driver
from nova.virt.libvirt import driver as libvirt_driver

from cfgdrive_virt.adapters.nova import releases
from cfgdrive_virt.adapters.nova.driver import LibvirtDriver

NAME = "cfgdrive_virt.LibvirtDriver"
ADAPTER = "cfgdrive_virt.adapters.nova.driver"
SITE = Path(sysconfig.get_path("purelib"))


def test_pip_puts_one_module_beside_nova_and_would_remove_it() -> None:
    (ours,) = metadata.distributions(name="cfgdrive_virt", path=[str(SITE)])
    beside = [
        str(path) for path in ours.files or () if path.parts[0] == "nova"
    ]
    assert [path for path in beside if "__pycache__" not in path] == [
        "nova/virt/cfgdrive_virt.py"
    ]
    assert (SITE / beside[0]).exists()


def test_nova_loads_it_by_its_name() -> None:
    driver = nova_driver.load_compute_driver(None, NAME)
    assert type(driver) is LibvirtDriver
    assert isinstance(driver, libvirt_driver.LibvirtDriver)


def test_this_nova_is_known() -> None:
    major = int(version.version_string().partition(".")[0])
    assert releases.OLDEST <= major <= releases.NEWEST


@pytest.mark.parametrize("found", ["28.3.1", "35.0.0", "36.0.0.0rc1", "dev"])
def test_another_nova_is_refused_at_start_up(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    found: str,
) -> None:
    numbers = tuple(map(int, found.split(".")[:2])) if found != "dev" else ()
    monkeypatch.setattr(releases, "_FOUND", found)
    monkeypatch.setattr(releases, "_NUMBERS", numbers)
    # As in a process that has just started.
    for module in ("nova.virt.cfgdrive_virt", ADAPTER):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(SystemExit) as caught:
        nova_driver.load_compute_driver(None, NAME)
    assert caught.value.code == 1
    assert ADAPTER not in sys.modules
    (told,) = [one for one in caplog.records if one.levelname == "CRITICAL"]
    assert told.getMessage() == (
        f"cfgdrive_virt supports nova 29 to 34, but this is nova {found}:"
        " install a cfgdrive_virt that supports it, or set [DEFAULT]"
        " compute_driver=libvirt.LibvirtDriver"
    )
