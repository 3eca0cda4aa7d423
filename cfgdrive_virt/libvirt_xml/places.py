"""A domain's devices: the places on buses that they take, and controllers.

libvirt derives a disk's address from its target's letters, unless the XML has
an address: sdb and a disk at unit 1 can't both be there.
Source: libvirt's domain XML format; virDomainDiskDefAssignAddress.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from cfgdrive_virt.model.machine import SCSI_PLACES, Controller

_NAME = re.compile(r"(?P<prefix>[fhsv]d|xvd|ubd)(?P<letters>[a-z]{1,3})[0-9]*")

#: The bus of a disk whose target names none.
_BUSES = {"hd": "ide", "sd": "scsi", "vd": "virtio"}

#: On SCSI, the controller itself is unit 7.
_OWN_UNIT = 7


def taken(domain: etree._Element) -> Iterator[tuple[str, int]]:
    """Yield bus and number of each place that a disk has."""
    for disk in domain.iterfind("devices/disk"):
        target = disk.find("target")
        if target is None:
            continue
        name = _NAME.fullmatch(target.get("dev", ""))
        bus = target.get("bus") or (name and _BUSES.get(name["prefix"]))
        address = _address(disk)
        if not bus:
            continue
        if address is not None:
            number = _number(bus, address)
            if number is not None:
                yield bus, number
        elif name is not None:
            yield bus, _index(name["letters"])
    for device in domain.iterfind("devices/hostdev[@type='scsi']"):
        address = _address(device)
        number = None if address is None else _number("scsi", address)
        if number is not None:
            yield "scsi", number


def controllers(domain: etree._Element) -> Iterator[Controller]:
    """Yield the controllers of SCSI and USB.

    libvirt adds one of its default model for a disk that has none.
    """
    for kind in ("scsi", "usb"):
        found = domain.findall(f"devices/controller[@type='{kind}']")
        indexes = [_int(element.get("index", "")) for element in found]
        known = {index for index in indexes if index is not None}
        free = 0
        for element, index in zip(found, indexes, strict=True):
            if index is None:
                # libvirt takes the first one that is free.
                while free in known:
                    free += 1
                known.add(free)
            yield Controller(
                kind, free if index is None else index, element.get("model")
            )
        if kind == "scsi":
            for bus, number in taken(domain):
                index = number // SCSI_PLACES
                if bus == kind and index not in known:
                    yield Controller(kind, index)


def _index(letters: str) -> int:
    """Return 0 for a, 25 for z, 26 for aa."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1


def _address(device: etree._Element) -> dict[str, int | None] | None:
    address = device.find("address[@type='drive']")
    if address is None:
        return None
    return {
        name: _int(address.get(name, "0"))
        for name in ("controller", "bus", "target", "unit")
    }


def _number(bus: str, address: dict[str, int | None]) -> int | None:
    """Return the number of the letters that stand for an address."""
    controller, channel, target, unit = address.values()
    if controller is None or channel is None or target or unit is None:
        return None
    if bus == "ide":
        return controller * 4 + channel * 2 + unit
    if bus == "sata":
        return controller * 6 + unit
    if bus == "scsi" and channel == 0:
        return controller * SCSI_PLACES + unit - (unit > _OWN_UNIT)
    return None


def _int(text: str) -> int | None:
    # libvirt refuses what is not a small number.
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None
