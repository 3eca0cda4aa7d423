"""A plan: what a drive would be, where, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveError,
    Controller,
    Loss,
    Machine,
    RenderedRequest,
    image,
)
from cfgdrive_virt.exception import (
    ImageError,
    InvalidConfiguration,
    UnsupportedCombination,
)
from cfgdrive_virt.readers import Content, Demand, Reader

from ..samples import UUID, request, wanted
from .drives import Make

CDROM = "[cfgdrive_virt]\nlive_migration = never\n"
Q35 = "[libvirt]\nhw_machine_type = x86_64=q35\n"


def test_a_plan_tells_everything_and_touches_nothing(
    make: Make, instances: Path
) -> None:
    plan = make(f"{CDROM}[libvirt]\ndisk_cachemodes = file=unsafe\n").plan(
        wanted()
    )
    assert plan.required.reason == "the request asks for one"
    assert plan.decision is not None
    assert (plan.decision.bus, plan.decision.target) == ("ide", "hdd")
    assert plan.location is not None
    assert plan.location.source == f"{instances}/{UUID}/disk.config"
    assert plan.disk_xml is not None
    assert str(plan.location) in plan.disk_xml
    assert 'cache="unsafe"' in plan.disk_xml
    assert list(instances.iterdir()) == []


def test_a_plan_without_a_drive_has_its_reason_only(
    driver: ConfigDriveDriver,
) -> None:
    plan = driver.plan(request())
    assert not plan.required
    assert (plan.decision, plan.location) == (None, None)
    assert (plan.disk_xml, plan.controller_xml) == (None, None)


def test_without_a_drive_unsupported_settings_do_no_harm(make: Make) -> None:
    driver = make("[libvirt]\nvirt_type = lxc\n")
    assert driver.spawn(request()) is None
    with pytest.raises(UnsupportedCombination):
        driver.spawn(wanted())


@pytest.mark.parametrize(
    ("text", "properties", "machine"),
    [
        ("", {}, Machine("x86_64")),
        (Q35, {}, Machine("x86_64", "q35")),
        (Q35, {"hw_machine_type": "pc"}, Machine("x86_64", "pc")),
        ("", {"hw_architecture": "aarch64"}, Machine("aarch64", "virt")),
    ],
)  # fmt: skip
def test_the_machine_is_what_image_and_options_tell(
    make: Make, text: str, properties: dict[str, str], machine: Machine
) -> None:
    made = request(image_properties=properties)
    assert make(text).machine(made) == machine


def test_a_guest_that_is_told_outranks_what_would_be_guessed(
    make: Make,
) -> None:
    plan = make(CDROM).plan(
        wanted(), Machine("x86_64", "q35", frozenset({"sdf"}))
    )
    assert plan.decision is not None
    assert (plan.decision.bus, plan.decision.target) == ("scsi", "sde")


def test_a_plan_has_the_controller_that_a_drive_lacks(make: Make) -> None:
    driver = make(CDROM)
    plan = driver.plan(wanted(), Machine("x86_64", "q35"))
    assert plan.controller_xml == (
        '<controller type="scsi" index="0" model="virtio-scsi"/>\n'
    )
    there = frozenset({Controller("scsi", 0, "virtio-scsi")})
    for machine in (
        Machine("x86_64", "pc"),
        Machine("x86_64", "q35", controllers=there),
    ):
        plan = driver.plan(wanted(), machine)
        assert plan.disk_xml is not None
        assert plan.controller_xml is None


@pytest.mark.parametrize(
    ("novas_buses", "bus"), [(False, "scsi"), (True, "sata")]
)
def test_a_service_may_have_novas_buses(
    conf: Any, novas_buses: bool, bus: str
) -> None:
    driver = ConfigDriveDriver(conf(CDROM), novas_buses=novas_buses)
    made = wanted(image_properties={"hw_machine_type": "q35"})
    assert driver.decide(made, Machine("x86_64", "q35")).bus == bus


def test_options_are_those_of_now(conf: Any) -> None:
    opts = conf()
    driver = ConfigDriveDriver(opts)
    assert not driver.required_by(request())
    opts.set_override("force_config_drive", True)
    assert driver.required_by(request())


@pytest.mark.parametrize(
    ("text", "image_format", "device"),
    [
        ("", "vfat", "disk"),
        ("[cfgdrive_virt]\nlive_migration = always\n", "vfat", "disk"),
        (
            (
                "[cfgdrive_virt]\nlive_migration = always\n"
                "instances_path_shared = yes\n"
            ),
            "vfat",
            "disk",
        ),
        (CDROM, "iso9660", "cdrom"),
        (
            "[cfgdrive_virt]\ninstances_path_shared = yes\n",
            "iso9660",
            "cdrom",
        ),
        (
            "[DEFAULT]\nconfig_drive_format = iso9660\n",
            "iso9660",
            "cdrom",
        ),
        (
            f"{CDROM}[DEFAULT]\nconfig_drive_format = vfat\n",
            "vfat",
            "disk",
        ),
    ],
)
def test_what_is_planned_is_what_is_built(
    make: Make, drive: Path, text: str, image_format: str, device: str
) -> None:
    driver = make(text)
    plan = driver.plan(wanted())
    assert plan.decision is not None
    assert plan.disk_xml is not None
    assert (plan.decision.format, plan.decision.device) == (
        image_format, device,
    )  # fmt: skip
    assert f'device="{device}"' in plan.disk_xml
    driver.spawn(wanted())
    assert image.read(drive.read_bytes()).format == image_format
    assert driver.build(wanted()).format == image_format


RBD = """
[libvirt]
images_type = rbd
rbd_user = nova
rbd_secret_uuid = 2a5b08e4-3dca-4ff9-9a1d-40389758d081
images_rbd_pool = vms
[cfgdrive_virt]
rbd_monitors = 10.0.0.1:6789
"""


def test_a_plan_for_ceph_asks_no_cluster_whose_monitors_are_told(
    make: Make,
) -> None:
    plan = make(RBD).plan(wanted())
    assert str(plan.location) == f"rbd:vms/{UUID}_disk.config"
    assert plan.decision is not None
    assert (plan.decision.format, plan.decision.target) == ("iso9660", "vdz")
    assert plan.disk_xml is not None
    assert 'cache="writeback"' in plan.disk_xml
    assert '<host name="10.0.0.1" port="6789"/>' in plan.disk_xml
    assert '<auth username="nova">' in plan.disk_xml


def test_a_cache_mode_for_ceph_is_that_of_network_disks(make: Make) -> None:
    modes = "disk_cachemodes = file=unsafe, network=directsync\n[cfgdrive"
    plan = make(RBD.replace("[cfgdrive", modes)).plan(wanted())
    assert plan.disk_xml is not None
    assert 'cache="directsync"' in plan.disk_xml


@pytest.mark.parametrize("option", ["rbd_user", "rbd_secret_uuid"])
def test_a_user_and_its_secret_go_together(make: Make, option: str) -> None:
    text = re.sub(rf"(?m)^{option} = .*\n", "", RBD)
    with pytest.raises(InvalidConfiguration) as caught:
        make(text).plan(wanted())
    assert "rbd_user and rbd_secret_uuid go together" in str(caught.value)


@pytest.mark.parametrize("char", ["\x01", "\x1b", "\udcff"], ids=ascii)
def test_a_path_that_xml_cannot_name_is_an_error_of_ours(
    conf: Any, char: str
) -> None:
    opts = conf()
    driver = ConfigDriveDriver(opts)
    opts.set_override("instances_path", f"/srv/{char}")
    with pytest.raises(ConfigDriveError):
        driver.plan(wanted())


META_DATA = "openstack/latest/meta_data.json"


def names_the_format(content: Content) -> Iterator[Loss]:
    name = content.document(META_DATA)["hostname"]
    yield Loss(META_DATA, "hostname", f"is {name} in {content.image_format}")


FUSSY = Reader("fussy", "", (Demand("", "", names_the_format),))


@pytest.mark.parametrize(
    ("text", "image_format"), [("", "vfat"), (CDROM, "iso9660")]
)
def test_losses_are_those_of_the_drive_that_would_be(
    make: Make, instances: Path, text: str, image_format: str
) -> None:
    lost = (
        Loss(
            META_DATA,
            "hostname",
            f"is web-1.novalocal in {image_format}",
            reader="fussy",
        ),
    )
    driver = make(text)
    assert driver.losses(wanted(), [FUSSY]) == lost
    assert driver.losses(request(), [FUSSY]) == lost
    files = driver.tree(request()).files
    rendered = RenderedRequest(uuid=UUID, files=files)
    assert driver.losses(rendered, [FUSSY]) == lost
    assert list(instances.iterdir()) == []


def test_of_too_much_json_no_reader_is_asked(
    driver: ConfigDriveDriver,
) -> None:
    much = request(metadata={str(number): "" for number in range(30_000)})
    with pytest.raises(ImageError, match="more than 200,000 values"):
        driver.losses(much, [FUSSY])


def test_losses_are_by_default_those_of_the_likely_readers(
    driver: ConfigDriveDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def likely(properties: Mapping[str, str]) -> tuple[Reader, ...]:
        return (FUSSY,) * len(properties)

    monkeypatch.setattr("cfgdrive_virt.driver.planner.likely", likely)
    two = request(image_properties={"os_type": "linux", "os_distro": "odd"})
    assert [loss.reader for loss in driver.losses(two)] == ["fussy"] * 2
    assert driver.losses(request()) == ()


def test_no_hook_asks_what_readers_lose(
    driver: ConfigDriveDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(*_: object) -> Iterator[Loss]:
        raise AssertionError

    monkeypatch.setattr(Reader, "losses", losses)
    with pytest.raises(AssertionError):
        driver.losses(wanted())
    driver.plan(wanted())
    driver.spawn(wanted())
    driver.reboot(wanted(metadata={"role": "new"}))
