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
    destination: must_fetch, if the service fetches before the next hook
    destination: pre_live_migration
    source:      read_migrating, if the service fetches by it
    (the guest moves)
    source:      post_live_migration
    destination: post_live_migration_at_destination
    or else      rollback_live_migration_at_destination

No lock is held between the hooks, none on two hosts at a time, and none while
a host waits for the other one.

Either host may be compromised.  So each hook is given the instance's UUID by
its own service, and what the other host sent is checked before it is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from cfgdrive_virt.driver import stores
from cfgdrive_virt.driver.host import Hooks
from cfgdrive_virt.driver.instance_drive import InstanceDrive
from cfgdrive_virt.driver.migration_checks import (
    check_domain,
    check_place,
    check_received,
    drive_here,
    is_shared,
)
from cfgdrive_virt.driver.operation_log import operation
from cfgdrive_virt.driver.transfer import spool
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
        self, uuid: str, check: DestinationCheck
    ) -> None:
        """Remove what the check left on this host, the destination.

        :raises MigrationRefused: if the check isn't this instance's
        """
        check = DestinationCheck.of(checked_uuid(uuid), check)
        migration_files.remove_test_file(
            self._host.settings.instances_path, check.uuid, check.test_file
        )

    def check_can_live_migrate_source(
        self,
        uuid: str,
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
            self._host, "check_can_live_migrate_source", uuid
        ) as op:
            check = DestinationCheck.of(op.uuid, check)
            domain = Domain(domain_xml)
            check_domain(op.uuid, domain)
            found = _attached(op.drives.attachable, domain)
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

    def read_migrating(self, uuid: str, drive: MigratingDrive) -> bytes:
        """Return the bytes of the source's drive, for the destination.

        :raises MigrationRefused: if it is missing
        :raises StoreError: if it can't be read
        """
        drives = self._host.drives_of(checked_uuid(uuid), self._host.settings)
        source, drive = drive_here(drives, drive)
        data = source.read()
        if data is None:
            raise MigrationRefused(f"{source.location} is missing")
        return data

    def must_fetch(self, uuid: str, drive: MigratingDrive) -> bool:
        """Tell whether pre_live_migration would fetch the source's drive.

        Ask it before fetching, if that can't be left to the hook.

        :raises MigrationRefused: if a drive of this place and size can't be
            here
        :raises StoreError: if the one that is here can't be looked at
        """
        drives = self._host.drives_of(checked_uuid(uuid), self._host.settings)
        here, drive = drive_here(drives, drive)
        return not drive.shared and _same_here(here, drive) is None

    def pre_live_migration(
        self,
        uuid: str,
        drive: MigratingDrive,
        fetch: Callable[[], Iterable[bytes]],
    ) -> None:
        """Have the drive in place at the destination, before the guest moves.

        :param fetch: returns the bytes of the source's drive, in parts that
            aren't empty; not called if the same bytes are here already, or if
            a drive of this place and size can't be here.  No more is taken
            than the drive's size
        :raises MigrationRefused: if the bytes aren't the source's
        :raises StoreError: if it can't be written; nothing is left then
        """
        with (
            operation(self._host, "pre_live_migration", uuid) as op,
            contextlib.ExitStack() as held,
        ):
            here, drive = drive_here(op.drives, drive)
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
            root = op.settings.instances_path
            same = _same_here(here, drive)
            if same is None:
                # Outside the lock: the other host may take any time.
                fetched = held.enter_context(spool(drive, root))
                fetched.fill(fetch())
                parts = fetched.parts()
            else:
                parts = iter((same,))
            with op.drive_lock():
                if here.exists():
                    here.refuse_users()
                with migration_files.awaiting_guest(root, location):
                    here.receive(
                        parts,
                        lambda file: check_received(here, drive, file),
                    )
            op.outcome = f"placed {location}, {drive.size:,} bytes"

    def post_live_migration(self, uuid: str, drive: MigratingDrive) -> None:
        """Remove the drive from the source, once the guest has left.

        :raises StoreError: if a guest on this host has it open
        """
        with operation(self._host, "post_live_migration", uuid) as op:
            here, drive = drive_here(op.drives, drive)
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
        self, uuid: str, drive: MigratingDrive
    ) -> None:
        """Verify the drive that the guest reads from now on.

        :raises StoreError: if it isn't the source's, or damaged
        """
        with operation(
            self._host, "post_live_migration_at_destination", uuid
        ) as op:
            here, drive = drive_here(op.drives, drive)
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
        self, uuid: str, drive: MigratingDrive
    ) -> None:
        """Remove the drive from the destination, if no guest has arrived.

        :raises StoreError: if a guest on this host has it open
        """
        with operation(
            self._host, "rollback_live_migration_at_destination", uuid
        ) as op:
            here, drive = drive_here(op.drives, drive)
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


def _same_here(here: InstanceDrive, drive: MigratingDrive) -> bytes | None:
    """Return the bytes that are here, if they are the source's."""
    data = here.read_if_readable()
    return data if data is not None and drive.is_same(data) else None


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
