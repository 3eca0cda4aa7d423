"""A domain's XML may be anybody's."""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import (
    ConfigDriveRequest,
    DiskDevice,
    Interface,
    Machine,
    NetworkInfo,
    NicDevice,
    ShareDevice,
)
from cfgdrive_virt.exception import InvalidDomain
from cfgdrive_virt.libvirt_xml.domain import (
    NAMESPACE,
    Disk,
    Domain,
    small_domain,
)
from cfgdrive_virt.model.request import Device

from ..samples import MAC, OTHER_UUID, UUID, request
from .golden import assert_is_golden

X86 = Machine("x86_64")


def complete(
    xml: str | bytes, told: Machine = X86, **fields: Any
) -> tuple[ET.Element, Machine]:
    """Return a completed domain, as libvirt would parse it."""
    domain = Domain(xml)
    guest = domain.complete(request(**fields), told)
    return ET.fromstring(str(domain)), guest


def locate(devices: str, *told: Device) -> list[tuple[Any, Any]]:
    """Return bus and address of what a domain has."""
    domain = Domain(f"<domain><devices>{devices}</devices></domain>")
    return [
        (device.bus, device.address) for device in domain.locate(tuple(told))
    ]


def interface(address: str, mac: str = MAC) -> str:
    return f"<interface><mac address='{mac}'/>{address}</interface>"


def disk(address: str, bus: str = "scsi", serial: str = "s") -> str:
    return (
        f"<disk><serial>{serial}</serial><target dev='x' bus='{bus}'/>"
        f"{address}</disk>"
    )


NIC, DISK = NicDevice(mac=MAC), DiskDevice(serial="s")


@pytest.mark.parametrize(
    "xml",
    [
        "", " ", "domain", "<domain>", "<domain></devices></domain>", b"",
        b"\xff\xfe", b"\0", "<domain>&nothing;</domain>", "{}", b"\x7fELF",
        "<domain>\0</domain>", "<domain>\ud800</domain>",
        b"<?xml version='1.0' encoding='nonsense'?><domain/>",
        "<domain>" + "<a>" * 5000 + "</a>" * 5000 + "</domain>",
    ],
    ids=lambda xml: ascii(xml)[:30],
)  # fmt: skip
def test_what_is_no_xml_is_refused(xml: str | bytes) -> None:
    with pytest.raises(InvalidDomain):
        Domain(xml)


@pytest.mark.parametrize(
    "xml",
    [
        "<disk/>",
        "<domainsnapshot/>",
        "<d:domain xmlns:d='urn:x'/>",
        "<Domain/>",
    ],
)
def test_another_root_is_refused(xml: str) -> None:
    with pytest.raises(InvalidDomain, match="expected a <domain>, found '"):
        Domain(xml)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_bytes_are_read_in_the_encoding_that_they_declare(
    encoding: str,
) -> None:
    declared = f"<?xml version='1.0' encoding='{encoding}'?>"
    xml = f"{declared}<domain><name>é</name></domain>"
    root, _ = complete(xml.encode(encoding))
    assert root.findtext("name") == "é"


def test_a_text_is_read_whatever_encoding_it_declares() -> None:
    xml = "<?xml version='1.0' encoding='iso-8859-1'?><domain><name>é</name></domain>"  # noqa: E501
    root, _ = complete(xml)
    assert root.findtext("name") == "é"


ATTACKS = {
    "file": "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file://{secret}'>]>"
    "<domain><name>&x;</name></domain>",
    "attribute": "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file://{secret}'>]>"
    "<domain><title>&x;</title></domain>",
    "parameter": "<!DOCTYPE domain [<!ENTITY % x SYSTEM 'file://{secret}'>"
    "%x;]><domain/>",
    "dtd": "<!DOCTYPE domain SYSTEM 'file://{secret}'><domain/>",
    "xinclude": "<domain xmlns:i='http://www.w3.org/2001/XInclude'>"
    "<i:include href='{secret}' parse='text'/></domain>",
    "internal": "<!DOCTYPE domain [<!ENTITY x 'hunter2'>]>"
    "<domain><name>&x;</name></domain>",
}


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_nothing_outside_of_the_text_is_loaded(
    tmp_path: Path, attack: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    try:
        domain = Domain(ATTACKS[attack].format(secret=secret))
        domain.complete(request(), X86)
        told = str(domain)
    except InvalidDomain as error:
        told = str(error)
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE domain>", "<!DOCTYPE domain []>",
        "<!DOCTYPE domain SYSTEM 'x'>", "<!DOCTYPE domain [<!ENTITY x 'y'>]>",
    ],
)  # fmt: skip
def test_a_doctype_is_refused(doctype: str) -> None:
    # libvirt's error would quote the whole domain.
    with pytest.raises(InvalidDomain, match="must not have a DOCTYPE"):
        Domain(f"<?xml version='1.0'?>{doctype}<domain/>")


@pytest.mark.parametrize("depth", [5, 9])
def test_entities_do_not_multiply(depth: int) -> None:
    entities = "".join(
        f"<!ENTITY l{number} '{f'&l{number - 1};' * 10}'>"
        for number in range(1, depth)
    )
    laughs = (
        f"<!DOCTYPE d [<!ENTITY l0 'ha'>{entities}]>"
        f"<domain><name>&l{depth - 1};</name></domain>"
    )
    try:
        domain = Domain(laughs)
        domain.complete(request(), X86)
    except InvalidDomain:
        return
    assert len(str(domain)) < 10_000


def test_a_domain_of_which_nothing_is_told_is_completed() -> None:
    domain = Domain("<domain type='kvm'/>")
    guest = domain.complete(request(), Machine("x86_64", "pc"))
    assert_is_golden(str(domain), "completed")
    assert guest == Machine("x86_64", "pc")


def test_what_a_domain_says_of_itself_stays() -> None:
    root, guest = complete(
        f"<domain><name>mine</name><uuid> {UUID.upper()}\n</uuid>"
        "<metadata><a xmlns='urn:a'/></metadata>"
        "<os><type arch='aarch64' machine='virt'>hvm</type></os></domain>",
        Machine("x86_64", "pc"),
    )
    assert root.findtext("name") == "mine"
    assert root.findtext("uuid") == UUID
    assert guest == Machine("aarch64", "virt")
    assert root.find("metadata/{urn:a}a") is not None


def test_a_comment_hides_nothing() -> None:
    root, _ = complete(
        f"<domain><name><!-- c -->mine</name><uuid><!-- c -->{UUID}</uuid>"
        "</domain>"
    )
    assert "".join(root.find("uuid").itertext()) == UUID
    assert "".join(root.find("name").itertext()) == "mine"


def test_a_domain_is_marked_as_ours_once() -> None:
    domain = Domain("<domain/>")
    for _ in range(2):
        domain.complete(request(), X86)
    root = ET.fromstring(str(domain))
    assert len(root.findall(f"metadata/{{{NAMESPACE}}}instance")) == 1


@pytest.mark.parametrize("uuid", [OTHER_UUID, "x", "../..", f"{UUID}0"])
def test_a_domain_of_another_instance_is_refused(uuid: str) -> None:
    with pytest.raises(InvalidDomain) as caught:
        complete(f"<domain><uuid>{uuid}</uuid></domain>")
    assert UUID in str(caught.value)
    assert repr(uuid) in str(caught.value)


@pytest.mark.parametrize(
    "uuid",
    ["", "\t\n", UUID, f" {UUID.upper()} ", UUID.replace("-", "")],
    ids=ascii,
)
def test_a_uuid_that_is_none_or_its_own_is_written_as_ours(uuid: str) -> None:
    root, _ = complete(f"<domain><uuid>{uuid}</uuid></domain>")
    assert [found.text for found in root.findall("uuid")] == [UUID]


def test_targets_that_are_taken_are_told() -> None:
    _, guest = complete(
        "<domain><devices><disk><target dev='vda'/></disk>"
        "<!-- <disk><target dev='vdb'/></disk> -->"
        "<disk device='cdrom'><target dev='hdd' bus='ide'/></disk>"
        "<filesystem><target dir='vdc'/></filesystem></devices></domain>"
    )
    assert guest.targets == {"vda", "hdd"}


def test_a_planned_machine_type_is_that_architectures_only() -> None:
    for architecture, machine_type in (("ppc64le", None), ("aarch64", "virt")):
        xml = f"<domain><os><type arch='{architecture}'/></os></domain>"
        _, guest = complete(xml, Machine("x86_64", "q35"))
        assert guest == Machine(architecture, machine_type)


@pytest.mark.parametrize("char", ["\0", "\x1b", "\ufffe"], ids=ascii)
@pytest.mark.parametrize("field", ["architecture", "machine_type"])
def test_a_machine_that_xml_cannot_name_is_an_error_of_ours(
    field: str, char: str
) -> None:
    # Its name may be an image property, and so a tenant's.
    told = {"architecture": "x86_64", field: f"pc{char}"}
    with pytest.raises(InvalidDomain):
        complete("<domain/>", Machine(**told))


def test_a_disk_is_added_to_the_devices() -> None:
    for xml in ("<domain/>", "<domain><devices><input/></devices></domain>"):
        domain = Domain(xml)
        domain.add_device("<disk type='file'/>")
        devices = ET.fromstring(str(domain)).find("devices")
        assert devices is not None
        assert devices[-1].attrib == {"type": "file"}


def test_a_small_domain_has_the_interfaces_and_boots_nothing() -> None:
    links = [Interface(mac=MAC), Interface(mac="fa:16:3e:00:00:01")]
    made = request(network=NetworkInfo(interfaces=links))
    assert_is_golden(small_domain(made, "qemu"), "small")


def test_a_small_domain_of_no_network_has_no_interface() -> None:
    assert "<interface" not in small_domain(request(), "qemu")


PCI = (
    "<address type='pci' domain='0x0000' bus='0x0a' slot='0x1f'"
    " function='0x7'/>"
)
USB = "<address type='usb' bus='0' port='1.2'/>"
CCW = "<address type='ccw' cssid='0xfe' ssid='0x0' devno='0x0'/>"
HOSTDEV = f"<hostdev><mac address='{MAC}'/>{PCI}</hostdev>"
DRIVE = "<address type='drive' controller='1' bus='2' target='3' unit='4'/>"


@pytest.mark.parametrize(
    ("devices", "device", "bus", "address"),
    [
        (interface(PCI), NIC, "pci", "0000:0a:1f.7"),
        (interface(PCI, MAC.upper()), NIC, "pci", "0000:0a:1f.7"),
        (disk(PCI, "virtio"), DISK, "pci", "0000:0a:1f.7"),
        (disk(USB, "usb"), DISK, "usb", "0:1.2"),
        (disk(DRIVE), DISK, "scsi", "1:2:3:4"),
        (disk(DRIVE, "ide"), DISK, "ide", "2:4"),
        (disk(DRIVE, "sata"), DISK, None, None),
        (disk(CCW, "virtio"), DISK, None, None),
        (interface(""), NIC, None, None),
        (disk(""), DISK, None, None),
        (HOSTDEV, NIC, "pci", "0000:0a:1f.7"),
    ],
    ids=[
        "pci", "upper-case", "virtio", "usb", "scsi", "ide", "sata", "ccw",
        "none", "none-disk", "hostdev",
    ],
)  # fmt: skip
def test_a_device_is_where_libvirt_put_it(
    devices: str, device: Device, bus: str | None, address: str | None
) -> None:
    assert locate(devices, device) == [(bus, address)]


def test_what_a_device_says_of_itself_stays() -> None:
    told = NicDevice(mac=MAC, bus="xen", address="mine")
    half = NicDevice(mac=MAC, bus="xen")
    assert locate(interface(PCI), told, half) == [
        ("xen", "mine"),
        ("xen", "0000:0a:1f.7"),
    ]


@pytest.mark.parametrize(
    "device",
    [ShareDevice(share_id="s", tag="t"), DiskDevice()],
    ids=["share", "disk-without-serial"],
)
def test_what_libvirt_does_not_tell_apart_has_no_address_and_no_warning(
    caplog: pytest.LogCaptureFixture, device: Device
) -> None:
    assert locate(disk(DRIVE), device) == [(None, None)]
    assert caplog.text == ""


def test_a_device_that_is_not_there_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert locate(disk(DRIVE, serial="other"), DISK) == [(None, None)]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    told = record.getMessage()
    assert told.startswith("The domain has no DiskDevice(serial='s', ")
    assert told.endswith(": its address is missing on the drive")


def test_a_device_that_is_there_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    locate(interface("") + disk(DRIVE), NIC, DISK)
    assert caplog.records == []


@pytest.mark.parametrize(
    "serial",
    [
        "'", '"', "' or '1'='1", "$value", "s']/../disk[serial='x", "]", "{}",
        "%s", "é", " ", "\t", "\x1b[31m", "\x7f", "\ufffe",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_hostile_serial_finds_nothing_that_is_not_its_own(
    serial: str,
) -> None:
    assert locate(disk(DRIVE), DiskDevice(serial=serial)) == [(None, None)]


def test_what_is_logged_cannot_steer_a_terminal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    locate("", DiskDevice(serial="\x9b31m"))
    assert "\x9b" not in caplog.messages[0]


@pytest.mark.parametrize(
    "address",
    [
        "<address type='pci'/>",
        "<address type='pci' domain='0' bus='x' slot='0' function='0'/>",
        "<address type='pci' domain='' bus='' slot='' function=''/>",
        "<address type='usb'/>",
        "<address type='usb' bus='0'/>",
        "<address type='drive'/>",
        "<address type='drive' controller='0' bus='0'/>",
        "<address/>",
    ],
)
def test_an_address_that_is_not_whole_tells_nothing(address: str) -> None:
    # A service may leave the rest of it to libvirt.
    for devices, device in ((interface(address), NIC), (disk(address), DISK)):
        assert locate(devices, device) == [(None, None)]


def test_tags_stay_with_their_devices() -> None:
    made = ConfigDriveRequest(
        uuid=UUID,
        name="n",
        hostname="h",
        devices=[NicDevice(mac=MAC, tags=["'\"<&>"])],
    )
    domain = Domain(f"<domain><devices>{interface(PCI)}</devices></domain>")
    (found,) = domain.locate(made.devices)
    assert found.tags == ("'\"<&>",)


RUNNING = """
<domain type='kvm' id='7'><devices>
  <disk type='network' device='disk'>
    <auth username='nova'><secret type='ceph' uuid='u'/></auth>
    <source protocol='rbd' name='pool/volume' index='2'>
      <host name='::1' port='6789'/>
    </source>
    <backingStore/>
    <target dev='vdz' bus='virtio'/>
    <alias name='virtio-disk25'/>
    <address type='pci' slot='0x02'/>
  </disk>
  <disk type='file' device='cdrom'>
    <source file='/a/disk.config' startupPolicy='optional' index='1'/>
    <backingStore/>
    <target dev='hdd' bus='ide' tray='open'/>
    <readonly/>
    <alias name='ua-mine'/>
  </disk>
  <disk type='file' device='cdrom'>
    <source index='3'/><backingStore/><target dev='hdc' bus='ide'/>
  </disk>
</devices></domain>"""


def plain(xml: object) -> str:
    """Return XML without the space between elements."""
    return ET.canonicalize(str(xml), strip_text=True)


def found(target: str) -> Disk:
    disk = Domain(RUNNING).disk_at(target)
    assert disk is not None
    return disk


def test_a_domain_that_runs_has_a_number() -> None:
    assert Domain(RUNNING).run == "7"
    assert Domain("<domain/>").run is None


@pytest.mark.parametrize(
    ("source", "target"), [("pool/volume", "vdz"), ("/a/disk.config", "hdd")]
)
def test_a_disk_is_found_by_its_source_or_its_target(
    source: str, target: str
) -> None:
    for disk in (Domain(RUNNING).disk_of(source), found(target)):
        assert disk is not None
        assert (disk.source, disk.target) == (source, target)


def test_a_disk_that_is_not_there_is_not_found() -> None:
    for domain in (Domain(RUNNING), Domain("<domain/>")):
        assert domain.disk_of("volume") is None
        assert domain.disk_at("vda") is None


def test_a_disk_is_without_what_lasts_as_long_as_a_run() -> None:
    assert plain(found("vdz")) == plain(
        "<disk type='network' device='disk'>"
        "<auth username='nova'><secret type='ceph' uuid='u'/></auth>"
        "<source protocol='rbd' name='pool/volume'>"
        "<host name='::1' port='6789'/></source>"
        "<target dev='vdz' bus='virtio'/>"
        "<address type='pci' slot='0x02'/></disk>"
    )


def test_an_alias_that_an_owner_gave_stays() -> None:
    assert '<alias name="ua-mine"/>' in str(found("hdd"))


def test_a_drive_tells_of_its_tray() -> None:
    disk = found("hdd")
    assert (disk.is_cdrom, disk.tray_is_open) == (True, True)
    assert "tray" not in str(disk)
    assert not found("hdc").tray_is_open
    assert not found("vdz").is_cdrom


def test_a_cdrom_without_a_medium_has_no_source() -> None:
    assert found("hdc").source == ""
    empty = found("hdd").emptied()
    assert empty.source == ""
    assert plain(empty) == plain(
        "<disk type='file' device='cdrom'><target dev='hdd' bus='ide'/>"
        "<readonly/><alias name='ua-mine'/></disk>"
    )


def test_an_empty_drive_takes_anothers_medium_and_stays_itself() -> None:
    full = found("hdc").filled(found("hdd"))
    assert (full.source, full.target) == ("/a/disk.config", "hdc")
    assert plain(full) == plain(
        "<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/>"
        "<source file='/a/disk.config' startupPolicy='optional'/></disk>"
    )
    full = found("hdc").filled(found("vdz"))
    assert full.source == "pool/volume"
    assert plain(full) == plain(
        "<disk type='network' device='cdrom'><target dev='hdc' bus='ide'/>"
        "<auth username='nova'><secret type='ceph' uuid='u'/></auth>"
        "<source protocol='rbd' name='pool/volume'>"
        "<host name='::1' port='6789'/></source></disk>"
    )
    assert found("hdc").emptied().source == ""


def test_a_disk_without_a_target_or_a_source_is_read_too() -> None:
    disk = Disk("<disk/>")
    assert (disk.target, disk.source, disk.is_cdrom) == ("", "", False)


@pytest.mark.parametrize(
    "xml",
    [
        b"<domain>\0</domain>",
        b"<domain><" + b"a" * 9000 + b"></b></domain>",
        "<domain><\ufeffa></b></domain>".encode(),
        b"<x" + b"y" * 9000 + b"/>",
        b"<domain><uuid>" + b"z" * 9000 + b"</uuid></domain>",
    ],
)
def test_an_error_quotes_little_of_a_domain(
    sample: ConfigDriveRequest, xml: bytes
) -> None:
    with pytest.raises(InvalidDomain) as caught:
        Domain(xml).complete(sample, Machine("x86_64", None))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
