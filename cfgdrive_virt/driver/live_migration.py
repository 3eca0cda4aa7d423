"""An instance's drive on its way to another host, while the guest runs.

libvirt copies no read-only disk and checks none: a guest reads whatever its
destination has in that place, zeros for instance.  A writable one it copies
into a file of the same size.  So in either case the destination fetches the
bytes before the guest moves, verifies them by their sum, and places them as
any other drive, whole or not at all; then libvirt may copy them once more.

Fetched, not sent: only so does the file appear under its name at once, with
the owner and mode that this host's files have.  By what, the service decides;
``adapters.libvirt.block_peek`` reads them through the source's libvirtd.

    destination: check_can_live_migrate_destination
    source:      check_can_live_migrate_source
    destination: cleanup_live_migration_destination_check
    destination: pre_live_migration
    (the guest moves)
    source:      post_live_migration
    destination: post_live_migration_at_destination
    or else      rollback_live_migration_at_destination

No lock is held between the hooks, and none on two hosts at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from cfgdrive_virt.driver import operation_log, stores
from cfgdrive_virt.driver.make_ready import Upkeep, refuse_users
from cfgdrive_virt.driver.migration_checks import (
    check_fetched,
    check_place,
    is_shared,
    store_for,
)
from cfgdrive_virt.driver.planner import canonical
from cfgdrive_virt.driver.status import examine
from cfgdrive_virt.exception import (
    DriveUnreadable,
    MigrationRefused,
    StoreError,
)
from cfgdrive_virt.libvirt_xml.domain import Domain
from cfgdrive_virt.model.drive import is_drive
from cfgdrive_virt.model.migration import (
    DestinationCheck,
    MigratingDrive,
    sum_of,
)
from cfgdrive_virt.model.status import FRESH, MISSING
from cfgdrive_virt.store import migration_files
from cfgdrive_virt.store.lock import locked


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
        with operation_log.operation(
            "check_can_live_migrate_destination", uuid
        ) as entry:
            locations = tuple(
                str(store.location(uuid))
                for store in stores.stores_of(settings)
            )
            entry.outcome = f"would have {locations[0]}"
            cluster = None
            if stores.in_rbd(settings):
                cluster = stores.rbd_store_of(settings).cluster()
            test_file = self._urandom(16).hex()
            with locked(settings.instances_path, uuid):
                migration_files.make_test_file(
                    settings.instances_path, uuid, test_file
                )
        return DestinationCheck(uuid, locations, cluster, test_file)

    def cleanup_live_migration_destination_check(
        self, check: DestinationCheck
    ) -> None:
        """Remove what the check left on this host, the destination."""
        root = self.settings.instances_path
        migration_files.remove_test_file(
            root, canonical(check.uuid), check.test_file
        )

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
        :param block_migration: whether libvirt is told to copy the drive's
            disk (VIR_MIGRATE_NON_SHARED_DISK, and no list of disks without it)
        :raises MigrationRefused: saying why, and what to do
        :raises StoreError: if the drive can't be looked at
        """
        uuid = canonical(check.uuid)
        settings = self.settings
        with operation_log.operation(
            "check_can_live_migrate_source", uuid
        ) as entry:
            domain = Domain(domain_xml)
            for store in stores.stores_of(settings):
                location = store.location(uuid)
                disk = domain.disk_of(location.source)
                if disk is not None:
                    break
            else:
                store = stores.store_of(settings)
                location = store.location(uuid)
                for other in filter(is_drive, domain.disk_sources()):
                    raise MigrationRefused(
                        f"the guest's drive is {other}, and the configuration"
                        f" says {location}; use the configuration that it was"
                        " spawned with"
                    )
                if store.exists(uuid):
                    raise MigrationRefused(
                        f"the guest hasn't got its drive, {location}, now:"
                        " refresh it, or unrescue it"
                    )
                entry.outcome = "there is no drive"
                return None
            check_place(settings, check, location)
            shared = is_shared(settings, check, location)
            entry.outcome = f"can be migrated: {location}"
            if shared:
                entry.reason = "both hosts see it"
                if block_migration and not disk.is_readonly:
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
            data = self._read(settings, store, uuid)
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
            sha256=sum_of(data),
            inode=migration_files.inode(location),
        )

    def read_migrating(self, drive: MigratingDrive) -> bytes:
        """Return the bytes of the source's drive, for the one who fetches.

        :raises MigrationRefused: if there is none any more
        :raises StoreError: if it can't be read
        """
        uuid = canonical(drive.uuid)
        settings = self.settings
        store = store_for(settings, drive)
        data = self._read(settings, store, uuid)
        if data is None:
            raise MigrationRefused(f"{store.location(uuid)} is missing")
        return data

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
        with operation_log.operation("pre_live_migration", uuid) as entry:
            store = store_for(settings, drive)
            location = store.location(uuid)
            if drive.shared:
                found = self._look(settings, store, uuid)
                whole = found.state == FRESH or not drive.readonly
                if found.state == MISSING or not whole:
                    raise MigrationRefused(
                        f"{location} is {found} here: this host doesn't share"
                        " it with the source; see that its storage is mounted"
                    )
                entry.outcome = "both hosts see it"
                return
            data = None
            with contextlib.suppress(DriveUnreadable):
                data = self._read(settings, store, uuid)
            if data is None or not drive.is_same(data):
                data = fetch()
            check_fetched(settings, drive, location, data)
            with locked(settings.instances_path, uuid):
                if store.exists(uuid):
                    refuse_users(store, uuid)
                with migration_files.awaiting_guest(
                    settings.instances_path, location
                ):
                    store.write(uuid, data)
            entry.outcome = f"placed {location}, {len(data):,} bytes"

    def post_live_migration(self, drive: MigratingDrive) -> None:
        """Remove the drive from the source, once the guest has left.

        :raises StoreError: if a guest on this host has it
        """
        uuid = canonical(drive.uuid)
        settings = self.settings
        with operation_log.operation("post_live_migration", uuid) as entry:
            store = store_for(settings, drive)
            if drive.shared:
                entry.outcome = "left alone: both hosts see it"
                return
            with locked(settings.instances_path, uuid):
                if not store.exists(uuid):
                    entry.outcome = "there was none"
                    return
                location = store.location(uuid)
                if migration_files.inode(location) != drive.inode:
                    entry.outcome = f"left alone {location}"
                    entry.reason = "it is another one than has been migrated"
                    return
                refuse_users(store, uuid)
                store.delete(uuid)
            entry.outcome = "removed"

    def post_live_migration_at_destination(
        self, drive: MigratingDrive
    ) -> None:
        """Verify the drive that the guest reads from now on.

        :raises StoreError: if it isn't the source's, or damaged
        """
        uuid = canonical(drive.uuid)
        settings = self.settings
        with operation_log.operation(
            "post_live_migration_at_destination", uuid
        ) as entry:
            store = store_for(settings, drive)
            location = store.location(uuid)
            data = self._read(settings, store, uuid)
            if not drive.has_arrived(data):
                found = examine(location, data, settings)
                what = "another one" if found.state == FRESH else found
                raise StoreError(
                    f"the guest has come without its drive: {location} is"
                    f" {what}; refresh it (cfgdrive-virt refresh)"
                )
            if not drive.shared:
                migration_files.stop_awaiting(location)
            entry.outcome = f"verified {location}"

    def rollback_live_migration_at_destination(
        self, drive: MigratingDrive
    ) -> None:
        """Remove the drive from the destination, where no guest has come.

        :raises StoreError: if a guest on this host has it
        """
        uuid = canonical(drive.uuid)
        settings = self.settings
        with operation_log.operation(
            "rollback_live_migration_at_destination", uuid
        ) as entry:
            store = store_for(settings, drive)
            location = store.location(uuid)
            if drive.shared:
                entry.outcome = "left alone: both hosts see it"
                return
            with locked(settings.instances_path, uuid):
                if not migration_files.awaits_guest(location):
                    entry.outcome = "there is none that was placed"
                    return
                if store.exists(uuid):
                    refuse_users(store, uuid)
                store.delete(uuid)
            entry.outcome = "removed"
