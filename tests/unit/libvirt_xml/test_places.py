"""Which places and controllers a domain's devices take."""

from __future__ import annotations

import time

import pytest

from cfgdrive_virt import Controller, Machine
from cfgdrive_virt.libvirt_xml.domain import Domain
from cfgdrive_virt.model.machine import Place

from ..samples import request


def machine(devices: str) -> Machine:
    domain = Domain(f"<domain><devices>{devices}</devices></domain>")
    return domain.complete(request(), Machine("x86_64"))


def a_disk(name: str, bus: str = "", address: str = "") -> str:
    given = f" bus='{bus}'" if bus else ""
    return f"<disk><target dev='{name}'{given}/>{address}</disk>"


def at(
    controller: object = 0,
    bus: object = 0,
    target: object = 0,
    unit: object = 0,
) -> str:
    return (
        f"<address type='drive' controller='{controller}' bus='{bus}'"
        f" target='{target}' unit='{unit}'/>"
    )


@pytest.mark.parametrize(
    ("name", "bus", "place"),
    [
        ("hda", "ide", Place("ide", 0, 0, 0, 0)),
        ("hdd", "ide", Place("ide", 0, 1, 0, 1)),
        ("hdd", "", Place("ide", 0, 1, 0, 1)),
        # libvirt looks at the letters only.
        ("vdb", "ide", Place("ide", 0, 0, 0, 1)),
        ("sda", "sata", Place("sata", 0, 0, 0, 0)),
        ("sdg", "sata", Place("sata", 1, 0, 0, 0)),
        ("sdg", "scsi", Place("scsi", 0, 0, 0, 6)),
        ("sdh", "", Place("scsi", 1, 0, 0, 0)),
        ("sdaa", "scsi", Place("scsi", 3, 0, 0, 5)),
        ("xvdb", "scsi", Place("scsi", 0, 0, 0, 1)),
        ("sda1", "scsi", Place("scsi", 0, 0, 0, 0)),
        ("vda", "virtio", None),
        ("sda", "usb", None),
        ("vda", "", None),
        ("", "scsi", None),
        ("sd", "scsi", None),
        ("SDA", "scsi", None),
        ("sda/..", "scsi", None),
        ("sd" + "a" * 100_000, "scsi", None),
    ],
    ids=lambda value: value[:9] if isinstance(value, str) else None,
)
def test_a_name_stands_for_a_place(
    name: str, bus: str, place: Place | None
) -> None:
    expected = set() if place is None else {place}
    assert machine(a_disk(name, bus)).places == expected


@pytest.mark.parametrize(
    ("bus", "address", "place"),
    [
        ("ide", at(bus=1, unit=1), Place("ide", 0, 1, 0, 1)),
        ("sata", at(1, unit=5), Place("sata", 1, 0, 0, 5)),
        ("scsi", at(2, unit=14), Place("scsi", 2, 0, 0, 14)),
        ("scsi", at(0, target=3), Place("scsi", 0, 0, 3, 0)),
        ("ide", "<address type='drive' unit='1'/>", Place("ide", 0, 0, 0, 1)),
        ("ide", at(unit="x"), None),
        ("ide", at(unit="-1"), None),
        ("ide", at(unit="9" * 10_000), None),
        ("ide", at(unit="１"), None),
        # Not of this kind: libvirt derives one from the name.
        ("ide", "<address type='pci' slot='2'/>", Place("ide", 0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_an_address_outranks_the_name(
    bus: str, address: str, place: Place | None
) -> None:
    expected = set() if place is None else {place}
    assert machine(a_disk("hda", bus, address)).places == expected


def test_a_device_that_is_passed_through_has_a_place() -> None:
    found = machine(
        f"<hostdev type='scsi'>{at(unit=3)}</hostdev>"
        f"<hostdev type='usb'>{at(unit=4)}</hostdev>"
        "<hostdev type='scsi'/>"
    )
    assert found.places == {Place("scsi", 0, 0, 0, 3)}
    assert found.controllers == {Controller("scsi", 0)}


def a_controller(**attributes: object) -> str:
    text = " ".join(f"{name}='{value}'" for name, value in attributes.items())
    return f"<controller {text}/>"


@pytest.mark.parametrize(
    ("devices", "controllers"),
    [
        ("", set()),
        (
            a_controller(type="scsi", index=0, model="virtio-scsi"),
            {Controller("scsi", 0, "virtio-scsi")},
        ),
        (
            a_controller(type="usb", index=0, model="nec-xhci"),
            {Controller("usb", 0, "nec-xhci")},
        ),
        (a_controller(type="pci", index=0, model="pcie-root"), set()),
        (
            a_controller(type="scsi", model="a")
            + a_controller(type="scsi", index=0)
            + a_controller(type="scsi", model="b")
            + a_controller(type="usb"),
            {
                Controller("scsi", 1, "a"),
                Controller("scsi", 0),
                Controller("scsi", 2, "b"),
                Controller("usb", 0),
            },
        ),
        # libvirt adds those that disks lack.
        (
            a_disk("sda", "scsi") + a_disk("sdh", "scsi"),
            {Controller("scsi", 0), Controller("scsi", 1)},
        ),
        (
            a_disk("sda", "scsi", at(4, unit=9)),
            {Controller("scsi", 4)},
        ),
        (
            a_disk("sda", "scsi")
            + a_controller(type="scsi", index=0, model="x"),
            {Controller("scsi", 0, "x")},
        ),
        (a_disk("sda", "sata") + a_disk("hda", "ide"), set()),
        # Devices that are passed through get theirs before numbers are given.
        (
            a_controller(type="scsi", model="virtio-scsi")
            + "<hostdev type='scsi'/>",
            {Controller("scsi", 0), Controller("scsi", 1, "virtio-scsi")},
        ),
        (
            f"<hostdev type='scsi'>{at(1)}</hostdev>"
            + a_controller(type="scsi", model="virtio-scsi"),
            {
                Controller("scsi", 0),
                Controller("scsi", 1),
                Controller("scsi", 2, "virtio-scsi"),
            },
        ),
        (
            a_controller(type="scsi", index=0, model="virtio-scsi")
            + "<hostdev type='scsi'/>",
            {Controller("scsi", 0, "virtio-scsi")},
        ),
        (
            a_controller(type="scsi", index="x", model="m"),
            {Controller("scsi", 0, "m")},
        ),
    ],
)
def test_controllers_are_those_of_the_domain_and_of_libvirt(
    devices: str, controllers: set[Controller]
) -> None:
    assert machine(devices).controllers == controllers


def test_very_many_devices_take_little_time() -> None:
    count = 40_000
    devices = a_controller(type="scsi") * count + a_disk("sda", "scsi") * count
    begin = time.process_time()
    found = machine(devices)
    assert time.process_time() - begin < 5
    assert len(found.controllers) == count
