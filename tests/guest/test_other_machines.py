"""Guests of other machines than pc read their drives.

Each runs its own architecture's kernel in QEMU's emulation, and reads every
file of a drive on the device that the policy has chosen.
"""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import libvirt
import pytest
from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.adapters.libvirt import LibvirtService, connected
from cfgdrive_virt.conf import register_opts

from .guests import Console, GuestMachine, Probe, probe_domain_xml
from .test_spawn import a_request

Q35 = GuestMachine("q35", flavour="cloud-amd64")
Q35_UEFI = GuestMachine("q35", flavour="cloud-amd64", uefi=True)
# By device tree
AARCH64 = GuestMachine("virt", "aarch64", "arm64", "ttyAMA0", "cortex-a57")
AARCH64_UEFI = GuestMachine(
    "virt", "aarch64", "cloud-arm64", "ttyAMA0", "cortex-a57", uefi=True
)
PPC64LE = GuestMachine("pseries", "ppc64le", "powerpc64le", "hvc0")
S390X = GuestMachine("s390-ccw-virtio", "s390x", "s390x", "ttysclp0")

#: Seconds until a guest has read its drive: 15 on an idle machine.
TIMEOUT = 240

#: The packages of each architecture's emulator and UEFI.
PACKAGES = {
    "x86_64": "qemu-system-x86 ovmf",
    "aarch64": "qemu-system-arm qemu-efi-aarch64",
    "ppc64le": "qemu-system-ppc",
    "s390x": "qemu-system-s390x, or qemu-system-misc where there is none",
}
#: What libvirt knows of firmware.
FIRMWARE = pathlib.Path("/usr/share/qemu/firmware")


@pytest.fixture
def connection(libvirtd_uri: str) -> Iterator[libvirt.virConnect]:
    with connected(libvirtd_uri) as connection:
        yield connection


@dataclass(frozen=True)
class Guest:
    """A guest that boots the probe, with a drive that our driver built.

    :param domain: its XML, as libvirt completed it
    :param checksums: of the files that went into the drive, by path
    """

    domain: ET.Element
    console: Console
    checksums: dict[str, str]


Spawn = Callable[..., Guest]


@pytest.fixture
def spawn(
    connection: libvirt.virConnect,
    probe_for: Callable[[GuestMachine], Probe],
    tmp_path: pathlib.Path,
) -> Iterator[Spawn]:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    register_opts(conf)
    (tmp_path / "instances").mkdir()
    conf.set_override("instances_path", str(tmp_path / "instances"))
    conf.set_override("virt_type", "qemu", "libvirt")
    driver = ConfigDriveDriver(conf)
    service = LibvirtService(connection, driver)
    uuids = []

    def boot(
        machine: GuestMachine, image_format: str, **properties: str
    ) -> Guest:
        needs = f"install {PACKAGES[machine.architecture]}"
        emulator = f"qemu-system-{machine.architecture}"
        assert shutil.which(emulator), needs
        firmware = list(FIRMWARE.glob(f"*{machine.architecture}*.json"))
        assert firmware or not machine.uefi, needs
        conf.set_override("config_drive_format", image_format)
        request = a_request(
            random_seed=bytes(range(256)),
            image_properties={
                "hw_architecture": machine.architecture,
                "hw_machine_type": machine.machine_type,
                **properties,
            },
        )
        console = Console(tmp_path / "serial.log")
        xml = probe_domain_xml(
            "other-machine",
            request.uuid,
            machine,
            probe_for(machine),
            console.log,
        )
        uuids.append(request.uuid)
        service.spawn(request, xml)
        domain = connection.lookupByUUIDString(request.uuid)
        checksums = {
            path: hashlib.sha256(content).hexdigest()
            for path, content in driver.tree(request).files.items()
        }
        return Guest(ET.fromstring(domain.XMLDesc()), console, checksums)

    yield boot
    for uuid in uuids:
        service.destroy(uuid)


@pytest.mark.parametrize(
    ("machine", "image_format"),
    [
        pytest.param(Q35, "iso9660", id="q35-iso9660"),
        pytest.param(Q35, "vfat", id="q35-vfat"),
        pytest.param(Q35_UEFI, "iso9660", id="q35-uefi"),
        pytest.param(AARCH64, "iso9660", id="aarch64-iso9660"),
        pytest.param(AARCH64, "vfat", id="aarch64-vfat"),
        pytest.param(AARCH64_UEFI, "iso9660", id="aarch64-uefi"),
        pytest.param(PPC64LE, "iso9660", id="ppc64le"),
        pytest.param(S390X, "iso9660", id="s390x-iso9660"),
        pytest.param(S390X, "vfat", id="s390x-vfat"),
    ],
)
def test_the_guests_kernel_reads_every_file(
    machine: GuestMachine, image_format: str, spawn: Spawn
) -> None:
    guest = spawn(machine, image_format)

    assert "openstack/latest/meta_data.json" in guest.checksums
    assert guest.console.probe_round(1, TIMEOUT) == guest.checksums
    (target,) = guest.domain.iterfind("devices/disk/target")
    models = [
        controller.get("model")
        for controller in guest.domain.iterfind("devices/controller")
        if controller.get("type") == "scsi"
    ]
    if image_format == "vfat":
        assert (target.get("bus"), models) == ("virtio", [])
    else:
        assert (target.get("bus"), models) == ("scsi", ["virtio-scsi"])


def test_a_sata_cdrom_needs_a_driver_that_clouds_kernels_may_lack(
    spawn: Spawn, probe_for: Callable[[GuestMachine], Probe]
) -> None:
    """Debian's lacks it, Ubuntu's has it: why the policy chooses SCSI."""
    has_driver = b"modules/ahci.ko" in probe_for(Q35).initrd.read_bytes()

    guest = spawn(Q35, "iso9660", hw_cdrom_bus="sata")

    (target,) = guest.domain.iterfind("devices/disk/target")
    assert target.get("bus") == "sata"
    said = guest.console.wait_for(r"^PROBE begin 1 .* drive=(.+)$", TIMEOUT)
    assert (said[1] != "none") == has_driver
