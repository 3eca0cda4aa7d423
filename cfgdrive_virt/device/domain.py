"""A domain's XML: what it says of the machine, and where its devices are.

What comes in may be anybody's: nothing outside the text is ever loaded.
Source: libvirt's domain XML format.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import cast

from lxml import etree

from cfgdrive_virt.exception import DomainError
from cfgdrive_virt.model.decision import Guest
from cfgdrive_virt.model.request import (
    ConfigDriveRequest,
    Device,
    DiskDevice,
    NicDevice,
    ShareDevice,
)

LOG = logging.getLogger(__name__)

#: Marks a domain as ours, in its metadata.
MARK = "urn:cfgdrive_virt:domain:1"


class Domain:
    """A domain's XML, to be read and completed.

    :raises DomainError: if it is no domain's XML
    """

    def __init__(self, xml: str | bytes) -> None:
        # A text is no longer in the encoding that it may declare.
        text = isinstance(xml, str)
        parser = etree.XMLParser(
            encoding="utf-8" if text else None,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
        )
        data = xml.encode() if isinstance(xml, str) else xml
        try:
            self._root = etree.fromstring(data, parser)
        except etree.XMLSyntaxError as error:
            raise DomainError(f"the domain is no XML: {error}") from error
        if self._root.tag != "domain":
            raise DomainError(
                f"expected a <domain>, and found a <{self._root.tag!s}>"
            )

    def __str__(self) -> str:
        return etree.tostring(self._root, encoding="unicode")

    def complete(self, request: ConfigDriveRequest, told: Guest) -> Guest:
        """Fill in what is left open; return the machine that it is.

        :param told: what is known of the machine; the domain's own word
            outranks it
        :raises DomainError: if the domain has another UUID
        """
        uuid = _child(self._root, "uuid")
        uuid.text = (uuid.text or request.uuid).strip().lower()
        if uuid.text != request.uuid:
            raise DomainError(
                f"the domain's UUID is {uuid.text}, and the instance's"
                f" {request.uuid}; leave it out of the domain"
            )
        name = _child(self._root, "name")
        name.text = name.text or f"instance-{request.uuid}"
        metadata = _child(self._root, "metadata")
        if metadata.find(f"{{{MARK}}}instance") is None:
            etree.SubElement(
                metadata,
                f"{{{MARK}}}instance",
                nsmap={"cfgdrive_virt": MARK},
            )
        machine = _child(_child(self._root, "os"), "type")
        machine.text = machine.text or "hvm"
        machine.set("arch", machine.get("arch") or told.architecture)
        if told.machine_type is not None:
            machine.set("machine", machine.get("machine") or told.machine_type)
        targets = self._root.findall("devices/disk/target")
        return Guest(
            str(machine.get("arch")),
            machine.get("machine"),
            frozenset(target.get("dev", "") for target in targets),
        )

    def add_disk(self, disk_xml: str) -> None:
        """Add a disk to the devices."""
        devices = _child(self._root, "devices")
        devices.append(etree.fromstring(disk_xml))

    def locate(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """Return devices with the bus and address that libvirt gave them.

        What a device says of itself stays.  A share has neither: its tag is
        what a guest finds it by.
        """
        return tuple(
            device
            if isinstance(device, ShareDevice)
            else dataclasses.replace(
                device,
                bus=device.bus or bus,
                address=device.address or address,
            )
            for device in devices
            for bus, address in [self._address(device)]
        )

    def _address(self, device: Device) -> tuple[str | None, str | None]:
        # Values go in as variables: as part of the path they could change it.
        if isinstance(device, NicDevice):
            lower = "translate(mac/@address, 'ABCDEF', 'abcdef')"
            path, value = f"devices/*[{lower} = $value]", device.mac
        elif isinstance(device, DiskDevice) and device.serial is not None:
            path, value = "devices/disk[serial = $value]", device.serial
        else:
            return None, None
        found = cast(
            "list[etree._Element]", self._root.xpath(path, value=value)
        )
        if not found:
            LOG.warning(
                "%s is not in the domain: the drive tells no address of it",
                value,
            )
            return None, None
        return _address(found[0])


def small_domain(request: ConfigDriveRequest, virt_type: str) -> str:
    """Return a domain with the request's interfaces that boots nothing."""
    domain = etree.Element("domain", type=virt_type)
    etree.SubElement(domain, "memory", unit="MiB").text = "128"
    etree.SubElement(domain, "vcpu").text = "1"
    devices = etree.SubElement(domain, "devices")
    for interface in request.network.interfaces:
        element = etree.SubElement(devices, "interface", type="user")
        etree.SubElement(element, "mac", address=interface.mac)
        etree.SubElement(element, "model", type="virtio")
    etree.SubElement(devices, "console", type="pty")
    return etree.tostring(domain, encoding="unicode")


def _child(parent: etree._Element, tag: str) -> etree._Element:
    found = parent.find(tag)
    return etree.SubElement(parent, tag) if found is None else found


def _address(element: etree._Element) -> tuple[str | None, str | None]:
    """Return bus and address as device metadata has them.

    In the forms of nova's objects (nova.objects.virt_device_metadata); its
    libvirt driver itself tells of PCI addresses only.
    """
    address = element.find("address")
    if address is None:
        return None, None
    part = cast("Mapping[str, str]", address.attrib)
    if part.get("type") == "pci":
        domain, bus, slot, function = (
            int(part[name], 16)
            for name in ("domain", "bus", "slot", "function")
        )
        return "pci", f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
    if part.get("type") == "usb":
        return "usb", f"{part['bus']}:{part['port']}"
    target = element.find("target")
    bus_name = target.get("bus") if target is not None else None
    if part.get("type") == "drive" and bus_name == "ide":
        return "ide", f"{part['bus']}:{part['unit']}"
    if part.get("type") == "drive" and bus_name == "scsi":
        names = ("controller", "bus", "target", "unit")
        return "scsi", ":".join(part[name] for name in names)
    return None, None
