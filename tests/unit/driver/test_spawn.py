"""A spawn: a drive that is needed is built, or kept - or nothing is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cfgdrive_virt import ConfigDriveDriver, Drive, InjectedFile, NicDevice
from cfgdrive_virt.exception import ImageError, InvalidDomain, StoreError

from ..samples import MAC, UUID, request, state_of, wanted
from .drives import Make, meta_data


def test_a_wanted_drive_is_built(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    made = driver.spawn(wanted())
    assert made == Drive(driver.location(UUID), built=True)
    assert drive.read_bytes() == driver.build(wanted()).data
    assert meta_data(drive.read_bytes())["uuid"] == UUID


def test_a_drive_that_nobody_wants_is_not_built(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    assert driver.spawn(request()) is None
    assert list(instances.iterdir()) == []


def test_a_drive_that_is_there_is_left_alone(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    before = state_of(drive)
    made = driver.spawn(wanted())
    assert made == Drive(driver.location(UUID), built=False)
    assert state_of(drive) == before


def test_what_is_there_and_says_something_else_is_replaced(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    seed = meta_data(drive.read_bytes())["random_seed"]
    made = driver.spawn(wanted(metadata={"changed": "yes"}))
    assert made == Drive(driver.location(UUID), built=True)
    found = meta_data(drive.read_bytes())
    assert found["meta"] == {"changed": "yes"}
    assert found["random_seed"] == seed


@pytest.mark.parametrize("data", [b"", b"somebody's", bytes(1 << 20)])
def test_what_is_there_and_is_no_drive_is_replaced(
    driver: ConfigDriveDriver, drive: Path, data: bytes
) -> None:
    drive.parent.mkdir()
    drive.write_bytes(data)
    assert driver.spawn(wanted()) == Drive(driver.location(UUID), built=True)
    assert meta_data(drive.read_bytes())["uuid"] == UUID


def test_a_build_that_fails_leaves_nothing(
    make: Make, instances: Path
) -> None:
    big = InjectedFile(path="/big", content=os.urandom(2 << 20))
    with pytest.raises(ImageError):
        make("[cfgdrive_virt]\nmax_drive_size = 1\n").spawn(
            wanted(injected_files=[big])
        )
    assert os.listdir(instances) == ["locks"]


def test_it_can_be_asked_whether_there_is_a_drive(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    assert driver.exists(UUID) is False
    driver.spawn(wanted())
    assert driver.exists(UUID.upper()) is True
    drive.unlink()
    drive.mkdir()
    with pytest.raises(StoreError, match="not a config drive"):
        driver.exists(UUID)


PCI = (
    "<address type='pci' domain='0x0000' bus='0x0a' slot='0x1f'"
    " function='0x7'/>"
)
DOMAIN = (
    f"<domain><devices><interface><mac address='{MAC}'/>{PCI}</interface>"
    "</devices></domain>"
)


@pytest.mark.parametrize(
    "xml", [DOMAIN, DOMAIN.encode()], ids=["text", "bytes"]
)
def test_the_addresses_of_tagged_devices_are_the_domains(
    driver: ConfigDriveDriver, drive: Path, xml: str | bytes
) -> None:
    made = wanted(devices=[NicDevice(mac=MAC, tags=["t"])])
    driver.spawn(made, domain_xml=xml)
    (device,) = meta_data(drive.read_bytes())["devices"]
    assert (device["bus"], device["address"]) == ("pci", "0000:0a:1f.7")
    assert device["tags"] == ["t"]
    assert made.devices[0].address is None


def test_what_a_device_says_of_itself_outranks_the_domain(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    told = NicDevice(mac=MAC, tags=["t"], bus="xen", address="mine")
    driver.spawn(wanted(devices=[told]), domain_xml=DOMAIN)
    (device,) = meta_data(drive.read_bytes())["devices"]
    assert (device["bus"], device["address"]) == ("xen", "mine")


def test_a_domain_tells_of_addresses_and_of_nothing_else(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted(), domain_xml=DOMAIN)
    assert drive.read_bytes() == driver.build(wanted()).data


@pytest.mark.parametrize("xml", ["", "<domain", b"\xff", "<disk/>"])
def test_a_domain_that_is_none_is_refused_and_nothing_is_built(
    driver: ConfigDriveDriver, instances: Path, xml: str | bytes
) -> None:
    with pytest.raises(InvalidDomain):
        driver.spawn(wanted(), domain_xml=xml)
    assert not (instances / UUID).exists()


def test_guest_is_the_only_option_without_a_name(
    driver: ConfigDriveDriver,
) -> None:
    with pytest.raises(TypeError):
        driver.spawn(wanted(), None, DOMAIN)
