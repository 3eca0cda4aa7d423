"""An instance's drive through its life, on this host.

Every hook is all or nothing, and may be called again, after a crash, or when
there is nothing for it to do.  It holds the instance's ``drive`` lock while it
looks and writes (see :mod:`cfgdrive_virt.store.lock`).
"""

from __future__ import annotations

import contextlib
import dataclasses

from cfgdrive_virt.driver import operation_log, stores
from cfgdrive_virt.driver.make_ready import Drive, Upkeep
from cfgdrive_virt.driver.planner import canonical
from cfgdrive_virt.driver.status import examine
from cfgdrive_virt.exception import DriveUnreadable, NoWholeDrive, StoreError
from cfgdrive_virt.model.decision import Machine
from cfgdrive_virt.model.request import ConfigDriveRequest, Request
from cfgdrive_virt.model.status import FRESH
from cfgdrive_virt.settings import Settings
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked


class Lifecycle(Upkeep):
    """The hooks that concern one host."""

    def spawn(
        self,
        request: Request,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Put an instance's drive in place, if it gets one.

        To be called once the domain is defined, so that the addresses of
        tagged devices are known, and before it is started.  A drive that is
        there is left alone if it says what the request says.  Unshelving is
        a spawn, too.

        :param machine: as for :meth:`plan`
        :param domain_xml: the domain as libvirt defined it; tagged devices
            without bus and address take theirs from it
        :raises ConfigDriveError: if it couldn't be done; there is no drive
            then that wasn't there before
        """
        return self._make_ready(
            "spawn", request, machine, domain_xml, same_guest=False
        )

    def rebuild(
        self,
        request: Request,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
        evacuate: bool = False,
    ) -> Drive | None:
        """Make an instance's drive anew, in place of one that is there.

        :param evacuate: whether the instance comes from a host that failed:
            then a drive that is there, in Ceph or on shared storage, is left
            alone if it says what the request says
        :raises ConfigDriveError: as :meth:`spawn`
        """
        return self._make_ready(
            "evacuate" if evacuate else "rebuild",
            request,
            machine,
            domain_xml,
            same_guest=False,
            anew=not evacuate,
        )

    def reboot(
        self,
        instance: Request | str,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Make sure of an instance's drive before a hard reboot's start.

        :param instance: its request, with which a drive that is missing,
            damaged, stale or of another format than the policy's is made
            anew; or its UUID, with which it can only be looked at
        :raises NoWholeDrive: if it is damaged or missing, and there is no
            request
        """
        return self._make_ready("reboot", instance, machine, domain_xml)

    def rescue(
        self,
        request: Request,
        rescue_password: str | None = None,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Make a drive for rescue; the instance's own stays untouched.

        ``plan(request, machine, rescue=True)`` gives its XML.

        :param rescue_password: the admin_pass of the guest that rescues; a
            rendered request says it itself
        :raises ConfigDriveError: as :meth:`spawn`
        """
        if isinstance(request, ConfigDriveRequest):
            request = dataclasses.replace(request, admin_pass=rescue_password)
        return self._make_ready(
            "rescue",
            request,
            machine,
            domain_xml,
            same_guest=False,
            anew=True,
            store_of=stores.rescue_store_of,
        )

    def unrescue(self, uuid: str) -> bool:
        """Remove the drive for rescue; tell whether there was one.

        :raises ConfigDriveError: if it can't be removed
        """
        uuid = canonical(uuid)
        settings = self.settings
        with operation_log.operation("unrescue", uuid) as entry:
            store = stores.rescue_store_of(settings)
            existed = self._remove(settings, store, uuid)
            entry.outcome = _removed(existed)
        return existed

    def migrate_disk_and_power_off(self, uuid: str) -> bool:
        """Keep a drive for a resize's revert, once the guest is off.

        A file moves to where nova keeps an instance's old disks; in Ceph both
        hosts have one volume.  Tell whether there is one that is kept.

        :raises StoreError: if there is one from an earlier resize as well
        """
        uuid = canonical(uuid)
        settings = self.settings
        with operation_log.operation(
            "migrate_disk_and_power_off", uuid
        ) as entry:
            kept = stores.resize_store_of(settings)
            store = stores.store_of(settings)
            with locked(settings.instances_path, uuid):
                if kept is None:
                    entry.outcome = "both hosts have it"
                    return store.exists(uuid)
                both = kept.exists(uuid) and store.exists(uuid)
                if both and self._differ(settings, kept, store, uuid):
                    raise StoreError(
                        f"{store.location(uuid)} and {kept.location(uuid)} are"
                        " both there: confirm or revert the last resize first"
                    )
                # What can't be read may be moved all the same.
                with contextlib.suppress(DriveUnreadable):
                    self._reclaim(settings, store, uuid)
                kept.take_from(FileStore(settings.instances_path), uuid)
                there = kept.exists(uuid)
            place = f"kept in {kept.location(uuid)}"
            entry.outcome = place if there else "there was none"
        return there

    def finish_migration(
        self,
        instance: Request | str,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Make sure of a drive where a resize or cold migration has led.

        One that the service carried there, or that this host itself keeps,
        is taken; what is missing in it is built.

        :param instance: as for :meth:`reboot`
        :raises ConfigDriveError: as :meth:`reboot`
        """
        return self._make_ready(
            "finish_migration",
            instance,
            machine,
            domain_xml,
            first=self._carry,
        )

    def confirm_migration(self, uuid: str) -> bool:
        """Remove the drive that was kept for a revert, if there is one."""
        uuid = canonical(uuid)
        settings = self.settings
        with operation_log.operation("confirm_migration", uuid) as entry:
            kept = stores.resize_store_of(settings)
            with locked(settings.instances_path, uuid):
                existed = kept is not None and kept.delete(uuid)
            entry.outcome = _removed(existed)
        return existed

    def finish_revert_migration(
        self,
        instance: Request | str,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Put back the drive that was kept, and make sure of it.

        :param instance: as for :meth:`reboot`
        :raises ConfigDriveError: as :meth:`reboot`
        """
        return self._make_ready(
            "finish_revert_migration",
            instance,
            machine,
            domain_xml,
            first=self._restore,
        )

    def power_off(self, uuid: str) -> None:
        """Make a drive this service's own again, once the guest is off.

        libvirt gives a disk's file to QEMU's user, and a read-only one not
        back: others then couldn't copy it for a resize.

        :raises ConfigDriveError: if it couldn't be done
        """
        uuid = canonical(uuid)
        settings = self.settings
        with operation_log.operation("power_off", uuid) as entry:
            with locked(settings.instances_path, uuid):
                again = any(
                    self._reclaim(settings, store, uuid)
                    for store in stores.stores_of(settings)
                    if isinstance(store, FileStore)
                )
            entry.outcome = "is ours again" if again else "left alone"

    def destroy(self, uuid: str, *, destroy_disks: bool = True) -> bool:
        """Remove all of an instance's drives; tell whether there was one.

        In Ceph, one that somebody has open is tried again, as nova does
        ([libvirt] rbd_destroy_volume_retries).

        :param destroy_disks: False leaves them, as where another host has
            the instance now and sees the same storage
        :raises ConfigDriveError: if one can't be removed
        """
        return self._destroy("destroy", uuid, destroy_disks=destroy_disks)

    def cleanup(
        self, uuid: str, *, destroy_disks: bool = True, retry: bool = True
    ) -> bool:
        """Remove what an instance that is no more here may have left.

        :param retry: as :meth:`destroy` does
        """
        return self._destroy(
            "cleanup", uuid, destroy_disks=destroy_disks, retry=retry
        )

    def exists(self, uuid: str) -> bool:
        """Tell whether an instance has a drive, whole or not.

        :raises StoreError: if what is in its place is none
        """
        return stores.store_of(self.settings).exists(canonical(uuid))

    def _destroy(
        self,
        operation: str,
        uuid: str,
        *,
        destroy_disks: bool,
        retry: bool = True,
    ) -> bool:
        uuid = canonical(uuid)
        with operation_log.operation(operation, uuid) as entry:
            settings = self.settings
            if not destroy_disks:
                entry.outcome = "left the drive"
                return False
            existed, refused = False, None
            # As much as can be; then what couldn't.
            for store in (
                *stores.stores_of(settings),
                stores.rescue_store_of(settings),
                stores.resize_store_of(settings),
            ):
                try:
                    if store is not None:
                        existed |= self._remove(
                            settings, store, uuid, retry=retry
                        )
                except StoreError as error:
                    refused = refused or error
            if refused:
                raise refused
            entry.outcome = _removed(existed)
        return existed

    def _reclaim(
        self, settings: Settings, store: stores.Store, uuid: str
    ) -> bool:
        """Make a file ours again that libvirt gave away, by peek.

        Later, in another place, libvirt knows it no more.
        """
        try:
            store.read(store.location(uuid), stores.most_bytes(settings))
        except DriveUnreadable:
            data = self._read(settings, store, uuid)
            assert data is not None
            store.write(uuid, data)
            return True
        return False

    def _carry(self, settings: Settings, uuid: str, *, whole: bool) -> None:
        """Copy what is kept for a revert, where there is nothing else."""
        kept = stores.resize_store_of(settings)
        store = stores.store_of(settings)
        if kept is None or store.exists(uuid) or not kept.exists(uuid):
            return
        data = (self._read if whole else self._reads)(settings, kept, uuid)
        if data is not None and _is_whole(settings, kept, uuid, data):
            store.write(uuid, data)
        elif whole:
            raise NoWholeDrive(f"{kept.location(uuid)} is damaged")

    def _restore(self, settings: Settings, uuid: str, *, whole: bool) -> None:
        """Move back what was kept, but no damaged one over another."""
        kept = stores.resize_store_of(settings)
        if kept is None:
            return
        store = FileStore(settings.instances_path)
        data = self._reads(settings, kept, uuid)
        # One that can't be read may be whole: to move it takes no look.
        if data is not None and not _is_whole(settings, kept, uuid, data):
            if whole:
                place = kept.location(uuid)
                raise NoWholeDrive(f"{place} is damaged; it stays there")
            if store.exists(uuid):
                kept.delete(uuid)
                return
        store.take_from(kept, uuid)

    def _differ(
        self,
        settings: Settings,
        one: stores.Store,
        other: stores.Store,
        uuid: str,
    ) -> bool:
        read = self._read
        return read(settings, one, uuid) != read(settings, other, uuid)


def _is_whole(
    settings: Settings, store: stores.Store, uuid: str, data: bytes
) -> bool:
    return examine(store.location(uuid), data, settings).state == FRESH


def _removed(existed: bool) -> str:
    return "removed" if existed else "there was none"
