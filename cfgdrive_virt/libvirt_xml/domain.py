"""A domain's XML: its machine, disks, and the addresses of its devices.

The XML may be hostile: the parser loads nothing from outside.
Source: libvirt's domain XML format.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import cast

from lxml import etree

from cfgdrive_virt.exception import InvalidDomain
from cfgdrive_virt.libvirt_xml import places
from cfgdrive_virt.model.machine import DEFAULT_TYPES, Machine
from cfgdrive_virt.model.network import NetworkInfo
from cfgdrive_virt.model.request import (
    ConfigDriveRequest,
    Device,
    DiskDevice,
    NicDevice,
    ShareDevice,
)
from cfgdrive_virt.model.value import show

LOG = logging.getLogger(__name__)

#: Marks a domain as ours, in its metadata element.
NAMESPACE = "urn:cfgdrive_virt:domain:1"


#: The attributes that make up an address, by bus.
_ADDRESSES = {
    "usb": ("bus", "port"),
    "ide": ("bus", "unit"),
    "scsi": ("controller", "bus", "target", "unit"),
}


class Disk:
    """A ``<disk>``, of a domain or to be added to one.

    Values that exist only while a domain runs are removed: libvirt assigns
    new ones.
    """

    def __init__(self, xml: str | etree._Element) -> None:
        parsed = etree.fromstring(xml) if isinstance(xml, str) else xml
        self._disk = copy.deepcopy(parsed)
        self._disk.tail = None
        target = _child(self._disk, "target")
        #: Such as ``vdz``.
        self.target = target.get("dev", "")
        #: Whether the tray is open; the medium is still in it.
        self.tray_is_open = target.attrib.pop("tray", "") == "open"
        #: Whether the device stays when its medium is ejected.
        self.is_cdrom = self._disk.get("device") == "cdrom"
        self.is_readonly = self._disk.find("readonly") is not None
        #: The path or the volume (``pool/name``); empty without a medium.
        self.source = _source(self._disk)
        for source in self._disk.findall("source"):
            source.attrib.pop("index", "")
        _remove(self._disk, "backingStore")
        alias = self._disk.find("alias")
        # The user set the aliases that begin with ua-.
        if alias is not None and not alias.get("name", "").startswith("ua-"):
            _remove(self._disk, "alias")

    def __str__(self) -> str:
        return etree.tostring(self._disk, encoding="unicode")

    def emptied(self) -> Disk:
        """Return this drive without a medium."""
        empty = Disk(self._disk)
        # libvirt requires a source for the type network.
        empty._disk.set("type", "file")
        _remove(empty._disk, "source", "auth")
        empty.source = ""
        return empty

    def filled(self, other: Disk) -> Disk:
        """Return this drive with the medium of another."""
        full = self.emptied()
        full._disk.set("type", other._disk.get("type", "file"))
        for tag in ("auth", "source"):
            full._disk.extend(map(copy.deepcopy, other._disk.findall(tag)))
        full.source = other.source
        return full


class Domain:
    """A domain's XML, to be read and completed.

    :raises InvalidDomain: if it isn't the XML of a domain
    """

    def __init__(self, xml: str | bytes) -> None:
        # A string's encoding declaration no longer applies.
        text = isinstance(xml, str)
        parser = etree.XMLParser(
            encoding="utf-8" if text else None,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            # In the middle of a text, they would split it.
            remove_comments=True,
            remove_pis=True,
        )
        try:
            data = xml.encode() if isinstance(xml, str) else xml
            self._root = etree.fromstring(data, parser)
        except etree.XMLSyntaxError as error:
            # libxml2's text quotes the domain, however long a name is.
            raise InvalidDomain(
                f"the domain is not valid XML, line {error.lineno}:"
                f" {show(error.msg)}"
            ) from None
        except UnicodeEncodeError as error:
            raise InvalidDomain(
                "the domain is not valid XML: it has a lone surrogate"
            ) from error
        if self._root.getroottree().docinfo.internalDTD is not None:
            # libvirt's error would quote the whole domain.
            raise InvalidDomain("the domain must not have a DOCTYPE")
        if self._root.tag != "domain":
            raise InvalidDomain(
                f"expected a <domain>, found {show(self._root.tag)}"
            )

    def __str__(self) -> str:
        return etree.tostring(self._root, encoding="unicode")

    @property
    def uuid(self) -> str:
        """Return the UUID as the domain has it; empty without one."""
        return (self._root.findtext("uuid") or "").strip()

    def is_of(self, uuid: str) -> bool:
        """Tell whether it is this instance's; without a UUID, it may be any's.

        :param uuid: in its canonical form
        """
        # libvirt accepts UUIDs without hyphens, too.
        given = self.uuid.replace("-", "").lower()
        return given in ("", uuid.replace("-", ""))

    def complete(
        self, request: ConfigDriveRequest, planned: Machine
    ) -> Machine:
        """Fill in what the domain leaves out, and return its machine.

        :param planned: the machine to use where the domain doesn't set it
        :raises InvalidDomain: if the domain has another UUID
        """
        if not self.is_of(request.uuid):
            raise InvalidDomain(
                f"the domain's UUID is {show(self.uuid)}, but the instance's"
                f" is {request.uuid}; leave it out of the domain"
            )
        _child(self._root, "uuid").text = request.uuid
        name = _child(self._root, "name")
        name.text = name.text or f"instance-{request.uuid}"
        metadata = _child(self._root, "metadata")
        if metadata.find(f"{{{NAMESPACE}}}instance") is None:
            etree.SubElement(
                metadata,
                f"{{{NAMESPACE}}}instance",
                nsmap={"cfgdrive_virt": NAMESPACE},
            )
        machine = _child(_child(self._root, "os"), "type")
        machine.text = machine.text or "hvm"
        try:
            architecture = machine.get("arch") or planned.architecture
            machine.set("arch", architecture)
            machine_type = (
                planned.machine_type
                if architecture == planned.architecture
                else DEFAULT_TYPES.get(architecture)
            )
            if machine_type is not None:
                machine.set("machine", machine.get("machine") or machine_type)
        except ValueError as error:
            raise InvalidDomain(
                f"XML can't contain the machine {show(planned.description)}"
            ) from error
        targets = self._root.iterfind("devices/disk/target")
        return Machine(
            str(machine.get("arch")),
            machine.get("machine"),
            frozenset(target.get("dev", "") for target in targets),
            frozenset(places.taken(self._root)),
            frozenset(places.controllers(self._root)),
        )

    def add_device(self, xml: str) -> None:
        """Add a disk or a controller to the devices."""
        _child(self._root, "devices").append(etree.fromstring(xml))

    def disk_sources(self) -> list[str]:
        """Return the paths and volumes (``pool/name``) of the disks."""
        disks = self._root.iterfind("devices/disk[source]")
        return [_source(disk) for disk in disks]

    @property
    def run(self) -> str | None:
        """Return the id of the domain's current run; None if it is off."""
        return self._root.get("id")

    def disk_of(self, source: str) -> Disk | None:
        """Return the disk with this path or volume (``pool/name``)."""
        return next((d for d in self._disks() if d.source == source), None)

    def disk_at(self, target: str) -> Disk | None:
        """Return the disk with this target, such as ``vdz``."""
        return next((d for d in self._disks() if d.target == target), None)

    def _disks(self) -> Iterator[Disk]:
        return map(Disk, self._root.iterfind("devices/disk"))

    def locate(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """Return devices with the bus and address that libvirt assigned.

        A bus or address that a device already has stays.
        """
        return tuple(
            dataclasses.replace(
                device,
                bus=device.bus or bus,
                address=device.address or address,
            )
            for device in devices
            for bus, address in [self._address(device)]
        )

    def _address(self, device: Device) -> tuple[str | None, str | None]:
        # The guest finds a share by its tag, without bus and address.
        if isinstance(device, ShareDevice) or (
            isinstance(device, DiskDevice) and device.serial is None
        ):
            return None, None
        # Not by an XPath expression: values could change its meaning.
        for element in self._root.iterfind("devices/*"):
            if isinstance(device, NicDevice):
                mac = element.find("mac")
                found = mac is not None and device.mac == (
                    mac.get("address", "").lower()
                )
            else:
                found = (
                    element.tag == "disk"
                    and element.findtext("serial") == device.serial
                )
            if found:
                return _address(element)
        LOG.warning(
            "The domain has no %s: its address is missing on the drive", device
        )
        return None, None


def small_domain(request: ConfigDriveRequest, virt_type: str) -> str:
    """Return a small domain with the request's interfaces and no disk."""
    domain = etree.Element("domain", type=virt_type)
    etree.SubElement(domain, "memory", unit="MiB").text = "128"
    etree.SubElement(domain, "vcpu").text = "1"
    devices = etree.SubElement(domain, "devices")
    network = request.network or NetworkInfo()
    for interface in network.interfaces:
        element = etree.SubElement(devices, "interface", type="user")
        etree.SubElement(element, "mac", address=interface.mac)
        etree.SubElement(element, "model", type="virtio")
    etree.SubElement(devices, "console", type="pty")
    return etree.tostring(domain, encoding="unicode")


def _child(parent: etree._Element, tag: str) -> etree._Element:
    found = parent.find(tag)
    return etree.SubElement(parent, tag) if found is None else found


def _remove(parent: etree._Element, *tags: str) -> None:
    for tag in tags:
        for element in parent.findall(tag):
            parent.remove(element)


def _source(disk: etree._Element) -> str:
    source = disk.find("source")
    if source is None:
        return ""
    return source.get("file") or source.get("name") or ""


def _address(element: etree._Element) -> tuple[str | None, str | None]:
    """Return bus and address in the format of device metadata.

    The formats are those of nova.objects.virt_device_metadata; nova's libvirt
    driver itself sets PCI addresses only.
    """
    address = element.find("address")
    if address is None:
        return None, None
    part = cast("Mapping[str, str]", address.attrib)
    target = element.find("target")
    kind = part.get("type", "")
    if kind == "drive" and target is not None:
        kind = target.get("bus", "")
    try:
        if kind == "pci":
            domain, bus, slot, function = (
                int(part[name], 16)
                for name in ("domain", "bus", "slot", "function")
            )
            return kind, f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
        names = _ADDRESSES[kind]
        return kind, ":".join(part[name] for name in names)
    except (KeyError, ValueError):
        # A bus without a format, or an address that is incomplete so far.
        return None, None
