"""Our options in a process that has nova's, and in its nova.conf."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import oracle
import pytest
from oracle import CONF
from oslo_config import cfg

from cfgdrive_virt.conf import list_opts, register_opts
from cfgdrive_virt.settings import read_settings

#: Defaults that are ours, by option: why.
OWN_DEFAULTS = {
    "state_path": "nova's is where its modules lie, and every distribution"
    " sets this one in its place",
    "instances_path": "it lies below state_path",
    "config_drive_format": "not set is a choice: the policy decides",
}

NOVA_CONF = """\
[DEFAULT]
instances_path = /srv/instances
force_config_drive = true
config_drive_format = iso9660
[api]
config_drive_skip_versions = 1.0 2009-04-04
dhcp_domain = example.org
vendordata_providers = DynamicJSON
vendordata_jsonfile_path = /etc/nova/vendor_data.json
[libvirt]
virt_type = qemu
images_type = rbd
disk_cachemodes = file=directsync,network=writeback
hw_disk_discard = unmap
hw_machine_type = x86_64=q35,aarch64=virt
disk_prefix = sd
"""

every_option_of_nova = pytest.mark.parametrize(
    ("group", "opt"),
    [
        pytest.param(group, opt, id=f"{group or 'DEFAULT'}-{opt.dest}")
        for group, opts in list_opts()
        if group != "cfgdrive_virt"
        for opt in opts
    ],
)


def in_group(conf: cfg.ConfigOpts, group: str | None) -> Any:
    return conf if group is None else conf[group]


def test_all_options_register_after_novas() -> None:
    register_opts(CONF)

    assert CONF.cfgdrive_virt.max_drive_size == 64


def test_registering_again_changes_nothing() -> None:
    register_opts(CONF)
    register_opts(CONF)

    assert CONF.cfgdrive_virt.max_drive_size == 64


@every_option_of_nova
def test_option_takes_the_values_that_novas_takes(
    group: str | None, opt: cfg.Opt
) -> None:
    registered = CONF if group is None else CONF._groups[group]

    novas = registered._opts[opt.dest]["opt"]

    assert type(novas) is type(opt)
    assert novas.type == opt.type


@every_option_of_nova
def test_option_has_novas_default(group: str | None, opt: cfg.Opt) -> None:
    own = cfg.ConfigOpts()
    register_opts(own)
    own([], default_config_files=[], default_config_dirs=[])

    ours = in_group(own, group)[opt.dest]
    novas = in_group(CONF, group)[opt.dest]

    if opt.dest in OWN_DEFAULTS:
        assert ours != novas
    else:
        assert ours == novas


def test_settings_are_what_nova_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(NOVA_CONF)
    oracle.load_options("--config-file", str(path))
    register_opts(CONF)

    settings = read_settings(CONF)

    assert settings.instances_path == Path("/srv/instances")
    assert settings.force_config_drive is True
    assert settings.config_drive_format == "iso9660"
    assert settings.skip_versions == {"1.0", "2009-04-04"}
    assert settings.dhcp_domain == "example.org"
    assert settings.vendordata_static is False
    assert settings.vendordata_jsonfile_path == "/etc/nova/vendor_data.json"
    assert settings.virt_type == "qemu"
    assert settings.images_type == "rbd"
    assert settings.cache_modes == {
        "file": "directsync",
        "network": "writeback",
    }
    assert settings.discard == "unmap"
    assert settings.machine_types == {"x86_64": "q35", "aarch64": "virt"}
    assert settings.disk_prefix == "sd"


def test_instances_path_is_novas_own_default() -> None:
    register_opts(CONF)

    assert read_settings(CONF).instances_path == Path(CONF.instances_path)


def test_novas_default_config_drive_format_counts_as_not_set() -> None:
    register_opts(CONF)

    assert CONF.config_drive_format == "iso9660"
    assert read_settings(CONF).config_drive_format is None


@pytest.mark.parametrize("value", ["iso9660", "vfat"])
def test_config_drive_format_of_a_nova_conf_counts_as_set(
    tmp_path: Path, value: str
) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(f"[DEFAULT]\nconfig_drive_format = {value}\n")
    oracle.load_options("--config-file", str(path))
    register_opts(CONF)

    assert read_settings(CONF).config_drive_format == value


def test_no_module_of_ours_imports_nova() -> None:
    # The adapters to libvirt and to a terminal have requirements of their own,
    # and what talks to Ceph needs the system's bindings.
    program = """
import importlib, pkgutil, sys
import cfgdrive_virt
for module in pkgutil.walk_packages(cfgdrive_virt.__path__, "cfgdrive_virt."):
    if not any(n in module.name for n in ("adapters", "ceph", "rbd_")):
        importlib.import_module(module.name)
        print(module.name)
assert importlib.util.find_spec("nova")
assert not [name for name in sys.modules if name.split(".")[0] == "nova"]
"""

    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
    )

    assert "cfgdrive_virt.store.file" in done.stdout.split()
