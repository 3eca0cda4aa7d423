"""An instance's drive on its way to another host, while the guest runs.

libvirt copies no read-only disk and checks none: a guest reads whatever its
destination has in that place, zeros for instance.  A writable one it copies
into a file of the same size.  So in either case the destination fetches the
bytes before the guest moves, verifies them by their sum, and places them as
any other drive, whole or not at all; then libvirt may copy them once more.

Fetched, not sent: only so does the file appear under its name at once, with
the owner and mode that this host's files have.  By what, the service decides;
``cfgdrive_virt.adapters.migration`` reads them through the source's libvirtd,
which a service that migrates can reach anyhow.  No ssh, no port, no key.

    destination: check_can_live_migrate_destination
    source:      check_can_live_migrate_source
    destination: cleanup_live_migration_destination_check
    destination: pre_live_migration
    (the guest moves)
    source:      post_live_migration
    destination: post_live_migration_at_destination
    or else
    destination: rollback_live_migration_at_destination

No lock is held between the hooks, and none on two hosts at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from cfgdrive_virt import journal, storage
from cfgdrive_virt.device.domain import Domain
from cfgdrive_virt.exception import MigrationRefused, StoreError
from cfgdrive_virt.model.drive import is_drive
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from cfgdrive_virt.model.status import FRESH
from cfgdrive_virt.planner import canonical
from cfgdrive_virt.settings import Settings
from cfgdrive_virt.status import examine
from cfgdrive_virt.store.lock import locked
from cfgdrive_virt.store.os_error import explained
from cfgdrive_virt.store.whole_file import write_file
from cfgdrive_virt.upkeep import Upkeep

_TOKEN_SIZE = 16


class LiveMigration(Upkeep):
    """The hooks of a live migration's two hosts."""

    def check_can_live_migrate_destination(
        self, uuid: str
    ) -> DestinationCheck:
        """Tell the source where this host would have an instance's drive.

        :raises StoreError: if it can't have one
        """
        uuid = canonical(uuid)
        settings = self.settings
        with journal.operation(
            "check_can_live_migrate_destination", uuid
        ) as entry:
            location = str(storage.store_of(settings).location(uuid))
            entry.outcome = f"would have {location}"
            if storage.in_rbd(settings):
                cluster = storage.rbd_store_of(settings).cluster()
                return DestinationCheck(uuid, location, cluster, None)
            token = self._urandom(_TOKEN_SIZE).hex()
            path = _token_path(settings, uuid)
            write_file(path, token.encode(), temporary=f"{path.name}.new")
        return DestinationCheck(uuid, location, None, token)

    def cleanup_live_migration_destination_check(
        self, check: DestinationCheck
    ) -> None:
        """Remove what the check left on this host, the destination."""
        if check.token is not None:
            path = _token_path(self.settings, canonical(check.uuid))
            with explained(f"can't remove {path}"):
                path.unlink(missing_ok=True)

    def check_can_live_migrate_source(
        self,
        check: DestinationCheck,
        domain_xml: str | bytes,
        *,
        block_migration: bool,
    ) -> MigratingDrive | None:
        """Tell what the migration needs, or refuse what would lose the drive.

        Return None if the guest has no drive.

        :param check: what the destination said
        :param domain_xml: of the guest as it runs
        :param block_migration: whether libvirt is told to copy disks
            (VIR_MIGRATE_NON_SHARED_DISK)
        :raises MigrationRefused: saying why, and what to do
        :raises StoreError: if the drive can't be looked at
        """
        uuid = canonical(check.uuid)
        settings = self.settings
        with journal.operation("check_can_live_migrate_source", uuid) as entry:
            store = storage.store_of(settings)
            location = store.location(uuid)
            domain = Domain(domain_xml)
            disk = domain.disk_of(location.source)
            if disk is None:
                for other in filter(is_drive, domain.disk_sources()):
                    raise MigrationRefused(
                        f"the guest's drive is {other}, and the configuration"
                        f" says {location}; use the configuration that it was"
                        " spawned with"
                    )
                entry.outcome = "there is no drive"
                return None
            if check.location != str(location):
                raise MigrationRefused(
                    f"the drive is {location} here, and would be"
                    f" {check.location} at the destination: [DEFAULT]"
                    " instances_path and [libvirt] images_type and"
                    " images_rbd_pool have to be the same on both"
                )
            shared = _is_shared(settings, check)
            entry.outcome = f"can be migrated: {location}"
            if shared:
                entry.reason = "both hosts see it"
                if block_migration and not (
                    disk.is_readonly or storage.in_rbd(settings)
                ):
                    raise MigrationRefused(
                        f"both hosts see {location}, and a block migration"
                        " would copy it over itself: migrate without"
                    )
                return MigratingDrive(
                    uuid, str(location), shared=True, readonly=disk.is_readonly
                )
            if not disk.is_readonly and not block_migration:
                raise MigrationRefused(
                    f"{location} is writable and on storage of this host:"
                    " libvirt moves it in a block migration only; ask for one"
                )
            data = store.read(location, storage.most_bytes(settings))
            found = examine(location, data, settings)
            # What is writable is the guest's: what it made of it goes with it.
            if data is None or (disk.is_readonly and found.state != FRESH):
                raise MigrationRefused(
                    f"{location} is {found}; a hard reboot makes it anew, and"
                    " so does cfgdrive-virt refresh"
                )
            entry.reason = f"the destination fetches it; it is {found}"
        return MigratingDrive(
            uuid,
            str(location),
            shared=False,
            readonly=disk.is_readonly,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )

    def pre_live_migration(
        self, drive: MigratingDrive, fetch: Callable[[], bytes]
    ) -> None:
        """Have the drive in place at the destination, before the guest moves.

        :param fetch: returns the bytes of the source's drive; not called if
            the same are here already
        :raises MigrationRefused: if what came isn't what the source has
        :raises StoreError: if it can't be written; nothing is left then
        """
        uuid = canonical(drive.uuid)
        settings = self.settings
        with journal.operation("pre_live_migration", uuid) as entry:
            store = storage.store_of(settings)
            location = store.location(uuid)
            if drive.shared:
                if not store.exists(uuid):
                    raise MigrationRefused(
                        f"{location} isn't there: this host doesn't share it"
                        " with the source; see that its storage is mounted"
                    )
                entry.outcome = "both hosts see it"
                return
            data = store.read(location, storage.most_bytes(settings))
            if data is not None and _is_same(data, drive):
                entry.outcome = f"left alone {location}"
                return
            data = fetch()
            if not _is_same(data, drive):
                raise MigrationRefused(
                    f"of {location} other bytes came than the source has"
                    f" ({len(data):,}, not {drive.size:,}, or another sum);"
                    " try again"
                )
            with locked(settings.instances_path, uuid):
                if store.exists(uuid):
                    _refuse_users(store, uuid)
                    entry.reason = "what was there before was another one"
                store.write(uuid, data)
            entry.outcome = f"carried {location}, {len(data):,} bytes"

    def post_live_migration(self, drive: MigratingDrive) -> None:
        """Remove the drive from the source, once the guest has left.

        :raises StoreError: if a guest on this host has it
        """
        self._leave("post_live_migration", drive)

    def post_live_migration_at_destination(
        self, drive: MigratingDrive
    ) -> None:
        """Verify the drive that the guest reads from now on.

        :raises StoreError: if it isn't the source's, or damaged
        """
        uuid = canonical(drive.uuid)
        settings = self.settings
        with journal.operation(
            "post_live_migration_at_destination", uuid
        ) as entry:
            store = storage.store_of(settings)
            location = store.location(uuid)
            data = store.read(location, storage.most_bytes(settings))
            if not _has_arrived(data, drive):
                found = examine(location, data, settings)
                what = "another one" if found.state == FRESH else found
                raise StoreError(
                    f"the guest has come without its drive: {location} is"
                    f" {what}; refresh it (cfgdrive-virt refresh)"
                )
            entry.outcome = f"verified {location}"

    def rollback_live_migration_at_destination(
        self, drive: MigratingDrive
    ) -> None:
        """Remove the drive from the destination, where no guest has come.

        :raises StoreError: if a guest on this host has it
        """
        self._leave("rollback_live_migration_at_destination", drive)

    def _leave(self, operation: str, drive: MigratingDrive) -> None:
        uuid = canonical(drive.uuid)
        settings = self.settings
        with journal.operation(operation, uuid) as entry:
            if drive.shared:
                entry.outcome = "left alone: both hosts see it"
                return
            store = storage.store_of(settings)
            with locked(settings.instances_path, uuid):
                if store.exists(uuid):
                    _refuse_users(store, uuid)
                existed = store.delete(uuid)
            entry.outcome = "removed" if existed else "there was none"


def _refuse_users(store: storage.Store, uuid: str) -> None:
    location = store.location(uuid)
    if users := store.look(location).users:
        raise StoreError(f"{location} is in use by {', '.join(users)}")


def _is_shared(settings: Settings, check: DestinationCheck) -> bool:
    if storage.in_rbd(settings):
        here = storage.rbd_store_of(settings).cluster()
        if check.cluster != here:
            raise MigrationRefused(
                f"the drive is in Ceph cluster {here}, and the destination has"
                f" {check.cluster}: see [libvirt] images_rbd_ceph_conf"
            )
        return True
    path = _token_path(settings, canonical(check.uuid))
    try:
        return path.read_text("ascii") == check.token
    except (OSError, UnicodeDecodeError):
        return False


def _has_arrived(data: bytes | None, drive: MigratingDrive) -> bool:
    """Tell whether the guest has its drive at the destination."""
    if data is None:
        return False
    if drive.shared or _is_same(data, drive):
        return True
    # What is writable the guest may have changed on its way, but not to this.
    zeros = data.count(0) == len(data)
    return not drive.readonly and len(data) == drive.size and not zeros


def _is_same(data: bytes, drive: MigratingDrive) -> bool:
    return (
        len(data) == drive.size
        and hashlib.sha256(data).hexdigest() == drive.sha256
    )


def _token_path(settings: Settings, uuid: str) -> Path:
    # It may be a link; in the instances' directories none is followed.
    return settings.instances_path.resolve() / f".cfgdrive-virt.{uuid}"
