"""A domain's devices: the places on buses that they take, and controllers.

libvirt derives a disk's address from its target's letters, unless the XML has
an address: sdb and a disk at unit 1 can't both be there.
Source: libvirt's domain XML format; virDomainDiskDefAssignAddress.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from cfgdrive_virt.model.machine import Controller, Place, place_of

_NAME = re.compile(r"(?P<prefix>[fhsv]d|xvd|ubd)(?P<letters>[a-z]{1,3})[0-9]*")

#: A domain may name any number.
_MOST_CONTROLLERS = 1000

#: The bus of a disk whose target names none.
_BUSES = {"hd": "ide", "sd": "scsi"}


def taken(domain: etree._Element) -> Iterator[Place]:
    """Yield the places of a domain's disks, and of devices passed to it."""
    for disk in domain.iterfind("devices/disk"):
        target = disk.find("target")
        if target is None:
            continue
        name = _NAME.fullmatch(target.get("dev", ""))
        bus = target.get("bus", "")
        if not bus and name is not None:
            bus = _BUSES.get(name["prefix"], "")
        address = disk.find("address[@type='drive']")
        if address is not None:
            place = _place_at(bus, address)
        else:
            place = None if name is None else place_of(bus, name["letters"])
        if place is not None:
            yield place
    for address in domain.iterfind(
        "devices/hostdev[@type='scsi']/address[@type='drive']"
    ):
        place = _place_at("scsi", address)
        if place is not None:
            yield place


def controllers(domain: etree._Element) -> Iterator[Controller]:
    """Yield the controllers of SCSI and USB.

    libvirt adds one of its default model for a SCSI disk that has none.
    """
    for kind in ("scsi", "usb"):
        found = domain.findall(f"devices/controller[@type='{kind}']")
        indexes = [_number(element.get("index", "")) for element in found]
        known = {index for index in indexes if index is not None}
        for number in _of_hostdevs(domain) if kind == "scsi" else ():
            if number not in known:
                known.add(number)
                yield Controller(kind, number)
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
        for place in taken(domain):
            if place.bus == kind and place.controller not in known:
                yield Controller(kind, place.controller)


def _of_hostdevs(domain: etree._Element) -> range:
    """Return the numbers of controllers that libvirt adds for SCSI devices.

    It does so before it numbers the controllers that have no index.
    """
    last = -1
    for device in domain.iterfind("devices/hostdev[@type='scsi']"):
        address = device.find("address[@type='drive']")
        place = None if address is None else _place_at("scsi", address)
        last = max(last, place.controller if place else 0)
    return range(min(last, _MOST_CONTROLLERS) + 1)


def _place_at(bus: str, address: etree._Element) -> Place | None:
    numbers = [
        _number(address.get(name, "0"))
        for name in ("controller", "bus", "target", "unit")
    ]
    known = [number for number in numbers if number is not None]
    return Place(bus, *known) if len(known) == len(numbers) else None


def _number(text: str) -> int | None:
    # libvirt refuses others.
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None
