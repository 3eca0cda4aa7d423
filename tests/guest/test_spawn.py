"""A compute service spawns an instance, and the guest reads its drive."""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
import signal
import subprocess
import sys
import time
import uuid as uuids
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import libvirt
import pytest
from oslo_config import cfg

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveError,
    ConfigDriveRequest,
    DiskDevice,
    Drive,
    InjectedFile,
    Interface,
    Keypair,
    NetworkInfo,
    NicDevice,
    ShareDevice,
    Subnet,
)
from cfgdrive_virt.adapters.libvirt import LibvirtService, connected
from cfgdrive_virt.conf import register_opts

from .guests import (
    Console,
    Probe,
    cloud_domain_xml,
    cloud_overlay,
    probe_domain_xml,
)

MAC = "52:54:00:12:34:56"


@pytest.fixture
def connection(libvirtd_uri: str) -> Iterator[libvirt.virConnect]:
    with connected(libvirtd_uri) as connection:
        yield connection
        for domain in connection.listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefine()


@pytest.fixture
def instances(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "instances"
    path.mkdir()
    return path


@pytest.fixture
def driver(instances: pathlib.Path) -> ConfigDriveDriver:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    register_opts(conf)
    conf.set_override("instances_path", str(instances))
    conf.set_override("virt_type", "qemu", "libvirt")
    return ConfigDriveDriver(conf)


@pytest.fixture
def service(
    connection: libvirt.virConnect, driver: ConfigDriveDriver
) -> LibvirtService:
    return LibvirtService(connection, driver)


def a_request(**fields: object) -> ConfigDriveRequest:
    known: dict[str, object] = {
        "uuid": str(uuids.uuid4()),
        "name": "guest",
        "hostname": "guest",
        "config_drive": True,
        "user_data": b"#!/bin/sh\nexit 0\n",
        "injected_files": (
            InjectedFile(
                path="/etc/a 'b' \"c\" <d>", content=bytes(range(256))
            ),
            InjectedFile(path="/etc/empty", content=b""),
        ),
    }
    return ConfigDriveRequest(**{**known, **fields})


def a_command(
    uuid: str, instances: pathlib.Path, directory: pathlib.Path
) -> tuple[list[str], str]:
    """Return our command, configured, and an instance file for it."""
    conf = directory / "nova.conf"
    conf.write_text(
        f"[DEFAULT]\ninstances_path = {instances}\n"
        "[libvirt]\nvirt_type = qemu\n"
    )
    instance = directory / f"{uuid}.yaml"
    instance.write_text(
        f"{{uuid: {uuid}, name: n, hostname: n, config_drive: true}}"
    )
    program = pathlib.Path(sys.executable).with_name("cfgdrive-virt")
    return [str(program), "--config-file", str(conf)], str(instance)


def set_format(driver: ConfigDriveDriver, image_format: str) -> None:
    driver._host.conf.set_override("config_drive_format", image_format)


def files_by_7z(
    drive: pathlib.Path, directory: pathlib.Path
) -> dict[str, bytes]:
    """Return a drive's files as somebody else's reader extracts them."""
    subprocess.run(
        ["7z", "x", "-bd", f"-o{directory}", drive],
        check=True,
        capture_output=True,
    )
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def disks(domain: libvirt.virDomain) -> dict[str, ET.Element]:
    root = ET.fromstring(domain.XMLDesc())
    return {
        disk.find("target").attrib["dev"]: disk
        for disk in root.iterfind("devices/disk")
    }


@pytest.mark.parametrize(
    ("machine", "system", "image_format", "device", "bus", "target"),
    [
        ("pc", "linux", "iso9660", "cdrom", "ide", "hdd"),
        ("q35", "linux", "iso9660", "cdrom", "scsi", "sdf"),
        ("q35", "windows", "iso9660", "cdrom", "sata", "sdf"),
        ("pc", "linux", "vfat", "disk", "virtio", "vdz"),
        ("q35", "linux", "vfat", "disk", "virtio", "vdz"),
    ],
)
def test_the_guests_kernel_reads_every_file(
    machine: str,
    system: str,
    image_format: str,
    device: str,
    bus: str,
    target: str,
    driver: ConfigDriveDriver,
    service: LibvirtService,
    connection: libvirt.virConnect,
    probe: Probe,
    instances: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    set_format(driver, image_format)
    request = a_request(image_properties={"os_type": system})
    console = Console(tmp_path / "serial.log")
    xml = probe_domain_xml(
        f"probe-{machine}", request.uuid, machine, probe, console.log
    )

    service.spawn(request, xml)

    drive = instances / request.uuid / "disk.config"
    assert drive.stat().st_mode & 0o777 == 0o600
    domain = connection.lookupByUUIDString(request.uuid)
    disk = disks(domain)[target]
    assert disk.attrib["device"] == device
    assert disk.find("target").attrib["bus"] == bus
    assert disk.find("source").attrib["file"] == str(drive)
    # libvirt copies writable disks only.
    assert (disk.find("readonly") is None) == (image_format == "vfat")
    written = files_by_7z(drive, tmp_path / "extracted")
    assert "openstack/latest/meta_data.json" in written
    assert console.probe_round(1) == {
        path: hashlib.sha256(content).hexdigest()
        for path, content in written.items()
    }

    service.destroy(request.uuid)

    assert not drive.parent.exists()
    with pytest.raises(libvirt.libvirtError, match="Domain not found"):
        connection.lookupByUUIDString(request.uuid)


@pytest.mark.parametrize("image_format", ["iso9660", "vfat"])
def test_cloud_init_comes_up_from_the_drive(
    image_format: str,
    driver: ConfigDriveDriver,
    service: LibvirtService,
    probe: Probe,
    cloud_image: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    set_format(driver, image_format)
    key = (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGprobeprobeprobeprobeprobe"
        "probeprobeprobepro probe@k1"
    )
    show = """#cloud-config
runcmd:
  - - sh
    - -c
    - |
      {
        echo "SEEN hostname $(hostname)"
        echo "SEEN source $(cloud-init query subplatform)"
        echo "SEEN uuid $(cloud-init query instance_id)"
        sed 's/^/SEEN key /' /root/.ssh/authorized_keys
        echo "SEEN file $(sha256sum < /etc/injected)"
        ip -br addr show eth0 | sed 's/^/SEEN address /'
        echo "SEEN all"
      } > /dev/console
"""
    content = bytes(range(256)) * 40
    request = a_request(
        hostname="web-1",
        keypairs=(Keypair(name="k1", public_key=key),),
        user_data=show.encode(),
        injected_files=(InjectedFile(path="/etc/injected", content=content),),
        network=NetworkInfo(
            interfaces=(
                Interface(
                    mac=MAC,
                    id="tap0",
                    mtu=1400,
                    subnets=(
                        Subnet(
                            type="ipv4",
                            cidr="192.0.2.0/24",
                            ip_address="192.0.2.10",
                            gateway="192.0.2.1",
                        ),
                    ),
                ),
            )
        ),
    )
    console = Console(tmp_path / "serial.log")
    overlay = cloud_overlay(cloud_image, tmp_path / "root.qcow2")
    xml = cloud_domain_xml(
        "cloud", request.uuid, "pc", probe, overlay, MAC, console.log
    )

    service.spawn(request, xml)

    console.wait_for("SEEN all", 300)
    seen = dict(re.findall(r"SEEN (\w+) (.*?)\r?\n", console.text()))
    assert seen["hostname"] == "web-1"
    device = {"iso9660": "/dev/sr0", "vfat": "/dev/vd"}[image_format]
    assert seen["source"].startswith(f"config-disk ({device}")
    assert seen["uuid"] == request.uuid
    assert key.split()[1] in seen["key"]
    assert hashlib.sha256(content).hexdigest() in seen["file"]
    assert "192.0.2.10/24" in seen["address"]


def test_device_tags_carry_the_addresses_that_libvirt_gave(
    service: LibvirtService,
    connection: libvirt.virConnect,
    instances: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    disk.write_bytes(bytes(1 << 20))
    xml = f"""
<domain type='qemu'>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <controller type='scsi' model='virtio-scsi'/>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{disk}'/>
      <target dev='sda' bus='scsi'/>
      <serial>on-scsi</serial>
      <shareable/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
      <serial>on-virtio</serial>
      <shareable/>
    </disk>
    <interface type='user'>
      <mac address='{MAC}'/><model type='virtio'/>
    </interface>
  </devices>
</domain>"""
    request = a_request(
        devices=(
            NicDevice(mac=MAC, tags=("public",)),
            DiskDevice(serial="on-scsi", tags=("a",)),
            DiskDevice(serial="on-virtio", tags=("b",)),
            DiskDevice(serial="not there", tags=("c",)),
            ShareDevice(share_id="s", tag="media"),
        )
    )

    service.spawn(request, xml)

    files = files_by_7z(
        instances / request.uuid / "disk.config", tmp_path / "extracted"
    )
    nic, on_scsi, on_virtio, missing, share = json.loads(
        files["openstack/latest/meta_data.json"]
    )["devices"]
    domain = connection.lookupByUUIDString(request.uuid)
    root = ET.fromstring(domain.XMLDesc())

    def pci(path: str) -> str:
        slot = root.find(path).attrib
        numbers = (
            int(slot[name], 16)
            for name in ("domain", "bus", "slot", "function")
        )
        return "{:04x}:{:02x}:{:02x}.{:x}".format(*numbers)

    assert (nic["bus"], nic["address"]) == (
        "pci",
        pci("devices/interface/address"),
    )
    assert (on_virtio["bus"], on_virtio["address"]) == (
        "pci",
        pci("devices/disk[serial='on-virtio']/address"),
    )
    assert (on_scsi["bus"], on_scsi["address"]) == ("scsi", "0:0:0:0")
    assert (missing["bus"], missing["address"]) == ("none", "none")
    assert (share["bus"], share["address"]) == ("none", "none")


@pytest.mark.parametrize(
    ("machine", "image_format", "properties"),
    [
        ("pc", "iso9660", {}),
        ("pc", "iso9660", {"hw_cdrom_bus": "scsi"}),
        ("pc", "iso9660", {"hw_cdrom_bus": "sata"}),
        ("pc", "iso9660", {"hw_cdrom_bus": "usb"}),
        ("q35", "iso9660", {}),
        ("q35", "iso9660", {"hw_cdrom_bus": "scsi"}),
        ("q35", "iso9660", {"hw_cdrom_bus": "usb"}),
        ("pc", "vfat", {}),
        ("pc", "vfat", {"hw_disk_bus": "ide"}),
        ("pc", "vfat", {"hw_disk_bus": "scsi"}),
        ("pc", "vfat", {"hw_disk_bus": "sata"}),
        ("pc", "vfat", {"hw_disk_bus": "usb"}),
        ("q35", "vfat", {}),
        ("q35", "vfat", {"hw_disk_bus": "scsi"}),
        ("q35", "vfat", {"hw_disk_bus": "sata"}),
        ("q35", "vfat", {"hw_disk_bus": "usb"}),
    ],
    ids=str,
)
def test_libvirt_starts_a_domain_with_the_drive_on_every_bus(
    machine: str,
    image_format: str,
    properties: dict[str, str],
    driver: ConfigDriveDriver,
    service: LibvirtService,
    connection: libvirt.virConnect,
) -> None:
    set_format(driver, image_format)
    request = a_request(
        image_properties={"hw_machine_type": machine, **properties}
    )

    spawned = service.spawn(request)

    decision = spawned.plan.decision
    assert decision is not None
    domain = connection.lookupByUUIDString(request.uuid)
    disk = disks(domain)[decision.target]
    assert domain.isActive()
    assert disk.find("target").attrib["bus"] == decision.bus
    # The target is one that needs no controller beyond the bus' first.
    controllers = [
        controller.attrib["index"]
        for controller in ET.fromstring(domain.XMLDesc()).iterfind(
            "devices/controller"
        )
        if controller.attrib["type"] == decision.bus
    ]
    assert controllers == ([] if decision.bus == "virtio" else ["0"])


def test_an_instance_that_needs_no_drive_gets_none(
    service: LibvirtService,
    connection: libvirt.virConnect,
    instances: pathlib.Path,
) -> None:
    request = a_request(config_drive=False)

    spawned = service.spawn(request)

    assert spawned.drive is None
    assert not disks(connection.lookupByUUIDString(request.uuid))
    assert not (instances / request.uuid).exists()


def test_a_domain_that_does_not_start_leaves_nothing(
    service: LibvirtService,
    connection: libvirt.virConnect,
    instances: pathlib.Path,
) -> None:
    request = a_request()
    xml = """
<domain type='qemu'>
  <memory unit='MiB'>64</memory>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>/nonexistent/kernel</kernel>
  </os>
</domain>"""

    with pytest.raises(ConfigDriveError, match="can't start domain"):
        service.spawn(request, xml)

    assert not connection.listAllDomains()
    assert not (instances / request.uuid).exists()


def test_a_domain_that_does_not_start_keeps_a_drive_that_was_there(
    service: LibvirtService, driver: ConfigDriveDriver
) -> None:
    request = a_request()
    drive = driver.spawn(request)
    assert drive is not None
    before = pathlib.Path(drive.location.source).read_bytes()
    xml = (
        "<domain type='qemu'><memory>65536</memory><os><type>hvm</type>"
        "<kernel>/nonexistent/kernel</kernel></os></domain>"
    )

    with pytest.raises(ConfigDriveError, match="can't start domain"):
        service.spawn(request, xml)

    assert pathlib.Path(drive.location.source).read_bytes() == before


def test_a_drive_that_cannot_be_built_leaves_no_domain(
    service: LibvirtService,
    connection: libvirt.virConnect,
    instances: pathlib.Path,
) -> None:
    instances.rmdir()

    with pytest.raises(ConfigDriveError, match="instances_path"):
        service.spawn(a_request())

    assert not connection.listAllDomains()
    assert not instances.exists()


def test_a_domain_that_is_there_is_left_alone(
    service: LibvirtService,
    connection: libvirt.virConnect,
    instances: pathlib.Path,
) -> None:
    request = a_request()
    xml = f"""
<domain type='qemu'>
  <name>theirs</name><uuid>{request.uuid}</uuid>
  <memory unit='MiB'>64</memory><os><type>hvm</type></os>
</domain>"""
    theirs = connection.defineXML(xml)
    before = theirs.XMLDesc()

    with pytest.raises(ConfigDriveError, match="already has a domain"):
        service.spawn(request)
    with pytest.raises(ConfigDriveError, match="was not spawned by"):
        service.destroy(request.uuid)
    # Another instance with a domain of the same name: libvirt refuses.
    other = a_request()
    with pytest.raises(ConfigDriveError, match="can't define"):
        service.spawn(other, xml.replace(f"<uuid>{request.uuid}</uuid>", ""))

    assert theirs.XMLDesc() == before
    assert not list(instances.glob("*/disk.config"))


def test_destroy_may_be_repeated(service: LibvirtService) -> None:
    request = a_request()
    service.spawn(request)

    first = service.destroy(request.uuid)
    second = service.destroy(request.uuid)

    assert (first.domain, first.drive) == (True, True)
    assert (second.domain, second.drive) == (False, False)


def test_an_address_that_is_no_libvirt_is_an_error() -> None:
    with (
        pytest.raises(ConfigDriveError, match="can't connect to"),
        connected("qemu+unix:///system?socket=/nonexistent"),
    ):
        pass


def test_of_many_who_spawn_an_instance_at_once_one_does(
    libvirtd_uri: str,
    connection: libvirt.virConnect,
    instances: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    request = a_request()
    command, instance = a_command(request.uuid, instances, tmp_path)

    spawning = [
        subprocess.Popen(
            [*command, "spawn", instance, "--connect", libvirtd_uri],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = [process.communicate()[1] for process in spawning]

    assert sorted(process.returncode for process in spawning) == [0, 1, 1, 1]
    assert sum("already has a domain" in text for text in said) == 3
    domain = connection.lookupByUUIDString(request.uuid)
    assert domain.isActive()
    assert (instances / request.uuid / "disk.config").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_spawn_that_is_ended_leaves_all_or_nothing(
    number: signal.Signals,
    libvirtd_uri: str,
    connection: libvirt.virConnect,
    instances: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    outcomes = set()
    for attempt in range(8):
        uuid = str(uuids.uuid4())
        command, instance = a_command(uuid, instances, tmp_path)
        process = subprocess.Popen(
            [*command, "spawn", instance, "--connect", libvirtd_uri],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.3 + attempt * 0.07)
        process.send_signal(number)
        process.wait()

        running = {
            domain.UUIDString() for domain in connection.listAllDomains()
        }
        built = (instances / uuid).exists()
        # A signal may come after the work is done, when Python is ending.
        assert (uuid in running) == built
        assert built or process.returncode != 0
        outcomes.add(built)
    assert False in outcomes


def test_a_rebuilt_drive_stays_when_its_domain_does_not_start(
    service: LibvirtService, driver: ConfigDriveDriver
) -> None:
    request = a_request()
    drive = driver.spawn(request)
    assert drive is not None
    xml = (
        "<domain type='qemu'><memory>65536</memory><os><type>hvm</type>"
        "<kernel>/nonexistent/kernel</kernel></os></domain>"
    )

    with pytest.raises(ConfigDriveError, match="can't start domain"):
        service.spawn(request, xml, rebuild=True)

    data = pathlib.Path(drive.location.source).read_bytes()
    assert b"CFGDRIVE_VIRT" in data


class Interrupted(ConfigDriveDriver):
    """Is interrupted once the drive is in place."""

    def spawn(self, *args: Any, **kwargs: Any) -> Drive | None:
        super().spawn(*args, **kwargs)
        raise KeyboardInterrupt


def test_an_interrupt_leaves_no_domain(
    connection: libvirt.virConnect, driver: ConfigDriveDriver
) -> None:
    interrupted = Interrupted(driver._host.conf)

    with pytest.raises(KeyboardInterrupt):
        LibvirtService(connection, interrupted).spawn(a_request())

    assert not connection.listAllDomains()


def test_destroy_wants_the_configuration_of_the_spawn(
    service: LibvirtService,
    driver: ConfigDriveDriver,
    connection: libvirt.virConnect,
    instances: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    request = a_request()
    service.spawn(request)
    (tmp_path / "elsewhere").mkdir()
    driver._host.conf.set_override(
        "instances_path", str(tmp_path / "elsewhere")
    )

    with pytest.raises(
        ConfigDriveError, match="configuration that the domain was"
    ):
        service.destroy(request.uuid)

    assert connection.lookupByUUIDString(request.uuid).isActive()
    assert (instances / request.uuid / "disk.config").is_file()


def test_a_domain_that_is_gone_meanwhile_is_no_reason_to_keep_the_drive(
    service: LibvirtService,
    connection: libvirt.virConnect,
    instances: pathlib.Path,
) -> None:
    request = a_request()
    service.spawn(request)
    domain = connection.lookupByUUIDString(request.uuid)
    domain.destroy()
    domain.undefine()

    destroyed = service.destroy(request.uuid)

    assert (destroyed.domain, destroyed.drive) == (False, True)
    assert not (instances / request.uuid).exists()
