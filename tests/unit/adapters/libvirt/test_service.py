"""Spawn and destroy: all of it or nothing, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from cfgdrive_virt import ConfigDriveDriver, Controller, Machine
from cfgdrive_virt.adapters.libvirt import LibvirtService, connected, silence
from cfgdrive_virt.adapters.libvirt.service import Destroyed
from cfgdrive_virt.exception import DomainError
from cfgdrive_virt.libvirt_xml.domain import Domain

from ...samples import UUID, state_of, wanted

XML = """<domain type='test'><name>mine</name><memory>8192</memory>
<os><type arch='x86_64'>hvm</type></os></domain>"""


@pytest.fixture
def connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """libvirt's own make-believe hypervisor, one for every test."""

    def undefine(domain: Any, flags: int) -> None:
        # It has no NVRAM, and refuses the flag.
        assert flags & libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        domain.undefine()

    monkeypatch.setattr(libvirt.virDomain, "undefineFlags", undefine)
    silence()
    node = tmp_path / "node.xml"
    node.write_text("<node/>")
    with connected(f"test://{node}") as opened:
        yield opened


@pytest.fixture
def driver(conf: Callable[..., Any]) -> ConfigDriveDriver:
    return ConfigDriveDriver(conf(), architecture="x86_64")


@pytest.fixture
def service(connection: Any, driver: ConfigDriveDriver) -> LibvirtService:
    return LibvirtService(connection, driver)


@pytest.fixture
def drive(instances: Path) -> Path:
    return instances / UUID / "disk.config"


def names(connection: Any) -> list[str]:
    return sorted(domain.name() for domain in connection.listAllDomains())


def instead_of_starting(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, *, started: bool
) -> None:
    """Let a domain's start fail, before or after it has started."""
    create = libvirt.virDomain.create

    def fail(domain: Any) -> None:
        if started:
            create(domain)
        raise error

    monkeypatch.setattr(libvirt.virDomain, "create", fail)


@pytest.mark.parametrize("count", [0, 1])
def test_a_domain_has_the_controller_that_the_drive_needs(
    conf: Callable[..., Any], connection: Any, count: int
) -> None:
    has = "<controller type='scsi' index='0' model='virtio-scsi'/>" * count
    text = "[DEFAULT]\nconfig_drive_format = iso9660\n"
    driver = ConfigDriveDriver(conf(text), architecture="x86_64")
    request = wanted(image_properties={"hw_cdrom_bus": "scsi"})
    LibvirtService(connection, driver).spawn(
        request, XML.replace("</os>", f"</os><devices>{has}</devices>")
    )
    xml = connection.lookupByUUIDString(UUID).XMLDesc()
    controllers = Domain(xml).complete(request, Machine("x86_64")).controllers
    assert controllers == {Controller("scsi", 0, "virtio-scsi")}
    assert xml.count("<controller type='scsi'") == 1


def test_what_is_spawned_can_be_destroyed(
    service: LibvirtService, connection: Any, drive: Path
) -> None:
    spawned = service.spawn(wanted(), XML)
    assert spawned.domain == "mine"
    assert connection.lookupByUUIDString(UUID).isActive()
    assert drive.exists()
    assert service.destroy(UUID) == Destroyed(domain=True, drive=True)
    assert names(connection) == []
    assert not drive.parent.exists()
    assert service.destroy(UUID) == Destroyed(domain=False, drive=False)


@pytest.mark.parametrize(
    ("error", "started"),
    [
        (libvirt.libvirtError("refused"), False),
        (KeyboardInterrupt(), False),
        (KeyboardInterrupt(), True),
    ],
    ids=["refused", "interrupted", "interrupted-when-it-ran"],
)
def test_a_spawn_that_fails_leaves_nothing(
    service: LibvirtService,
    connection: Any,
    drive: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    started: bool,
) -> None:
    instead_of_starting(monkeypatch, error, started=started)
    with pytest.raises((DomainError, KeyboardInterrupt)) as caught:
        service.spawn(wanted(), XML)
    if isinstance(error, libvirt.libvirtError):
        assert "can't start domain mine" in str(caught.value)
        assert "left" not in str(caught.value)
    assert names(connection) == []
    assert not drive.parent.exists()


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_spawn_that_fails_keeps_the_drive_that_was_there(
    service: LibvirtService,
    driver: ConfigDriveDriver,
    connection: Any,
    drive: Path,
    monkeypatch: pytest.MonkeyPatch,
    rebuild: bool,
) -> None:
    driver.spawn(wanted())
    error = libvirt.libvirtError("refused")
    instead_of_starting(monkeypatch, error, started=False)
    with pytest.raises(DomainError):
        service.spawn(wanted(), XML, rebuild=rebuild)
    assert names(connection) == []
    assert drive.exists()


def test_a_domain_that_somebody_else_started_is_left_with_its_drive(
    service: LibvirtService,
    connection: Any,
    drive: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = libvirt.libvirtError("it runs already")
    instead_of_starting(monkeypatch, error, started=True)
    with pytest.raises(
        DomainError, match="it is running, so it was not removed"
    ):
        service.spawn(wanted(), XML)
    assert connection.lookupByUUIDString(UUID).isActive()
    assert drive.exists()


def test_a_domain_that_cannot_be_defined_leaves_nothing(
    service: LibvirtService, connection: Any, drive: Path
) -> None:
    with pytest.raises(DomainError, match="can't define"):
        service.spawn(wanted(), "<domain type='nonsense'/>")
    assert names(connection) == []
    assert not drive.parent.exists()


def test_a_second_spawn_is_refused_and_harms_nothing(
    service: LibvirtService, connection: Any, drive: Path
) -> None:
    service.spawn(wanted(), XML)
    before = state_of(drive)
    with pytest.raises(DomainError, match="already has a domain"):
        service.spawn(wanted(), XML, rebuild=True)
    assert connection.lookupByUUIDString(UUID).isActive()
    assert state_of(drive) == before


def test_the_domains_lock_is_held_meanwhile(
    service: LibvirtService,
    instances: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[str] = []
    real = ConfigDriveDriver.locked

    def locked(driver: ConfigDriveDriver, uuid: str) -> Any:
        held.append(uuid)
        return real(driver, uuid)

    monkeypatch.setattr(ConfigDriveDriver, "locked", locked)
    service.spawn(wanted(), XML)
    service.destroy(UUID.upper())
    assert held == [UUID, UUID]
    assert (instances / "locks" / "cfgdrive-virt").exists()


def test_a_drive_elsewhere_is_not_forgotten(
    service: LibvirtService, connection: Any, conf: Any, tmp_path: Path
) -> None:
    service.spawn(wanted(), XML)
    other = tmp_path / "other"
    other.mkdir()
    opts = conf()
    driver = ConfigDriveDriver(opts)
    opts.set_override("instances_path", str(other))
    with pytest.raises(DomainError, match="use the configuration"):
        LibvirtService(connection, driver).destroy(UUID)
    assert connection.lookupByUUIDString(UUID).isActive()


def test_a_connection_that_breaks_on_closing_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silence()

    def fail(_: Any) -> None:
        raise libvirt.libvirtError("gone")

    with connected("test:///default"):
        monkeypatch.setattr(libvirt.virConnect, "close", fail)
    monkeypatch.undo()
