"""An instance's drive on its way to another host, while the guest runs.

libvirt neither copies nor checks read-only disks: the guest reads whatever its
destination has in that place, zeros for instance.  A writable disk it copies
into a file of the same size.  So in either case the destination fetches the
bytes before the guest moves, verifies them by their sum, and places them as
any other drive, whole or not at all; then libvirt may copy them once more.

The destination fetches, and the source doesn't send: only then does the file
appear under its name whole, with the owner and mode of this host's files.  The
service decides how to fetch; ``adapters.libvirt.block_peek`` reads the bytes
through the source's libvirtd.

    destination: check_can_live_migrate_destination
    source:      check_can_live_migrate_source
    destination: cleanup_live_migration_destination_check
    destination: pre_live_migration
    source:      read_migrating, if the service fetches by it
    (the guest moves)
    source:      post_live_migration
    destination: post_live_migration_at_destination
    or else      rollback_live_migration_at_destination

No lock is held between the hooks, and none on two hosts at a time.
"""

from __future__ import annotations

from collections.abc import Callable

from cfgdrive_virt.driver import stores
from cfgdrive_virt.driver.host import Hooks
from cfgdrive_virt.driver.instance_drive import InstanceDrive
from cfgdrive_virt.driver.migration_checks import (
    check_fetched,
    check_place,
    drive_here,
    is_shared,
)
from cfgdrive_virt.driver.operation_log import operation
from cfgdrive_virt.exception import MigrationRefused, StoreError
from cfgdrive_virt.libvirt_xml.domain import Disk, Domain
from cfgdrive_virt.model.drive import is_drive
from cfgdrive_virt.model.migration import (
    DestinationCheck,
    MigratingDrive,
    sum_of,
)
from cfgdrive_virt.model.status import FRESH, MISSING
from cfgdrive_virt.model.value import checked_uuid
from cfgdrive_virt.store import migration_files


class LiveMigration(Hooks):
    """The hooks of a live migration's two hosts."""

    def check_can_live_migrate_destination(
        self, uuid: str
    ) -> DestinationCheck:
        """Tell the source where this host would have an instance's drive.

        :raises StoreError: if this host can't have one
        """
        with operation(
            self._host, "check_can_live_migrate_destination", uuid
        ) as op:
            settings = op.settings
            locations = tuple(
                str(drive.location) for drive in op.drives.attachable
            )
            op.outcome = f"the drive would be {locations[0]} here"
            cluster = None
            if settings.in_rbd:
                cluster = stores.rbd_store_of(settings).cluster()
            name = self._host.urandom(16).hex()
            with op.drive_lock():
                migration_files.make_test_file(
                    settings.instances_path, op.uuid, name
                )
        return DestinationCheck(op.uuid, locations, cluster, name)

    def cleanup_live_migration_destination_check(
        self, check: DestinationCheck
    ) -> None:
        """Remove what the check left on this host, the destination."""
        migration_files.remove_test_file(
            self._host.settings.instances_path,
            checked_uuid(check.uuid),
            check.test_file,
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

        :param check: the destination's answer
        :param domain_xml: of the guest as it runs
        :param block_migration: whether libvirt is asked to copy the drive's
            disk (VIR_MIGRATE_NON_SHARED_DISK, and no list of disks without it)
        :raises MigrationRefused: saying why, and what to do
        :raises StoreError: if the drive can't be looked at
        """
        with operation(
            self._host, "check_can_live_migrate_source", check.uuid
        ) as op:
            found = _attached(op.drives.attachable, Domain(domain_xml))
            if found is None:
                op.outcome = "there is no drive"
                return None
            drive, disk = found
            location = drive.location
            check_place(op.drives, check, location)
            shared = is_shared(op.settings, check, location)
            op.outcome = f"can be migrated: {location}"
            if shared:
                op.reason = "both hosts see it"
                if block_migration and not disk.is_readonly:
                    raise MigrationRefused(
                        f"both hosts see {location}, and a block migration"
                        " would copy it over itself: migrate without block"
                        " migration"
                    )
                return MigratingDrive(
                    op.uuid,
                    str(location),
                    shared=True,
                    readonly=disk.is_readonly,
                )
            if not disk.is_readonly and not block_migration:
                raise MigrationRefused(
                    f"{location} is writable and on storage of this host:"
                    " libvirt copies it only in a block migration; request one"
                )
            data = drive.read()
            state = drive.judge(data)
            # A guest may have changed a writable drive: it goes as it is.
            if data is None or (disk.is_readonly and state.state != FRESH):
                raise MigrationRefused(
                    f"{location} is {state}; a hard reboot or cfgdrive-virt"
                    " refresh rebuilds it"
                )
            op.reason = f"the destination fetches it; it is {state}"
        return MigratingDrive(
            op.uuid,
            str(location),
            shared=False,
            readonly=disk.is_readonly,
            size=len(data),
            sha256=sum_of(data),
            inode=migration_files.inode(location),
        )

    def read_migrating(self, drive: MigratingDrive) -> bytes:
        """Return the bytes of the source's drive, for the destination.

        :raises MigrationRefused: if it is missing
        :raises StoreError: if it can't be read
        """
        uuid = checked_uuid(drive.uuid)
        drives = self._host.drives_of(uuid, self._host.settings)
        source = drive_here(drives, drive)
        data = source.read()
        if data is None:
            raise MigrationRefused(f"{source.location} is missing")
        return data

    def pre_live_migration(
        self, drive: MigratingDrive, fetch: Callable[[], bytes]
    ) -> None:
        """Have the drive in place at the destination, before the guest moves.

        :param fetch: returns the bytes of the source's drive; not called if
            the same are here already
        :raises MigrationRefused: if the bytes aren't the source's
        :raises StoreError: if it can't be written; nothing is left then
        """
        with operation(self._host, "pre_live_migration", drive.uuid) as op:
            here = drive_here(op.drives, drive)
            location = here.location
            if drive.shared:
                found = here.examine()
                whole = found.state == FRESH or not drive.readonly
                if found.state == MISSING or not whole:
                    raise MigrationRefused(
                        f"{location} is {found} here: this host doesn't share"
                        " it with the source; check that its storage is"
                        " mounted"
                    )
                op.outcome = "both hosts see it"
                return
            data = here.read_if_readable()
            if data is None or not drive.is_same(data):
                data = fetch()
            check_fetched(here, drive, data)
            with op.drive_lock():
                if here.exists():
                    here.refuse_users()
                root = op.settings.instances_path
                with migration_files.awaiting_guest(root, location):
                    here.write(data)
            op.outcome = f"placed {location}, {len(data):,} bytes"

    def post_live_migration(self, drive: MigratingDrive) -> None:
        """Remove the drive from the source, once the guest has left.

        :raises StoreError: if a guest on this host has it open
        """
        with operation(self._host, "post_live_migration", drive.uuid) as op:
            here = drive_here(op.drives, drive)
            if drive.shared:
                op.outcome = "left alone: both hosts see it"
                return
            with op.drive_lock():
                if not here.exists():
                    op.outcome = "nothing to remove"
                    return
                if migration_files.inode(here.location) != drive.inode:
                    op.outcome = f"left alone {here.location}"
                    op.reason = "it is not the drive that was migrated"
                    return
                here.refuse_users()
                here.delete()
            op.outcome = "removed"

    def post_live_migration_at_destination(
        self, drive: MigratingDrive
    ) -> None:
        """Verify the drive that the guest reads from now on.

        :raises StoreError: if it isn't the source's, or damaged
        """
        with operation(
            self._host, "post_live_migration_at_destination", drive.uuid
        ) as op:
            here = drive_here(op.drives, drive)
            data = here.read()
            if not drive.has_arrived(data):
                found = here.judge(data)
                what = (
                    "not the drive that was migrated"
                    if found.state == FRESH
                    else found
                )
                raise StoreError(
                    "the guest arrived without its drive:"
                    f" {here.location} is {what}; run cfgdrive-virt refresh"
                )
            if not drive.shared:
                migration_files.stop_awaiting(here.location)
            op.outcome = f"verified {here.location}"

    def rollback_live_migration_at_destination(
        self, drive: MigratingDrive
    ) -> None:
        """Remove the drive from the destination, if no guest has arrived.

        :raises StoreError: if a guest on this host has it open
        """
        with operation(
            self._host, "rollback_live_migration_at_destination", drive.uuid
        ) as op:
            here = drive_here(op.drives, drive)
            if drive.shared:
                op.outcome = "left alone: both hosts see it"
                return
            with op.drive_lock():
                if not migration_files.awaits_guest(here.location):
                    op.outcome = "no drive was placed"
                    return
                if here.exists():
                    here.refuse_users()
                here.delete()
            op.outcome = "removed"


def _attached(
    drives: tuple[InstanceDrive, ...], domain: Domain
) -> tuple[InstanceDrive, Disk] | None:
    """Return the drive that a guest has, and its disk; None if it has none.

    :raises MigrationRefused: if it should have one, or has another one
    """
    for drive in drives:
        disk = domain.disk_of(drive.location.source)
        if disk is not None:
            return drive, disk
    location = drives[0].location
    for other in filter(is_drive, domain.disk_sources()):
        raise MigrationRefused(
            f"the guest's drive is {other}, and the configuration says"
            f" {location}; use the configuration that it was spawned with"
        )
    if drives[0].exists():
        raise MigrationRefused(
            f"the guest doesn't have its drive, {location}, attached now:"
            " refresh it, or unrescue it"
        )
    return None
