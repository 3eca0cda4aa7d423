"""The drive of a guest that runs is changed, and the guest reads it anew."""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
import re
import uuid as uuids
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import libvirt
import pytest

from cfgdrive_virt import image
from cfgdrive_virt.adapters.libvirt import LibvirtMedium, connected
from cfgdrive_virt.exception import DomainError
from cfgdrive_virt.libvirt_xml.disk import disk_xml
from cfgdrive_virt.model.decision import Decision
from cfgdrive_virt.model.drive import (
    CephAccess,
    FileLocation,
    Location,
    Monitor,
    RbdLocation,
)
from cfgdrive_virt.model.tree import MetadataTree

from ..ceph.cluster import Cluster, cluster, eventually
from .guests import Console, Probe, probe_domain_xml, run

SECRET_UUID = "5c1d36d4-9e4c-4b5b-a6d0-5b5e3c0d6f0e"
SECRET_XML = f"""
<secret ephemeral='no' private='yes'>
  <uuid>{SECRET_UUID}</uuid>
  <usage type='ceph'><name>client.compute secret</name></usage>
</secret>"""

CDROM = Decision("iso9660", "cdrom", "ide", "hdd", True, "a test")
SATA = Decision("iso9660", "cdrom", "sata", "sdf", True, "a test")
DISK = Decision("vfat", "disk", "virtio", "vdz", False, "a test")

PATH = "openstack/latest/user_data"
OLD, NEW = b"what was before", b"what comes next"

#: As machines before QEMU 6.1 have it: no ACPI, but a button at every port.
PCIE_HOTPLUG = """
<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>
  <q:arg value='-global'/>
  <q:arg value='ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'/>
</q:commandline>"""


@dataclass(frozen=True)
class Place:
    """Where a test's drive is; to write replaces it as a refresh does."""

    location: Location
    disk_xml: str
    write: Callable[[bytes], None]


@dataclass(frozen=True)
class Guest:
    """A domain with a drive, and what the probe in it says."""

    domain: libvirt.virDomain
    place: Place
    console: Console

    def medium(self, **options: object) -> LibvirtMedium:
        return LibvirtMedium(
            self.domain, self.place.location, self.place.disk_xml, **options
        )

    def round(self) -> int:
        """Return a round that has yet to look for the drive."""
        begun = re.findall(
            r"^PROBE begin (\d+)", self.console.text(), re.MULTILINE
        )
        return int(begun[-1]) + 2 if begun else 1

    def reads(self, content: bytes) -> None:
        assert self.console.probe_round(self.round()) == {
            PATH: hashlib.sha256(content).hexdigest()
        }

    def has_no_drive(self) -> None:
        said = rf"^PROBE begin {self.round()} .* drive=none$"
        self.console.wait_for(said, 60)

    def disk(self, flags: int = 0) -> str | None:
        return drive_of(self.domain.XMLDesc(flags), self.place)


Boot = Callable[..., Guest]


def image_of(image_format: str, content: bytes) -> bytes:
    tree = MetadataTree({PATH: content})
    return image.build(
        image_format, tree, label="config-2", timestamp=0, serial=1
    ).data


def file_place(directory: pathlib.Path, decision: Decision) -> Place:
    path = directory / "disk.config"

    def write(content: bytes) -> None:
        new = directory / "new"
        new.write_bytes(image_of(decision.format, content))
        new.replace(path)

    location = FileLocation(str(uuids.uuid4()), path)
    write(OLD)
    return Place(
        location, disk_xml(location, decision, cache="writeback"), write
    )


def drive_of(domain_xml: str, place: Place) -> str | None:
    """Return a domain's disk, without what changes from run to run."""
    target = ET.fromstring(place.disk_xml).find("target").attrib["dev"]
    for disk in ET.fromstring(domain_xml).iterfind("devices/disk"):
        if disk.find("target").attrib["dev"] != target:
            continue
        source = disk.find("source")
        if source is not None:
            source.attrib.pop("index", None)
        for added in disk.findall("backingStore"):
            disk.remove(added)
        return ET.canonicalize(ET.tostring(disk), strip_text=True)
    return None


@pytest.fixture
def connection(libvirtd_uri: str) -> Iterator[libvirt.virConnect]:
    with connected(libvirtd_uri) as connection:
        yield connection
        for domain in connection.listAllDomains():
            persistent = domain.isPersistent()
            if domain.isActive():
                domain.destroy()
            if persistent:
                domain.undefine()


@pytest.fixture
def boot(
    connection: libvirt.virConnect, probe: Probe, tmp_path: pathlib.Path
) -> Boot:
    """Start a guest that reads its drive again and again."""

    def boot(
        place: Place,
        machine: str = "pc",
        extra: str = "probe.lock=0",
        *,
        native: bool = False,
    ) -> Guest:
        console = Console(tmp_path / "serial.log")
        xml = probe_domain_xml(
            "probe",
            place.location.uuid,
            machine,
            probe,
            console.log,
            f"probe.interval=0.2 {extra}",
        )
        # What an owner may have added stays as it is.
        drive = place.disk_xml.replace(
            "<target",
            "<serial>drive-1</serial><alias name='ua-drive'/><target",
        )
        xml = xml.replace("<devices>", f"<devices>{drive}", 1)
        if native:
            xml = xml.replace("</domain>", f"{PCIE_HOTPLUG}</domain>")
        domain = connection.defineXML(xml)
        domain.create()
        return Guest(domain, place, console)

    return boot


@pytest.fixture
def bare(connection: libvirt.virConnect, tmp_path: pathlib.Path) -> Guest:
    """Start a domain that boots nothing, with a drive in a cdrom.

    It is paused: the firmware would close trays at any time.
    """
    place = file_place(tmp_path, CDROM)
    domain = connection.defineXML(bare_xml(place))
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    return Guest(domain, place, Console(tmp_path / "serial.log"))


def bare_xml(place: Place) -> str:
    return f"""
<domain type='qemu'>
  <name>bare</name><uuid>{place.location.uuid}</uuid>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>{place.disk_xml}</devices>
</domain>"""


def changes_without_a_reboot(guest: Guest) -> None:
    guest.reads(OLD)
    live, kept = guest.disk(), guest.disk(libvirt.VIR_DOMAIN_XML_INACTIVE)
    medium = guest.medium()

    medium.take()

    guest.has_no_drive()
    medium.take()
    guest.place.write(NEW)
    medium.give()
    medium.give()

    guest.reads(NEW)
    assert guest.disk() == live
    assert guest.disk(libvirt.VIR_DOMAIN_XML_INACTIVE) == kept
    assert guest.console.text().count("PROBE begin 1 ") == 1


@pytest.mark.parametrize(
    ("machine", "decision"),
    [("pc", CDROM), ("q35", SATA), ("pc", DISK), ("q35", DISK)],
    ids=["pc-cdrom", "q35-cdrom", "pc-disk", "q35-disk"],
)
def test_a_guest_reads_the_new_content_without_a_reboot(
    machine: str, decision: Decision, boot: Boot, tmp_path: pathlib.Path
) -> None:
    guest = boot(file_place(tmp_path, decision), machine)

    changes_without_a_reboot(guest)


@pytest.fixture(scope="module")
def ceph() -> Iterator[Cluster]:
    with cluster() as made:
        made.ceph("config", "set", "osd", "osd_client_watch_timeout", 3)
        yield made


@pytest.fixture
def ceph_access(
    connection: libvirt.virConnect, ceph: Cluster
) -> Iterator[CephAccess]:
    """Let libvirt have the key of Ceph's client."""
    key = (ceph.directory / "secret").read_text()
    secret = connection.secretDefineXML(SECRET_XML)
    secret.setValue(base64.b64decode(key))
    (monitor,) = ceph.ask("mon", "dump")["mons"]
    host, _, port = monitor["public_addr"].split("/")[0].rpartition(":")
    yield CephAccess((Monitor(host, int(port)),), ceph.user, SECRET_UUID)
    secret.undefine()


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_guest_reads_the_new_content_of_a_volume(
    machine: str,
    boot: Boot,
    ceph: Cluster,
    ceph_access: CephAccess,
    tmp_path: pathlib.Path,
) -> None:
    uuid = str(uuids.uuid4())
    location = RbdLocation(uuid, ceph.pool, f"{uuid}_disk.config")
    data = tmp_path / "data"

    def write(content: bytes) -> None:
        data.write_bytes(image_of("vfat", content))
        volume = f"rbd:{location.source}:conf={ceph.directory}/ceph.conf"
        run("qemu-img", "convert", "-n", "-fraw", "-Oraw", data, volume)

    data.write_bytes(image_of("vfat", OLD))
    ceph.rbd("import", data, location.source)
    xml = disk_xml(location, DISK, cache="writeback", ceph=ceph_access)
    guest = boot(Place(location, xml, write), machine)

    changes_without_a_reboot(guest)

    assert ceph.watchers(location.source.partition("/")[2])
    guest.medium().take()
    # Ceph's own tools may remove it as soon as it is out.
    assert ceph.watchers(location.source.partition("/")[2]) == []
    ceph.rbd("rm", location.source)


def test_a_domain_that_does_not_run_opens_the_new_content_when_it_does(
    boot: Boot, tmp_path: pathlib.Path
) -> None:
    guest = boot(file_place(tmp_path, CDROM))
    guest.domain.destroy()
    guest.console.log.unlink()
    before = guest.domain.XMLDesc()
    medium = guest.medium()

    medium.take()
    guest.place.write(NEW)
    medium.give()

    assert guest.domain.XMLDesc() == before
    guest.domain.create()
    guest.reads(NEW)


@pytest.mark.parametrize("decision", [CDROM, DISK], ids=["cdrom", "disk"])
def test_what_could_not_be_given_back_can_be_later(
    decision: Decision, boot: Boot, tmp_path: pathlib.Path
) -> None:
    guest = boot(file_place(tmp_path, decision))
    guest.reads(OLD)
    before = guest.disk()
    medium = guest.medium()
    medium.take()
    (tmp_path / "disk.config").unlink()

    with pytest.raises(DomainError, match=r"can't attach .*No such file"):
        medium.give()
    with pytest.raises(DomainError, match=r"can't attach .*No such file"):
        guest.medium().give()

    guest.has_no_drive()
    guest.place.write(NEW)
    # As a later process does, which hasn't seen the drive in its place.
    guest.medium().give()
    assert guest.disk() == before
    guest.reads(NEW)


def test_a_cdrom_that_is_mounted_stays(
    boot: Boot, tmp_path: pathlib.Path
) -> None:
    guest = boot(file_place(tmp_path, CDROM), extra="probe.hold=1")
    guest.reads(OLD)
    before = guest.disk()

    with pytest.raises(DomainError, match="Unmount it in the guest, or force"):
        guest.medium(timeout=1).take()

    assert guest.disk() == before
    guest.reads(OLD)
    # A guest that is forced has to mount it anew, whatever it finds there.
    medium = guest.medium(force=True)
    medium.take()
    guest.has_no_drive()
    guest.place.write(NEW)
    medium.give()
    assert guest.disk() == before


def test_a_guest_that_boots_is_asked_until_it_hears(
    boot: Boot, tmp_path: pathlib.Path
) -> None:
    guest = boot(file_place(tmp_path, DISK))
    medium = guest.medium()

    medium.take()

    assert guest.disk() is None
    guest.place.write(NEW)
    medium.give()
    guest.console.wait_for("^PROBE end 1 ", 60)
    guest.reads(NEW)


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_guest_that_hears_too_late_may_lose_its_disk_until_it_is_given(
    machine: str, boot: Boot, tmp_path: pathlib.Path
) -> None:
    guest = boot(file_place(tmp_path, DISK), machine)
    guest.reads(OLD)
    guest.domain.suspend()

    for _ in range(2):
        with pytest.raises(DomainError, match="may still do so later"):
            guest.medium(timeout=1).take()
        assert guest.disk() is not None

    guest.domain.resume()
    guest.has_no_drive()
    eventually(lambda: guest.disk() is None)
    guest.medium().give()
    guest.reads(OLD)


def test_a_disk_whose_own_pcie_port_takes_its_time_is_waited_for(
    boot: Boot, tmp_path: pathlib.Path
) -> None:
    guest = boot(file_place(tmp_path, DISK), "q35", native=True)
    guest.reads(OLD)
    medium = guest.medium()

    medium.take()
    # The same file, which QEMU may have open yet.
    medium.give()

    guest.reads(OLD)


def test_a_run_that_began_meanwhile_does_not_keep_the_old_content(
    bare: Guest,
) -> None:
    medium = bare.medium()
    medium.take()
    bare.domain.destroy()
    bare.domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    bare.place.write(NEW)
    assert open_files(bare) == {"disk.config (deleted)"}

    medium.give()

    assert open_files(bare) == {"disk.config"}


def test_a_run_that_is_over_meanwhile_is_none(bare: Guest) -> None:
    medium = bare.medium()
    medium.take()
    bare.domain.destroy()
    medium.give()
    bare.domain.undefine()

    medium.take()
    medium.give()


def test_a_domain_that_is_not_defined_is_told_where_the_drive_belongs(
    connection: libvirt.virConnect, tmp_path: pathlib.Path
) -> None:
    place = file_place(tmp_path, CDROM)
    domain = connection.createXML(
        bare_xml(place), libvirt.VIR_DOMAIN_START_PAUSED
    )
    guest = Guest(domain, place, Console(tmp_path / "serial.log"))
    before = guest.disk()

    guest.medium().take()
    assert open_files(guest) == set()
    place.write(NEW)
    untold = LibvirtMedium(domain, place.location, None)
    for call in (untold.take, untold.give):
        with pytest.raises(DomainError, match="does not name a device for it"):
            call()
    guest.medium().give()

    assert open_files(guest) == {"disk.config"}
    assert guest.disk() == before


def test_a_tray_that_the_guest_has_opened_is_closed(
    bare: Guest, libvirtd_uri: str
) -> None:
    before = bare.disk()
    monitor(libvirtd_uri, "blockdev-open-tray", id="ide0-1-1")
    eventually(lambda: "tray=" in str(bare.disk()))

    bare.medium().give()

    assert bare.disk() == before


class Confused:
    """A domain whose tray libvirt takes to be open.

    It comes of an eject while the firmware starts, once in ten times.
    """

    def __init__(self, domain: libvirt.virDomain) -> None:
        self._domain = domain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._domain, name)

    def updateDeviceFlags(self, *_: object) -> None:  # noqa: N802
        raise libvirt.libvirtError("Tray of device 'ide0-1-1' is not open")


def test_a_tray_that_a_reset_has_closed_unseen_is_explained(
    bare: Guest,
) -> None:
    medium = LibvirtMedium(
        Confused(bare.domain), bare.place.location, bare.place.disk_xml
    )

    with pytest.raises(DomainError, match="restart libvirt's daemon"):
        medium.take()


def monitor(uri: str, command: str, **arguments: str) -> str:
    """Return what the bare domain's QEMU answers."""
    asked = json.dumps({"execute": command, "arguments": arguments})
    return run("virsh", "-c", uri, "qemu-monitor-command", "bare", asked)


def test_something_else_in_its_place_is_not_taken_for_it(
    bare: Guest, tmp_path: pathlib.Path
) -> None:
    other = tmp_path / "other.iso"
    other.write_bytes(image_of("iso9660", NEW))
    path = str(bare.place.location)
    bare.domain.updateDeviceFlags(
        bare.place.disk_xml.replace(path, str(other)),
        libvirt.VIR_DOMAIN_AFFECT_LIVE,
    )
    before = bare.disk()

    for call in (bare.medium().take, bare.medium().give):
        with pytest.raises(DomainError, match=r"hdd .* is .*other\.iso, not"):
            call()

    assert bare.disk() == before


def test_a_connection_that_may_only_look_explains_what_it_may_not(
    bare: Guest, libvirtd_uri: str
) -> None:
    before = bare.disk()
    connection = libvirt.openReadOnly(libvirtd_uri)
    domain = connection.lookupByUUIDString(bare.domain.UUIDString())
    medium = LibvirtMedium(domain, bare.place.location, bare.place.disk_xml)

    with pytest.raises(DomainError, match=r"can't detach drive /.*: .+"):
        medium.take()
    medium.give()

    connection.close()
    assert bare.disk() == before


def open_files(guest: Guest) -> set[str]:
    """Return the files beside the drive that the domain's QEMU has open."""
    directory = f"{pathlib.Path(guest.place.location.source).parent}/"
    uuid = guest.domain.UUIDString().encode()
    found = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if uuid not in (process / "cmdline").read_bytes():
                continue
            links = {str(fd.readlink()) for fd in process.glob("fd/*")}
        except OSError:
            continue
        found |= {
            link.removeprefix(directory)
            for link in links
            if link.startswith(directory)
        }
    return found
