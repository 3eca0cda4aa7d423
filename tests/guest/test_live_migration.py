"""A running guest moves to another host, and its drive with it.

The hosts share nothing but where a test says so.  The guest is never
restarted: it reads all files anew all the time, and says their checksums;
where QEMU needs that, it waits on its way (see ``guests.moving``).
Tests of one kind of guest share it: each starts from the host that the one
before left it on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Iterator

import libvirt
import pytest

from cfgdrive_virt import ConfigDriveError
from cfgdrive_virt.adapters.libvirt import silence
from cfgdrive_virt.exception import MigrationRefused

from ..ceph.cluster import Cluster, cluster
from .guests import Probe
from .hosts import Cuts, Host, all_configured, checked, two_hosts
from .migrating import (
    DESTINATIONS,
    REFUSED,
    Guest,
    Meanwhile,
    always_one,
    booted,
    file_replaced,
    in_ceph,
    knowing_the_key,
    live_migrate,
    moved_at_last,
)
from .test_rbd import exported

MIB = 1 << 20
WRITTEN = [("vfat", "pc"), ("vfat", "q35")]
# Those first: pytest tells kinds apart by their index.
KINDS = [*WRITTEN, ("iso9660", "pc"), ("iso9660", "q35")]
#: The URI of a libvirt that nobody has to ask.
NOWHERE = "qemu+unix:///system?socket=/nowhere"


@pytest.fixture(scope="module")
def ceph() -> Iterator[Cluster]:
    with cluster() as made:
        # So long a QEMU that ended by itself seems to have a volume open;
        # usually 30 seconds.
        made.ceph("config", "set", "osd", "osd_client_watch_timeout", 3)
        yield made
        assert made.volumes() == []


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    silence()
    with two_hosts() as made:
        yield made


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def guests(
    request: pytest.FixtureRequest,
    hosts: tuple[Host, Host],
    probe: Probe,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], Guest]]:
    """The guest of one kind; another one once a test has failed."""
    image_format, machine = request.param
    directory = tmp_path_factory.mktemp("moving")
    with (
        all_configured(hosts, config_drive_format=image_format),
        always_one(
            lambda: booted(hosts, machine, probe, directory),
            lambda: request.session.testsfailed,
        ) as guest,
    ):
        yield guest


@pytest.fixture
def guest(guests: Callable[[], Guest]) -> Guest:
    return guests()


@pytest.mark.parametrize("found", DESTINATIONS.values(), ids=DESTINATIONS)
def test_the_guest_reads_every_file_at_a_destination_that_has(
    found: Callable[[bytes], bytes | None], guest: Guest
) -> None:
    source, target = guest.source, guest.target
    data = found(guest.drive)
    if data is not None:
        guest.put_at_target(data)

    carried = live_migrate(guest.uuid, source, target)

    assert carried.sha256 == hashlib.sha256(guest.drive).hexdigest()
    # Too late: it is the guest's.
    target.call("rollback_live_migration_at_destination", guest.uuid, carried)
    guest.is_only_at(target, source)


def test_a_destination_without_space_changes_nothing(guest: Guest) -> None:
    source, target = guest.source, guest.target
    with target.mounted("-t", "tmpfs", "-o", "size=16k", "tmpfs"):
        with pytest.raises(ConfigDriveError, match="ENOSPC"):
            live_migrate(guest.uuid, source, target)
        assert target.files() == {}

    guest.is_only_at(source, target)


@pytest.mark.parametrize(
    "cuts",
    [Cuts(fetch=100_000), Cuts(memory=8 * MIB)],
    ids=["the drive is fetched", "the guest moves"],
)
def test_a_lost_connection_changes_nothing_while(
    cuts: Cuts, guest: Guest
) -> None:
    source, target = guest.source, guest.target

    with pytest.raises((ConfigDriveError, libvirt.libvirtError)):
        live_migrate(guest.uuid, source, target, cuts=cuts)

    guest.is_only_at(source, target)


@pytest.mark.parametrize("guests", WRITTEN, indirect=True, ids="-".join)
def test_a_connection_lost_while_libvirt_copies_the_drive_changes_nothing(
    guest: Guest,
) -> None:
    source, target = guest.source, guest.target
    half = len(guest.drive) // 2

    with pytest.raises(libvirt.libvirtError):
        live_migrate(guest.uuid, source, target, cuts=Cuts(disk=half))

    guest.is_only_at(source, target)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda drive: bytes(len(drive)),
    "cut short": lambda drive: drive[:-4096],
    "damaged": lambda drive: drive[: len(drive) // 2] + bytes(len(drive) // 2),
}


@pytest.mark.parametrize("harm", DAMAGE.values(), ids=DAMAGE)
def test_a_drive_that_is_not_whole_is_refused_unless_guests_write_it(
    harm: Callable[[bytes], bytes], guest: Guest
) -> None:
    source, target = guest.source, guest.target
    data = harm(guest.drive)
    readonly = checked(guest.uuid, source, target).readonly

    with file_replaced(guest, data):
        if readonly:
            with pytest.raises(MigrationRefused, match="is damaged"):
                live_migrate(guest.uuid, source, target)
        else:
            # It may be what the guest has made of it.
            drive = checked(guest.uuid, source, target)
            assert drive.sha256 == hashlib.sha256(data).hexdigest()

    guest.is_only_at(source, target)


def test_a_destination_that_keeps_drives_in_ceph_is_refused(
    guest: Guest, ceph: Cluster
) -> None:
    source, target = guest.source, guest.target

    with (
        target.configured(in_ceph(ceph)),
        pytest.raises(MigrationRefused, match="images_type"),
    ):
        live_migrate(guest.uuid, source, target)

    guest.is_only_at(source, target)


def test_only_a_drive_that_is_written_needs_block_migration(
    guest: Guest,
) -> None:
    source, target = guest.source, guest.target
    drive = checked(guest.uuid, source, target)

    if drive.readonly:
        again = checked(guest.uuid, source, target, block_migration=False)
        assert again == drive
    else:
        with pytest.raises(MigrationRefused, match="block migration"):
            checked(guest.uuid, source, target, block_migration=False)

    guest.is_only_at(source, target)


def test_zeros_that_libvirt_would_take_are_told_at_the_destination(
    guest: Guest,
) -> None:
    source, target = guest.source, guest.target
    drive = checked(guest.uuid, source, target)
    guest.put_at_target(bytes(len(guest.drive)))

    with pytest.raises(ConfigDriveError, match=str(guest.path)):
        target.call("post_live_migration_at_destination", guest.uuid, drive)

    # Not from a migration.
    target.call("rollback_live_migration_at_destination", guest.uuid, drive)
    assert len(target.files()) == 1
    guest.remove_at_target()
    guest.is_only_at(source, target)


def test_the_same_bytes_are_placed_anew_and_not_fetched(guest: Guest) -> None:
    source, target = guest.source, guest.target
    drive = checked(guest.uuid, source, target)
    guest.put_at_target(guest.drive)

    target.call("pre_live_migration", guest.uuid, drive, NOWHERE)

    placed = target.files()
    del placed[f"{guest.uuid}/disk.config.migrating"]
    assert placed == guest.files
    target.call("rollback_live_migration_at_destination", guest.uuid, drive)
    guest.is_only_at(source, target)


def test_other_bytes_are_taken_only_if_the_guest_may_have_written_them(
    guest: Guest,
) -> None:
    source, target = guest.source, guest.target
    drive = checked(guest.uuid, source, target)
    drive = dataclasses.replace(drive, sha256="0" * 64)

    with (
        pytest.raises(MigrationRefused, match="SHA-256 sum")
        if drive.readonly
        else contextlib.nullcontext()
    ):
        target.call("pre_live_migration", guest.uuid, drive, source.uri)

    assert (target.files() == {}) == drive.readonly
    target.call("rollback_live_migration_at_destination", guest.uuid, drive)
    guest.is_only_at(source, target)


def test_a_destination_refuses_what_cant_be_its_drive(guest: Guest) -> None:
    source, target = guest.source, guest.target
    drive = checked(guest.uuid, source, target)
    zeros = bytes(drive.size)
    guest.put_at_target(zeros)
    before = target.files()

    for changes in (
        {"location": "/elsewhere/disk.config"},
        {"size": 1 << 40},
        {"readonly": True, "sha256": hashlib.sha256(zeros).hexdigest()},
    ):
        other = dataclasses.replace(drive, **changes)
        with pytest.raises(MigrationRefused, match=str(guest.path)):
            target.call("pre_live_migration", guest.uuid, other, NOWHERE)

    assert target.files() == before
    guest.remove_at_target()
    guest.is_only_at(source, target)


def test_another_file_than_was_checked_stays_at_the_source(
    guest: Guest,
) -> None:
    source, target = guest.source, guest.target
    drive = checked(guest.uuid, source, target)

    with file_replaced(guest, guest.drive):
        source.call("post_live_migration", guest.uuid, drive)

    guest.is_only_at(source, target)


@pytest.mark.parametrize(("meanwhile", "why"), REFUSED.values(), ids=REFUSED)
def test_a_migration_is_refused_if(
    meanwhile: Meanwhile, why: str, guest: Guest
) -> None:
    source, target = guest.source, guest.target

    with meanwhile(guest), pytest.raises(MigrationRefused, match=why):
        live_migrate(guest.uuid, source, target)

    guest.is_only_at(source, target)


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[-1]], ids="-".join)
def test_a_shared_drive_stays_where_it_is(
    kind: tuple[str, str],
    hosts: tuple[Host, Host],
    probe: Probe,
    tmp_path: pathlib.Path,
) -> None:
    one, other = hosts
    shared = one.directory / kind[0]
    shared.mkdir()
    with (
        one.mounted("--bind", shared),
        other.mounted("--bind", shared),
        all_configured(hosts, config_drive_format=kind[0]),
        booted(hosts, kind[1], probe, tmp_path) as guest,
    ):
        before = one.seen(guest.path).stat()

        # libvirt can't know that this file system is shared.
        for _ in moved_at_last(guest, libvirt.VIR_MIGRATE_UNSAFE):
            assert one.files() == other.files() == guest.files
            after = other.seen(guest.path).stat()
            assert after.st_ino == before.st_ino
            assert after.st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[-1]], ids="-".join)
def test_a_volume_stays_where_it_is(
    kind: tuple[str, str],
    hosts: tuple[Host, Host],
    ceph: Cluster,
    probe: Probe,
    tmp_path: pathlib.Path,
) -> None:
    one, other = hosts
    before = one.files(), other.files()

    def volume(place: str) -> bytes:
        name = place.removeprefix(f"{ceph.pool}/")
        path = tmp_path / "exported"
        path.unlink(missing_ok=True)
        return exported(ceph, name.removesuffix("_disk.config"), path)

    with (
        knowing_the_key(hosts, ceph),
        all_configured(hosts, in_ceph(ceph), config_drive_format=kind[0]),
        booted(hosts, kind[1], probe, tmp_path, volume) as guest,
    ):
        for _ in moved_at_last(guest):
            assert (one.files(), other.files()) == before
            assert volume(ceph.volumes()[0]) == guest.drive
