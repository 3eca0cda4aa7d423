"""An existing nova.conf works as it is."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from cfgdrive_virt.conf import GROUP, list_opts, register_opts
from cfgdrive_virt.exception import InvalidConfiguration
from cfgdrive_virt.model.drive import Monitor
from cfgdrive_virt.settings import read_settings

from .processes import python
from .samples import ROOT

Conf = Callable[..., cfg.ConfigOpts]


def settings(conf: cfg.ConfigOpts) -> Any:
    register_opts(conf)
    return read_settings(conf)


def test_without_a_word_novas_defaults_hold() -> None:
    made = cfg.ConfigOpts()
    made(args=[], default_config_files=[], default_config_dirs=[])
    found = settings(made)
    assert found.instances_path == Path("/var/lib/nova/instances")
    assert found.force_config_drive is False
    assert found.config_drive_format is None
    assert found.dhcp_domain == "novalocal"
    assert "2008-09-01" in found.skip_versions
    assert "2009-04-04" not in found.skip_versions
    assert found.vendordata_static is True
    assert found.vendordata_jsonfile_path is None
    assert (found.virt_type, found.images_type) == ("kvm", "default")
    assert (found.cache_modes, found.machine_types) == ({}, {})
    assert (found.discard, found.disk_prefix) == (None, None)
    assert found.max_drive_size == 64 * 1024 * 1024
    assert (found.live_migration, found.verify_drive) == ("auto", False)
    assert found.instances_path_shared is None
    assert found.one_address is None
    assert (found.rbd_pool, found.rbd_ceph_conf) == ("rbd", "")
    assert (found.rbd_user, found.rbd_secret_uuid) == (None, None)
    assert (found.rbd_connect_timeout, found.rbd_operation_timeout) == (5, 30)
    assert found.rbd_monitors == ()


def test_every_option_is_read(conf: Conf) -> None:
    found = settings(
        conf(
            """
        [DEFAULT]
        state_path = /srv/nova
        instances_path = $state_path/vms
        force_config_drive = true
        config_drive_format = vfat
        [api]
        config_drive_skip_versions = 1.0  2009-04-04
        dhcp_domain =
        vendordata_providers = DynamicJSON
        vendordata_jsonfile_path = /etc/nova/vendor.json
        [libvirt]
        virt_type = qemu
        images_type = qcow2
        disk_cachemodes = file=directsync, network = writeback
        hw_disk_discard = unmap
        hw_machine_type = x86_64=q35, aarch64=virt
        disk_prefix = vd
        images_rbd_pool = vms
        images_rbd_ceph_conf = /etc/ceph/east.conf
        rbd_user = nova
        rbd_secret_uuid = 2A5B08E4-3DCA-4FF9-9A1D-40389758D081
        rbd_connect_timeout = 9
        [cfgdrive_virt]
        max_drive_size = 1
        live_migration = never
        instances_path_shared = no
        verify_drive = yes
        addresses_per_link = first
        rbd_operation_timeout = 7
        rbd_monitors = ceph-1:6789, 10.0.0.2:3300, [fd00::1]:6789
        """.replace("        ", "")
        )
    )
    assert found.instances_path == Path("/srv/nova/vms")
    assert found.force_config_drive is True
    assert found.config_drive_format == "vfat"
    assert found.skip_versions == {"1.0", "2009-04-04"}
    assert found.dhcp_domain == ""
    assert found.vendordata_static is False
    assert found.vendordata_jsonfile_path == "/etc/nova/vendor.json"
    assert (found.virt_type, found.images_type) == ("qemu", "qcow2")
    assert found.cache_modes == {"file": "directsync", "network": "writeback"}
    assert found.machine_types == {"x86_64": "q35", "aarch64": "virt"}
    assert (found.discard, found.disk_prefix) == ("unmap", "vd")
    assert found.max_drive_size == 1024 * 1024
    assert (found.live_migration, found.verify_drive) == ("never", True)
    assert found.instances_path_shared is False
    assert found.one_address is True
    assert found.rbd_pool == "vms"
    assert found.rbd_ceph_conf == "/etc/ceph/east.conf"
    assert found.rbd_user == "nova"
    assert found.rbd_secret_uuid == "2a5b08e4-3dca-4ff9-9a1d-40389758d081"
    assert (found.rbd_connect_timeout, found.rbd_operation_timeout) == (9, 7)
    assert found.rbd_monitors == (
        Monitor("ceph-1", 6789),
        Monitor("10.0.0.2", 3300),
        Monitor("fd00::1", 6789),
    )


def test_options_that_are_not_known_are_no_error(conf: Conf) -> None:
    settings(
        conf(
            "[DEFAULT]\ntransport_url = rabbit://nova:pw@host\n"
            "[placement]\nregion_name = here\n[libvirt]\ncpu_mode = none\n"
        )
    )


@pytest.mark.parametrize(
    ("group", "line"),
    [
        ("DEFAULT", "force_config_drive = maybe"),
        ("DEFAULT", "config_drive_format = ext4"),
        ("DEFAULT", "config_drive_format ="),
        ("DEFAULT", "instances_path = $no_such_option/x"),
        ("DEFAULT", "instances_path ="),
        ("api", "vendordata_providers = StaticJSON, Other"),
        ("libvirt", "virt_type = xen"),
        ("libvirt", "images_type = tape"),
        ("libvirt", "hw_disk_discard = maybe"),
        ("cfgdrive_virt", "max_drive_size = 0"),
        ("cfgdrive_virt", "max_drive_size = 4096"),
        ("cfgdrive_virt", "max_drive_size = much"),
        ("libvirt", "images_rbd_pool ="),
        ("libvirt", "images_rbd_pool = a/b"),
        ("libvirt", "rbd_secret_uuid = mine"),
        ("libvirt", "rbd_user = no\x01va"),
        ("libvirt", "disk_prefix = v\x1bd"),
        ("cfgdrive_virt", "live_migration = yes"),
        ("cfgdrive_virt", "instances_path_shared = maybe"),
        ("cfgdrive_virt", "verify_drive = often"),
        ("cfgdrive_virt", "addresses_per_link = 1"),
        ("cfgdrive_virt", "rbd_operation_timeout = 0"),
        ("cfgdrive_virt", "rbd_monitors = 10.0.0.1"),
        ("cfgdrive_virt", "rbd_monitors = 10.0.0.1:0"),
        ("cfgdrive_virt", "rbd_monitors = 10.0.0.1:65536"),
        ("cfgdrive_virt", "rbd_monitors = fd00::1:6789"),
        ("cfgdrive_virt", "rbd_monitors = [10.0.0.1]:6789"),
        ("cfgdrive_virt", "rbd_monitors = v2:10.0.0.1:3300/0"),
    ],
)
def test_a_value_that_an_option_cannot_have_is_told(
    conf: Conf, group: str, line: str
) -> None:
    made = conf(f"[{group}]\n{line}\n")
    register_opts(made)
    with pytest.raises(InvalidConfiguration) as caught:
        read_settings(made)
    assert line.partition(" ")[0] in str(caught.value)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", {}),
        ("disk_cachemodes =", {}),
        ("disk_cachemodes = file=none", {"file": "none"}),
        (
            "disk_cachemodes = block=none,file=unsafe",
            {"block": "none", "file": "unsafe"},
        ),
        ("disk_cachemodes = file=fast", {}),
        ("disk_cachemodes = file=fast,block=none", {"block": "none"}),
        ("disk_cachemodes = file=None", {}),
    ],
)
def test_cache_modes_are_by_type_of_source(
    conf: Conf, line: str, found: dict[str, str]
) -> None:
    assert settings(conf(f"[libvirt]\n{line}\n")).cache_modes == found


def test_a_cache_mode_that_is_not_known_is_ignored_as_nova_does(
    conf: Conf, caplog: pytest.LogCaptureFixture
) -> None:
    settings(conf("[libvirt]\ndisk_cachemodes = file=fast,block=none\n"))
    (record,) = caplog.records
    assert (record.levelname, record.name) == (
        "WARNING",
        "cfgdrive_virt.settings",
    )
    assert record.getMessage() == (
        "Ignoring [libvirt] disk_cachemodes file=fast; valid modes: default,"
        " none, writethrough, writeback, directsync, unsafe"
    )


def test_what_is_no_pair_is_ignored_with_a_warning(
    conf: Conf, caplog: pytest.LogCaptureFixture
) -> None:
    found = settings(conf("[libvirt]\nhw_machine_type = q35,x86_64=pc\n"))
    assert found.machine_types == {"x86_64": "pc"}
    assert caplog.messages == ["Ignoring 'q35': expected NAME=VALUE"]


def test_cache_modes_that_are_known_are_no_news(
    conf: Conf, caplog: pytest.LogCaptureFixture
) -> None:
    settings(conf("[libvirt]\ndisk_cachemodes = file=none\n"))
    assert caplog.records == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "instances",
        "./x",
        "~/x",
        "/srv/\x01",
        "/srv/\x1b[31m",
        "/srv/\n",
        "/srv/\u202e",
        "/\udcff",
    ],
    ids=ascii,
)
def test_an_instances_path_that_libvirt_cannot_name_is_refused(
    conf: Conf, path: str
) -> None:
    made = conf()
    register_opts(made)
    made.set_override("instances_path", path)
    with pytest.raises(InvalidConfiguration) as caught:
        read_settings(made)
    told = str(caught.value)
    assert "instances_path" in told
    assert ascii(path) in told
    assert told.isprintable()


@pytest.mark.parametrize("path", ["/srv/é 😀", "/a b", "/srv/<'\"&>"])
def test_an_instances_path_may_have_any_characters_that_print(
    conf: Conf, path: str
) -> None:
    made = conf()
    register_opts(made)
    made.set_override("instances_path", path)
    assert read_settings(made).instances_path == Path(path)


def test_options_are_read_anew_every_time(conf: Conf) -> None:
    made = conf()
    register_opts(made)
    made.set_override("force_config_drive", True)
    assert read_settings(made).force_config_drive is True
    made.clear_override("force_config_drive")
    assert read_settings(made).force_config_drive is False


def test_registering_twice_is_no_error(conf: Conf) -> None:
    made = conf("[DEFAULT]\nforce_config_drive = true\n")
    register_opts(made)
    register_opts(made)
    assert read_settings(made).force_config_drive is True


def nova_like(conf: Conf, text: str = "") -> cfg.ConfigOpts:
    """Return a configuration whose options another service registered."""
    made = conf(text)
    made.register_opt(
        cfg.StrOpt(
            "config_drive_format",
            default="iso9660",
            choices=("iso9660", "vfat"),
            help="In somebody else's words.",
        )
    )
    made.register_opt(cfg.StrOpt("dhcp_domain", default="theirs"), group="api")
    return made


def test_options_that_somebody_else_registered_stay_theirs(
    conf: Conf,
) -> None:
    assert settings(nova_like(conf)).dhcp_domain == "theirs"


def test_a_default_of_somebody_else_does_not_bind_the_policy(
    conf: Conf,
) -> None:
    assert settings(nova_like(conf)).config_drive_format is None


@pytest.mark.parametrize("word", ["iso9660", "vfat"])
def test_an_operators_word_binds_the_policy(conf: Conf, word: str) -> None:
    made = nova_like(conf, f"[DEFAULT]\nconfig_drive_format = {word}\n")
    assert settings(made).config_drive_format == word


def test_an_override_binds_the_policy_and_another_default_does_not(
    conf: Conf,
) -> None:
    made = conf()
    register_opts(made)
    made.set_default("config_drive_format", "vfat")
    assert read_settings(made).config_drive_format is None
    made.set_override("config_drive_format", "vfat")
    assert read_settings(made).config_drive_format == "vfat"


def test_oslo_finds_the_options_by_their_entry_point() -> None:
    (entry,) = importlib.metadata.entry_points(
        group="oslo.config.opts", name="cfgdrive_virt"
    )
    found = entry.load()()
    assert [group for group, _ in found] == [None, "api", "libvirt", GROUP]
    assert found == list_opts()


def test_a_list_of_options_may_be_changed_by_who_asked_for_it() -> None:
    list_opts()[0][1].clear()
    assert list_opts()[0][1]


def test_every_option_says_what_it_is_for() -> None:
    assert all(opt.help for _, opts in list_opts() for opt in opts)


def test_the_sample_configuration_is_up_to_date(tmp_path: Path) -> None:
    fresh = tmp_path / "sample"
    python(
        "import sys; from oslo_config import generator;"
        "generator.main(sys.argv[1:])",
        f"--config-file={ROOT / 'etc' / 'config-generator.conf'}",
        f"--output-file={fresh}",
    )
    sample = ROOT / "etc" / "cfgdrive_virt.conf.sample"
    assert fresh.read_text() == sample.read_text()


def test_importing_loads_nothing_that_a_service_may_not_have() -> None:
    loaded = json.loads(
        python(
            "import json, sys, cfgdrive_virt;"
            "print(json.dumps(sorted(sys.modules)))"
        )
    )
    tops = {name.partition(".")[0] for name in loaded}
    assert "cfgdrive_virt" in tops
    assert not tops & {
        "nova", "libvirt", "rados", "rbd", "yaml", "click", "rich",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_time_out_that_would_be_none_is_the_default_with_a_word(
    conf: Conf, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    text = f"[libvirt]\nrbd_connect_timeout = {value}\n"
    assert settings(conf(text)).rbd_connect_timeout == 5
    assert caplog.messages == []
    found = settings(conf(f"{text}images_type = rbd\n"))
    assert found.rbd_connect_timeout == 5
    assert caplog.messages == [
        f"[libvirt] rbd_connect_timeout={value} would wait forever; using 5"
    ]
