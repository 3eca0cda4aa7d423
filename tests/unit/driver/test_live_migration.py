"""A drive that follows its guest: what each host checks, has and leaves."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver, MigratingDrive
from cfgdrive_virt.exception import (
    ConfigDriveError,
    MigrationRefused,
    StoreError,
)
from cfgdrive_virt.model.migration import sum_of
from cfgdrive_virt.store.file import FileStore

from ..samples import UUID, wanted
from .drives import FORMATS
from .hosts import Hosts, unpickled

DRIVE = f"{UUID}/disk.config"


@pytest.fixture
def make(
    conf: Callable[..., cfg.ConfigOpts], instances: Path
) -> Callable[..., Hosts]:
    def make(form: str = "iso9660", text: str = "") -> Hosts:
        opts = conf(f"[DEFAULT]\nconfig_drive_format = {form}\n{text}")
        hosts = Hosts(
            instances, ConfigDriveDriver(opts, architecture="x86_64")
        )
        with hosts.at("a") as driver:
            driver.spawn(wanted())
        return hosts

    return make


@FORMATS
def test_a_drive_follows_its_guest(
    make: Callable[..., Hosts], form: str
) -> None:
    hosts = make(form)
    data = hosts.drive("a").read_bytes()
    drive = hosts.checked()
    assert drive.shared is False
    assert drive.readonly is (form == "iso9660")
    # Each may be called twice.
    for _ in range(2):
        with hosts.at("b") as driver:
            driver.pre_live_migration(UUID, drive, lambda: [data])
    assert hosts.drive("b").stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        with hosts.at("a") as driver:
            driver.post_live_migration(UUID, drive)
        with hosts.at("b") as driver:
            driver.post_live_migration_at_destination(UUID, drive)
    assert hosts.drive("b").read_bytes() == data
    assert (hosts.left("a"), hosts.left("b")) == ([], [DRIVE])
    assert not hosts.drive("a").parent.exists()


@FORMATS
@pytest.mark.parametrize("there", ["nothing", "zeros", "another"])
def test_whatever_is_at_the_destination_its_guest_gets_the_source_s(
    make: Callable[..., Hosts], form: str, there: str
) -> None:
    hosts = make(form)
    data = hosts.drive("a").read_bytes()
    if there != "nothing":
        hosts.drive("b").parent.mkdir()
        zeros = bytes(len(data))
        other = zeros if there == "zeros" else b"another one"
        hosts.drive("b").write_bytes(other)
    drive = hosts.checked()
    with hosts.at("b") as driver:
        with pytest.raises(StoreError, match="without its drive"):
            driver.post_live_migration_at_destination(UUID, drive)
        driver.pre_live_migration(UUID, drive, lambda: [data])
        driver.post_live_migration_at_destination(UUID, drive)
    assert hosts.drive("b").read_bytes() == data


def test_what_a_guest_made_of_its_own_disk_goes_with_it(
    make: Callable[..., Hosts],
) -> None:
    hosts = make("vfat")
    data = b"swap space" * 4096
    hosts.drive("a").write_bytes(data)
    drive = hosts.checked()
    with hosts.at("b") as driver:
        driver.pre_live_migration(UUID, drive, lambda: [data])
        # libvirt copies what the guest writes meanwhile.
        hosts.drive("b").write_bytes(data[::-1])
        driver.post_live_migration_at_destination(UUID, drive)
        hosts.drive("b").write_bytes(bytes(len(data)))
        with pytest.raises(StoreError, match="without its drive"):
            driver.post_live_migration_at_destination(UUID, drive)


def test_what_is_the_same_already_is_not_fetched(
    make: Callable[..., Hosts],
) -> None:
    hosts = make()
    hosts.drive("b").parent.mkdir()
    hosts.drive("b").write_bytes(hosts.drive("a").read_bytes())
    drive = hosts.checked()
    with hosts.at("b") as driver:
        driver.pre_live_migration(UUID, drive, lambda: pytest.fail("fetched"))


@pytest.mark.parametrize("came", ["nothing", "less", "more", "other", "error"])
def test_what_comes_otherwise_is_not_taken(
    make: Callable[..., Hosts], came: str
) -> None:
    hosts = make()
    data = hosts.drive("a").read_bytes()
    drive = hosts.checked()
    bytes_that_came = {
        "less": data[:-1],
        "more": data + b"\0",
        "other": data[:-1] + b"x",
    }

    def fetch() -> Iterator[bytes]:
        if came == "error":
            yield data[:1000]
            raise ConnectionResetError("reset by peer")
        if came != "nothing":
            yield bytes_that_came[came]

    kind = ConnectionResetError if came == "error" else MigrationRefused
    with hosts.at("b") as driver:
        with pytest.raises(kind):
            driver.pre_live_migration(UUID, drive, fetch)
        assert hosts.left("b") == []
        driver.rollback_live_migration_at_destination(UUID, drive)
    assert hosts.left("a") == [DRIVE]
    assert hosts.drive("a").read_bytes() == data


def test_a_migration_that_fails_leaves_the_source_alone(
    make: Callable[..., Hosts],
) -> None:
    hosts = make()
    data = hosts.drive("a").read_bytes()
    drive = hosts.checked()
    with hosts.at("b") as driver:
        driver.pre_live_migration(UUID, drive, lambda: [data])
        for _ in range(2):
            driver.rollback_live_migration_at_destination(UUID, drive)
    assert (hosts.left("a"), hosts.left("b")) == ([DRIVE], [])
    assert not hosts.drive("b").parent.exists()


@FORMATS
def test_of_what_both_hosts_see_nothing_is_carried_or_removed(
    make: Callable[..., Hosts], form: str
) -> None:
    hosts = make(form)
    hosts.homes["b"] = hosts.homes["a"]
    drive = hosts.check(block_migration=False)
    assert drive is not None
    assert drive.shared is True
    with hosts.at("a") as driver:
        driver.pre_live_migration(UUID, drive, lambda: pytest.fail("fetched"))
        driver.post_live_migration_at_destination(UUID, drive)
        driver.post_live_migration(UUID, drive)
        driver.rollback_live_migration_at_destination(UUID, drive)
    assert hosts.left("a") == [DRIVE]


def test_what_is_told_to_be_shared_and_is_not_seen_is_no_local_drive(
    make: Callable[..., Hosts],
) -> None:
    told = "[cfgdrive_virt]\ninstances_path_shared = yes\n"
    with pytest.raises(MigrationRefused, match="should share this host's"):
        make("iso9660", told).check()


def test_what_is_told_to_be_local_and_is_seen_is_shared(
    make: Callable[..., Hosts],
) -> None:
    hosts = make("iso9660", "[cfgdrive_virt]\ninstances_path_shared = no\n")
    hosts.homes["b"] = hosts.homes["a"]
    drive = hosts.check(block_migration=False)
    assert drive is not None
    assert drive.shared is True


def test_two_checks_at_a_time_do_not_disturb_each_other(
    make: Callable[..., Hosts],
) -> None:
    hosts = make()
    domain = hosts.domain()
    with hosts.at("a") as driver:
        first, second = (
            driver.check_can_live_migrate_destination(UUID) for _ in range(2)
        )
        for check in (first, second):
            drive = driver.check_can_live_migrate_source(
                UUID, check, domain, block_migration=False
            )
            assert drive is not None
            assert drive.shared is True
            driver.cleanup_live_migration_destination_check(UUID, check)
    assert hosts.left("a") == [DRIVE]


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "0", "x" * 32])
def test_an_invalid_test_file_name_leads_nowhere(
    make: Callable[..., Hosts], name: str
) -> None:
    hosts = make()
    domain = hosts.domain()
    with hosts.at("a") as driver:
        check = driver.check_can_live_migrate_destination(UUID)
        with pytest.raises(MigrationRefused, match="test_file: must be 8 to"):
            dataclasses.replace(check, test_file=name)
        forged = unpickled(check, test_file=name)
        before = sorted(hosts.homes["a"].rglob("*"))
        with pytest.raises(MigrationRefused, match="test_file: must be 8 to"):
            driver.check_can_live_migrate_source(
                UUID, forged, domain, block_migration=False
            )
        with pytest.raises(MigrationRefused, match="test_file: must be 8 to"):
            driver.cleanup_live_migration_destination_check(UUID, forged)
        assert sorted(hosts.homes["a"].rglob("*")) == before


def test_what_should_be_seen_and_is_not_is_told(
    make: Callable[..., Hosts],
) -> None:
    hosts = make()
    place = str(hosts.driver.location(UUID))
    drive = MigratingDrive(UUID, place, shared=True, readonly=True)
    with (
        hosts.at("b") as driver,
        pytest.raises(MigrationRefused, match="check that its storage is"),
    ):
        driver.pre_live_migration(UUID, drive, lambda: [b""])


def test_a_guest_without_a_drive_needs_nothing(
    make: Callable[..., Hosts],
) -> None:
    hosts = make()
    hosts.drive("a").unlink()
    with hosts.at("a") as driver:
        check = driver.check_can_live_migrate_destination(UUID)
        found = driver.check_can_live_migrate_source(
            UUID, check, "<domain/>", block_migration=True
        )
    assert found is None


def test_a_guest_that_has_lost_its_drive_stays(
    make: Callable[..., Hosts],
) -> None:
    hosts = make()
    with hosts.at("a") as driver:
        check = driver.check_can_live_migrate_destination(UUID)
        with pytest.raises(MigrationRefused, match="refresh it, or unrescue"):
            driver.check_can_live_migrate_source(
                UUID, check, "<domain/>", block_migration=True
            )


def test_a_check_leaves_nothing(make: Callable[..., Hosts]) -> None:
    hosts = make()
    hosts.check()
    assert (hosts.left("a"), hosts.left("b")) == ([DRIVE], [])


class TestRefused:
    """What would lose the drive, with nothing changed on either side."""

    def refused(self, hosts: Hosts, words: str, **options: Any) -> None:
        before = [hosts.left("a"), hosts.left("b")]
        with pytest.raises(MigrationRefused, match=words) as caught:
            hosts.check(**options)
        assert "; " in str(caught.value) or ": " in str(caught.value)
        assert [hosts.left("a"), hosts.left("b")] == before

    @FORMATS
    def test_a_missing_drive(
        self, make: Callable[..., Hosts], form: str
    ) -> None:
        hosts = make(form)
        hosts.drive("a").unlink()
        self.refused(hosts, "is missing; a hard reboot or cfgdrive-virt")

    def test_a_drive_of_zeros(self, make: Callable[..., Hosts]) -> None:
        hosts = make()
        drive = hosts.drive("a")
        drive.write_bytes(bytes(drive.stat().st_size))
        self.refused(hosts, "is damaged: neither an ISO9660 nor")

    def test_a_writable_drive_without_block_migration(
        self, make: Callable[..., Hosts]
    ) -> None:
        self.refused(
            make("vfat"), "only in a block migration", block_migration=False
        )

    def test_a_block_migration_over_itself(
        self, make: Callable[..., Hosts]
    ) -> None:
        hosts = make("vfat")
        hosts.homes["b"] = hosts.homes["a"]
        self.refused(hosts, "over itself")

    def test_a_drive_in_another_place(
        self, make: Callable[..., Hosts]
    ) -> None:
        hosts = make()
        with hosts.at("a") as driver:
            check = driver.check_can_live_migrate_destination(UUID)
            elsewhere = dataclasses.replace(
                check, locations=(f"rbd:vms/{UUID}_disk.config",)
            )
            with pytest.raises(MigrationRefused, match="the same on both"):
                driver.check_can_live_migrate_source(
                    UUID,
                    elsewhere,
                    self.domain_of(hosts),
                    block_migration=True,
                )

    def domain_of(self, hosts: Hosts) -> str:
        disk = hosts.driver.plan(wanted()).disk_xml
        return f"<domain><devices>{disk}</devices></domain>"

    def test_a_drive_that_another_configuration_made(
        self, make: Callable[..., Hosts]
    ) -> None:
        hosts = make()
        with hosts.at("a") as driver:
            check = driver.check_can_live_migrate_destination(UUID)
            xml = self.domain_of(hosts).replace(str(hosts.path), "/elsewhere")
            with pytest.raises(MigrationRefused, match="was spawned with"):
                driver.check_can_live_migrate_source(
                    UUID, check, xml, block_migration=True
                )


def locked_as_by_qemu(file: Any) -> None:
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 100, 1, 0)
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)


def test_a_drive_that_a_guest_has_is_never_removed(
    make: Callable[..., Hosts],
) -> None:
    hosts = make("vfat")
    data = hosts.drive("a").read_bytes()
    drive = hosts.checked()
    with hosts.at("b") as driver:
        driver.pre_live_migration(UUID, drive, lambda: [data])
    with hosts.drive("a").open("r+b") as a, hosts.drive("b").open("r+b") as b:
        locked_as_by_qemu(a)
        locked_as_by_qemu(b)
        with (
            hosts.at("a") as driver,
            pytest.raises(ConfigDriveError, match="in use"),
        ):
            driver.post_live_migration(UUID, drive)
        with hosts.at("b") as driver:
            for again in (
                lambda: driver.rollback_live_migration_at_destination(
                    UUID, drive
                ),
                lambda: driver.pre_live_migration(UUID, drive, lambda: [data]),
            ):
                with pytest.raises(ConfigDriveError, match="in use"):
                    again()
    assert hosts.drive("a").exists()
    assert hosts.drive("b").exists()


class TestTooLate:
    """A hook of a migration that is over, when the instance is off."""

    def test_a_rollback_leaves_a_guest_that_has_come(
        self, make: Callable[..., Hosts]
    ) -> None:
        hosts = make()
        data = hosts.drive("a").read_bytes()
        drive = hosts.checked()
        with hosts.at("b") as driver:
            driver.pre_live_migration(UUID, drive, lambda: [data])
            driver.post_live_migration_at_destination(UUID, drive)
            driver.rollback_live_migration_at_destination(UUID, drive)
        assert hosts.left("b") == [DRIVE]

    def test_a_rollback_without_a_beginning_leaves_all(
        self, make: Callable[..., Hosts]
    ) -> None:
        hosts = make()
        with hosts.at("b") as driver:
            driver.spawn(wanted())
            driver.rollback_live_migration_at_destination(
                UUID, hosts_drive(hosts)
            )
        assert hosts.left("b") == [DRIVE]

    def test_the_source_leaves_a_guest_that_has_come_back(
        self, make: Callable[..., Hosts]
    ) -> None:
        hosts = make()
        data = hosts.drive("a").read_bytes()
        drive = hosts.checked()
        with hosts.at("a") as driver:
            # As the destination of the way back has it.
            driver.pre_live_migration(UUID, drive, lambda: [data])
            driver.post_live_migration_at_destination(UUID, drive)
            driver.post_live_migration(UUID, drive)
        assert hosts.left("a") == [DRIVE]

    def test_what_was_changed_meanwhile_is_not_lost(
        self, make: Callable[..., Hosts]
    ) -> None:
        hosts = make()
        drive = hosts.checked()
        with hosts.at("a") as driver:
            driver.refresh(wanted(metadata={"changed": "meanwhile"}))
            driver.post_live_migration(UUID, drive)
        assert hosts.left("a") == [DRIVE]


def hosts_drive(hosts: Hosts) -> MigratingDrive:
    place = str(hosts.driver.location(UUID))
    return MigratingDrive(
        UUID, place, shared=False, readonly=True, sha256=sum_of(b"")
    )


def test_a_mark_goes_with_its_instance(make: Callable[..., Hosts]) -> None:
    hosts = make()
    data = hosts.drive("a").read_bytes()
    drive = hosts.checked()
    with hosts.at("b") as driver:
        driver.pre_live_migration(UUID, drive, lambda: [data])
        assert hosts.left("b") == [DRIVE, f"{DRIVE}.migrating"]
        driver.destroy(UUID)
    assert hosts.left("b") == []


def test_what_was_taken_by_another_hook_is_no_more_to_be_rolled_back(
    make: Callable[..., Hosts],
) -> None:
    """As when the destination was restarted, and became the guest's host."""
    hosts = make()
    data = hosts.drive("a").read_bytes()
    drive = hosts.checked()
    with hosts.at("b") as driver:
        driver.pre_live_migration(UUID, drive, lambda: [data])
        driver.rebuild(wanted(), evacuate=True)
        driver.rollback_live_migration_at_destination(UUID, drive)
    assert hosts.left("b") == [DRIVE]


def test_a_second_try_that_fails_leaves_the_first_one_to_be_rolled_back(
    make: Callable[..., Hosts], monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = make()
    data = hosts.drive("a").read_bytes()
    drive = hosts.checked()

    def full(*_: Any) -> None:
        raise StoreError("the disk is full")

    with hosts.at("b") as driver:
        driver.pre_live_migration(UUID, drive, lambda: [data])
        with monkeypatch.context() as broken:
            broken.setattr(FileStore, "receive", full)
            with pytest.raises(StoreError, match="full"):
                driver.pre_live_migration(UUID, drive, lambda: [data])
        driver.rollback_live_migration_at_destination(UUID, drive)
    assert hosts.left("b") == []


def test_zeros_are_no_shared_drive(make: Callable[..., Hosts]) -> None:
    hosts = make()
    hosts.homes["b"] = hosts.homes["a"]
    drive = hosts.check(block_migration=False)
    assert drive is not None
    hosts.drive("a").write_bytes(bytes(100_000))
    with hosts.at("b") as driver:
        with pytest.raises(MigrationRefused, match="is damaged"):
            driver.pre_live_migration(UUID, drive, lambda: [b""])
        with pytest.raises(StoreError, match="without its drive"):
            driver.post_live_migration_at_destination(UUID, drive)


@pytest.mark.parametrize("lie", ["place", "size", "zeros", "type"])
def test_a_source_is_not_believed(
    make: Callable[..., Hosts], lie: str
) -> None:
    hosts = make()
    drive = hosts.checked()
    told = {
        "place": {"location": "/etc/passwd"},
        "size": {"size": 300 << 20},
        "zeros": {"size": 4096, "sha256": sum_of(bytes(4096))},
        "type": {},
    }[lie]
    lying = dataclasses.replace(drive, **told)
    sent: Any = None if lie == "type" else bytes(4096)
    with hosts.at("b") as driver, pytest.raises(MigrationRefused):
        driver.pre_live_migration(UUID, lying, lambda: [sent])
    assert hosts.left("b") == []
