"""Who gets a drive, and on which bus: as nova decides it."""

from __future__ import annotations

import dataclasses
import itertools
import types

import pytest
from nova import exception
from nova.virt import configdrive
from nova.virt.libvirt import blockinfo
from oracle import CONF, objects

from cfgdrive_virt import ConfigDriveRequest, Verdict, policy
from cfgdrive_virt.conf import register_opts
from cfgdrive_virt.exception import UnsupportedCombination
from cfgdrive_virt.settings import read_settings

register_opts(CONF)

UUID = "83679162-1378-4288-a2d4-70e13ec132aa"

#: Where we decide otherwise than nova, on purpose.
DIFFERENCES = {
    "no IDE": "nova gives ide to every machine that isn't q35, ppc, s390 or"
    " aarch64; the others have no IDE either, and libvirt refuses",
    "no such bus": "nova passes on hw_cdrom_bus=ide for a q35, and sata and"
    " usb for an s390x, and libvirt refuses to define it; the error comes"
    " before anything is built",
    "no cdrom": "nova passes on hw_cdrom_bus=virtio and fdc, and libvirt"
    " refuses: they hold no cdrom",
}
NO_IDE = ("armv7l", "mips", "sparc64")


def request(**fields: object) -> ConfigDriveRequest:
    return ConfigDriveRequest(uuid=UUID, name="n", hostname="n", **fields)


def novas_bus(properties: dict[str, str], device: str = "cdrom") -> str:
    image_meta = objects.ImageMeta.from_dict({"properties": properties})
    found: str = blockinfo.get_disk_bus_for_device_type(
        None, "qemu", image_meta, device
    )
    return found


def our_bus(
    properties: dict[str, str],
    machine_types: dict[str, str],
    image_format: str = "iso9660",
) -> str:
    settings = dataclasses.replace(
        read_settings(CONF),
        machine_types=machine_types,
        images_type="default",
        config_drive_format=image_format,
        virt_type="qemu",
    )
    made = request(image_properties=properties)
    machine = policy.machine(settings, made, "x86_64")
    stays = Verdict(False, "as told")
    return policy.decide(settings, made, machine, stays, novas_buses=True).bus


@pytest.mark.parametrize(
    "configured", [{}, {"x86_64": "q35"}, {"x86_64": "pc-i440fx-7.2"}], ids=str
)
@pytest.mark.parametrize("bus", [None, "ide", "sata", "scsi", "usb"])
@pytest.mark.parametrize("machine", [None, "pc", "q35", "pc-q35-7.2"])
@pytest.mark.parametrize(
    "architecture",
    [
        None, "x86_64", "amd64", "AMD64", "i686", "i386", "aarch64",
        "ppc64", "ppc64le", "s390x",
    ],
)  # fmt: skip
def test_the_bus_is_novas(
    architecture: str | None,
    machine: str | None,
    bus: str | None,
    configured: dict[str, str],
) -> None:
    CONF.set_override(
        "hw_machine_type",
        [f"{name}={value}" for name, value in configured.items()],
        "libvirt",
    )
    properties = {
        name: value
        for name, value in (
            ("hw_architecture", architecture),
            ("hw_machine_type", machine),
            ("hw_cdrom_bus", bus),
        )
        if value is not None
    }

    wanted = novas_bus(properties)

    try:
        assert our_bus(properties, configured) == wanted
    except UnsupportedCombination:
        assert wanted == bus
        lacking = ("ide", "sata", "usb") if architecture == "s390x" else "ide"
        assert bus in lacking, DIFFERENCES["no such bus"]


@pytest.mark.parametrize("bus", [None, "virtio", "ide", "sata", "scsi", "usb"])
def test_the_bus_of_a_disk_is_novas(bus: str | None) -> None:
    properties = {} if bus is None else {"hw_disk_bus": bus}

    assert our_bus(properties, {}, "vfat") == novas_bus(properties, "disk")


@pytest.mark.parametrize("architecture", NO_IDE)
def test_a_machine_without_ide_gets_scsi(architecture: str) -> None:
    properties = {"hw_architecture": architecture}

    assert novas_bus(properties) == "ide", DIFFERENCES["no IDE"]
    assert our_bus(properties, {}) == "scsi"


@pytest.mark.parametrize("bus", ["virtio", "fdc"])
def test_a_bus_that_holds_no_cdrom_is_refused(bus: str) -> None:
    properties = {"hw_cdrom_bus": bus}

    assert novas_bus(properties) == bus, DIFFERENCES["no cdrom"]
    with pytest.raises(UnsupportedCombination):
        our_bus(properties, {})


def test_a_bus_that_nobody_knows_is_refused_by_both() -> None:
    with pytest.raises(exception.NovaException):
        novas_bus({"hw_cdrom_bus": "lxc"})
    with pytest.raises(UnsupportedCombination):
        our_bus({"hw_cdrom_bus": "lxc"}, {})


@pytest.mark.parametrize(
    ("asked", "image", "forced", "launched"),
    list(
        itertools.product(
            [False, True],
            [None, "optional", "mandatory"],
            [False, True],
            [False, True],
        )
    ),
)
def test_the_same_instances_get_a_drive(
    asked: bool, image: str | None, forced: bool, launched: bool
) -> None:
    properties = {} if image is None else {"img_config_drive": image}
    CONF.set_override("force_config_drive", forced)
    instance = types.SimpleNamespace(
        config_drive="True" if asked else "",
        launched_at="2026-01-01" if launched else None,
        image_meta=objects.ImageMeta.from_dict({"properties": properties}),
    )

    ours = policy.required(
        read_settings(CONF),
        request(
            config_drive=asked, launched=launched, image_properties=properties
        ),
    )

    assert bool(ours) == bool(configdrive.required_by(instance))
