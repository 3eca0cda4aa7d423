"""The bus and address of a device in a domain's XML, as nova reads them."""

from __future__ import annotations

import warnings

import pytest
from lxml import etree

from cfgdrive_virt import DiskDevice, NicDevice
from cfgdrive_virt.libvirt_xml.domain import Domain
from cfgdrive_virt.model.request import Device

with warnings.catch_warnings():
    # Nova's requirements use what Python is going to drop.
    warnings.simplefilter("ignore")
    from nova.virt.libvirt import config
    from nova.virt.libvirt.driver import LibvirtDriver

MAC = "fa:16:3e:ed:9a:59"
SERIAL = "2f6d2b8e-7c55-4a0c-9a57-2d7a9c5e5b1f"

PCI = """<address type="pci" domain="0x0000" bus="0x0a" slot="0x1f"
    function="0x7"/>"""
DRIVE = '<address type="drive" controller="0" bus="1" target="2" unit="3"/>'
USB = '<address type="usb" bus="0" port="1.2"/>'
CCW = '<address type="ccw" cssid="0xfe" ssid="0x0" devno="0x0001"/>'


def interface(address: str) -> str:
    return f"""<interface type="bridge"><mac address="{MAC}"/>
        <source bridge="br"/>{address}</interface>"""


def disk(bus: str, address: str) -> str:
    return f"""<disk type="file" device="disk"><source file="/d"/>
        <target dev="da" bus="{bus}"/><serial>{SERIAL}</serial>
        {address}</disk>"""


def novas(xml: str) -> tuple[str | None, str | None]:
    element = etree.fromstring(xml)
    found = {
        "interface": config.LibvirtConfigGuestInterface,
        "disk": config.LibvirtConfigGuestDisk,
    }[element.tag]()
    found.parse_dom(element)
    bus = LibvirtDriver._prepare_device_bus(found)
    if bus is None:
        return None, None
    name = type(bus).__name__.removesuffix("DeviceBus").lower()
    return name, bus.address if "address" in bus else None


def ours(xml: str) -> tuple[str | None, str | None]:
    device: Device = NicDevice(mac=MAC)
    if xml.startswith("<disk"):
        device = DiskDevice(serial=SERIAL)
    domain = Domain(f"<domain><devices>{xml}</devices></domain>")
    (found,) = domain.locate((device,))
    return found.bus, found.address


@pytest.mark.parametrize(
    "xml",
    [
        pytest.param(interface(PCI), id="interface on PCI"),
        pytest.param(interface(CCW), id="interface on CCW"),
        pytest.param(interface(""), id="interface without address"),
        pytest.param(disk("virtio", PCI), id="disk on PCI"),
        pytest.param(disk("virtio", CCW), id="disk on CCW"),
        pytest.param(disk("sata", DRIVE), id="disk on SATA"),
        pytest.param(disk("virtio", ""), id="disk without address"),
    ],
)
def test_same_bus_and_address(xml: str) -> None:
    assert ours(xml) == novas(xml)


@pytest.mark.parametrize(
    ("xml", "bus", "address"),
    [
        pytest.param(disk("scsi", DRIVE), "scsi", "0:1:2:3", id="SCSI"),
        pytest.param(disk("ide", DRIVE), "ide", "1:3", id="IDE"),
        pytest.param(disk("usb", USB), "usb", "0:1.2", id="USB"),
    ],
)
def test_address_of_a_disk_where_nova_tells_the_bus_only(
    xml: str, bus: str, address: str
) -> None:
    # Nova's documentation has them, in its libvirt driver only PCI's are.
    assert novas(xml) == (bus, None)
    assert ours(xml) == (bus, address)


def test_bus_of_a_usb_interface_where_nova_tells_none() -> None:
    assert novas(interface(USB)) == (None, None)
    assert ours(interface(USB)) == ("usb", "0:1.2")
