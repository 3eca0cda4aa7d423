"""What the policy says of a machine is what libvirt says of it.

Domains are only defined, apart from those that test SCSI controllers.
"""

from __future__ import annotations

import dataclasses
import pathlib
import uuid as uuids
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import libvirt
import pytest
from oslo_config import cfg

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveRequest,
    Decision,
    Machine,
    UnsupportedCombination,
)
from cfgdrive_virt.adapters.libvirt import LibvirtService, connected
from cfgdrive_virt.conf import register_opts
from cfgdrive_virt.libvirt_xml.disk import disk_xml
from cfgdrive_virt.libvirt_xml.domain import Domain

#: What operators run, and what libvirt gives no disk.
MACHINES = [
    Machine("x86_64"),
    Machine("x86_64", "pc"),
    Machine("x86_64", "q35"),
    Machine("x86_64", "microvm"),
    Machine("x86_64", "isapc"),
    Machine("x86_64", "xenfv"),
    Machine("x86_64", "xenpv"),
    Machine("i686", "pc"),
    Machine("i686", "q35"),
    Machine("i686", "isapc"),
    Machine("aarch64", "virt"),
    Machine("armv7l", "virt"),
    Machine("ppc64", "pseries"),
    Machine("ppc64le", "pseries"),
    Machine("ppc64le"),
    Machine("riscv64", "virt"),
    Machine("s390x", "s390-ccw-virtio"),
    Machine("s390x"),
]
BUSES = [
    *(("cdrom", bus) for bus in ("ide", "sata", "scsi", "usb")),
    *(("disk", bus) for bus in ("virtio", "ide", "sata", "scsi", "usb")),
]
MODELS = [
    "auto", "buslogic", "ibmvscsi", "lsilogic", "lsisas1068", "lsisas1078",
    "virtio-scsi", "vmpvscsi",
]  # fmt: skip


@pytest.fixture
def connection(libvirtd_uri: str) -> Iterator[libvirt.virConnect]:
    with connected(libvirtd_uri) as connection:
        yield connection
        for domain in connection.listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefine()


@pytest.fixture
def driver(tmp_path: pathlib.Path) -> ConfigDriveDriver:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    register_opts(conf)
    conf.set_override("instances_path", str(tmp_path))
    conf.set_override("virt_type", "qemu", "libvirt")
    return ConfigDriveDriver(conf)


def request(**properties: str) -> ConfigDriveRequest:
    return ConfigDriveRequest(
        uuid=str(uuids.uuid4()),
        name="n",
        hostname="n",
        config_drive=True,
        image_properties=properties,
    )


def set_device(driver: ConfigDriveDriver, device: str) -> None:
    image_format = {"cdrom": "iso9660", "disk": "vfat"}[device]
    driver._host.conf.set_override("config_drive_format", image_format)


def empty(machine: Machine) -> str:
    name = machine.machine_type
    given = "" if name is None else f" machine='{name}'"
    return (
        "<domain type='qemu'><memory unit='MiB'>128</memory><os>"
        f"<type arch='{machine.architecture}'{given}>hvm</type></os></domain>"
    )


def with_devices(machine: Machine, devices: str) -> str:
    end = "</domain>"
    whole = f"<devices>{devices}</devices>{end}"
    return empty(machine).replace(end, whole)


def planned(
    driver: ConfigDriveDriver, request: ConfigDriveRequest, xml: str
) -> tuple[Domain, Decision]:
    """Return a domain with its drive, as LibvirtService defines it."""
    domain = Domain(xml)
    machine = domain.complete(request, driver.machine(request))
    plan = driver.plan(request, machine)
    for device in (plan.controller_xml, plan.disk_xml):
        if device is not None:
            domain.add_device(device)
    assert plan.decision is not None
    return domain, plan.decision


def forced(
    driver: ConfigDriveDriver, machine: Machine, device: str, bus: str
) -> Domain:
    """Return a domain whose drive is on a bus that the policy refuses."""
    made = request()
    target = {"ide": "hdd", "virtio": "vdz"}.get(bus, "sdf")
    decision = Decision(
        "iso9660",
        "cdrom" if device == "cdrom" else "disk",
        bus,
        target,
        readonly=device == "cdrom",
        reason="",
    )
    domain = Domain(empty(machine))
    domain.complete(made, machine)
    domain.add_device(
        disk_xml(driver.location(made.uuid), decision, cache="none")
    )
    return domain


@pytest.mark.parametrize(
    ("device", "bus"), BUSES, ids=[" on ".join(pair) for pair in BUSES]
)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.description)
def test_a_machine_has_a_bus_if_libvirt_defines_the_domain(
    machine: Machine,
    device: str,
    bus: str,
    driver: ConfigDriveDriver,
    connection: libvirt.virConnect,
) -> None:
    set_device(driver, device)
    made = request(**{f"hw_{device}_bus": bus})

    try:
        domain, decision = planned(driver, made, empty(machine))
    except UnsupportedCombination:
        with pytest.raises(libvirt.libvirtError):
            connection.defineXML(str(forced(driver, machine, device, bus)))
        return

    connection.defineXML(str(domain))
    assert decision.bus == bus


@pytest.mark.parametrize("device", ["cdrom", "disk"])
@pytest.mark.parametrize(
    "machine",
    [machine for machine in MACHINES if machine.buses],
    ids=lambda m: m.description,
)
def test_libvirt_defines_what_the_policy_chooses(
    machine: Machine,
    device: str,
    driver: ConfigDriveDriver,
    connection: libvirt.virConnect,
) -> None:
    set_device(driver, device)
    domain, decision = planned(driver, request(), empty(machine))

    defined = connection.defineXML(str(domain))

    disk = ET.fromstring(defined.XMLDesc()).find("devices/disk")
    assert disk is not None
    assert disk.attrib["device"] == device
    # Without an address, QEMU doesn't start it.
    assert disk.find("address") is not None
    assert (
        decision.bus
        == {
            "disk": "virtio",
            "cdrom": "ide" if "ide" in machine.buses else "scsi",
        }[device]
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "machine",
    [
        Machine("x86_64", "q35"),
        Machine("ppc64le", "pseries"),
        Machine("s390x", "s390-ccw-virtio"),
    ],
    ids=lambda m: m.description,
)
def test_qemu_has_the_scsi_controllers_that_the_policy_allows(
    machine: Machine,
    model: str,
    driver: ConfigDriveDriver,
    connection: libvirt.virConnect,
) -> None:
    set_device(driver, "cdrom")
    made = request(
        hw_architecture=machine.architecture,
        hw_cdrom_bus="scsi",
        hw_scsi_model=model,
    )

    try:
        domain, _ = planned(driver, made, empty(machine))
    except UnsupportedCombination:
        # As a name of libvirt's it would mean lsilogic.
        if model == "auto":
            return
        domain, _ = planned(
            driver, request(hw_cdrom_bus="scsi"), empty(machine)
        )
        refused = str(domain).replace(
            'model="virtio-scsi"', f'model="{model}"'
        )
        assert refused != str(domain)
        with pytest.raises(libvirt.libvirtError):
            connection.defineXML(refused).create()
        return

    driver.spawn(made)
    defined = connection.defineXML(str(domain))
    defined.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    assert models_of(defined) == {0: model}


def models_of(domain: libvirt.virDomain) -> dict[int, str | None]:
    """Return the models of the SCSI controllers, by index."""
    root = ET.fromstring(domain.XMLDesc())
    found = root.iterfind("devices/controller[@type='scsi']")
    return {int(each.attrib["index"]): each.get("model") for each in found}


def a_disk(bus: str, name: str, address: str = "") -> str:
    return (
        f"<disk type='file' device='disk'><source file='/nonexistent/{name}'/>"
        f"<target dev='{name}' bus='{bus}'/>{address}</disk>"
    )


def drive_address(controller: int = 0, bus: int = 0, unit: int = 0) -> str:
    return (
        f"<address type='drive' controller='{controller}' bus='{bus}'"
        f" target='0' unit='{unit}'/>"
    )


@pytest.mark.parametrize(
    ("bus", "prefix", "letters"),
    [
        ("ide", "hd", "abcd"),
        ("ide", "vd", "d"),
        ("sata", "sd", "abcdefghijklmnopqrstuvwxyz"),
        ("scsi", "sd", "abcdefghijklmnopqrstuvwxyz"),
    ],
)
def test_a_name_has_the_place_that_libvirt_gives_it(
    bus: str, prefix: str, letters: str, connection: libvirt.virConnect
) -> None:
    disks = [a_disk(bus, prefix + letter) for letter in letters]
    domain = Domain(with_devices(Machine("x86_64", "pc"), "".join(disks)))
    given = domain.complete(request(), Machine("x86_64"))

    defined = connection.defineXML(str(domain)).XMLDesc()

    assert "<address type='drive'" in defined
    found = Domain(defined).complete(
        dataclasses.replace(request(), uuid=Domain(defined).uuid),
        Machine("x86_64"),
    )
    assert found.places == given.places
    assert len(found.places) == len(letters)


HDD = a_disk("ide", "hda", drive_address(bus=1, unit=1))
SDF = a_disk("sata", "sda", drive_address(unit=5))
VIRTIO = "<controller type='scsi' model='virtio-scsi'/>"
LSI = "<controller type='scsi' model='lsilogic'/>"
FULL = "".join(a_disk("scsi", f"sd{letter}") for letter in "abcdefg")


@pytest.mark.parametrize(
    ("bus", "devices", "target", "models"),
    [
        ("ide", HDD, "hdc", {}),
        ("sata", SDF, "sde", {}),
        ("scsi", VIRTIO, "sdf", {0: "virtio-scsi"}),
        (
            "scsi",
            VIRTIO + a_disk("scsi", "sda", drive_address(unit=5)),
            "sde",
            {0: "virtio-scsi"},
        ),
        ("scsi", LSI, "sdh", {0: "lsilogic", 1: "virtio-scsi"}),
        (
            "scsi",
            a_disk("scsi", "sda"),
            "sdh",
            {0: "lsilogic", 1: "virtio-scsi"},
        ),
        (
            "scsi",
            VIRTIO + FULL,
            "sdh",
            {0: "virtio-scsi", 1: "virtio-scsi"},
        ),
        (
            "scsi",
            LSI + VIRTIO,
            "sdh",
            {0: "lsilogic", 1: "virtio-scsi"},
        ),
        (
            "scsi",
            "<controller type='scsi' index='1' model='lsilogic'/>",
            "sdf",
            {0: "virtio-scsi", 1: "lsilogic"},
        ),
    ],
    ids=[
        "ide", "sata", "room", "place", "lsilogic", "default", "full",
        "without-index", "gap",
    ],
)  # fmt: skip
def test_a_drive_gets_a_place_and_a_controller_beside_other_disks(
    bus: str,
    devices: str,
    target: str,
    models: dict[int, str],
    driver: ConfigDriveDriver,
    connection: libvirt.virConnect,
) -> None:
    set_device(driver, "cdrom")
    xml = with_devices(Machine("x86_64", "pc"), devices)
    domain, decision = planned(driver, request(hw_cdrom_bus=bus), xml)

    defined = connection.defineXML(str(domain))

    assert decision.target == target
    assert models_of(defined) == models


def test_a_drive_is_usable_where_usb_needs_a_controller(
    driver: ConfigDriveDriver, connection: libvirt.virConnect
) -> None:
    set_device(driver, "cdrom")
    given = "<controller type='usb' model='nec-xhci'/>"
    for devices, model in (("", "qemu-xhci"), (given, "nec-xhci")):
        xml = with_devices(Machine("aarch64", "virt"), devices)
        domain, _ = planned(driver, request(hw_cdrom_bus="usb"), xml)

        defined = connection.defineXML(str(domain))

        found = ET.fromstring(defined.XMLDesc()).findall(
            "devices/controller[@type='usb']"
        )
        assert [each.get("model") for each in found] == [model]


def test_a_service_spawns_with_the_controller(
    driver: ConfigDriveDriver, connection: libvirt.virConnect
) -> None:
    set_device(driver, "cdrom")
    made = request(hw_machine_type="q35")

    LibvirtService(connection, driver).spawn(made)

    assert models_of(connection.lookupByUUIDString(made.uuid)) == {
        0: "virtio-scsi"
    }
