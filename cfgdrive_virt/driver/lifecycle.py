"""An instance's drive through its life, on this host.

Every hook is all or nothing, and may be called again, after a crash or when
there is nothing for it to do.  It holds the instance's ``drive`` lock while it
looks and writes (see :mod:`cfgdrive_virt.store.lock`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from cfgdrive_virt.driver import resize
from cfgdrive_virt.driver.host import Hooks
from cfgdrive_virt.driver.instance_drive import Drive
from cfgdrive_virt.driver.make_ready import (
    decide_on,
    keep_or_build,
    replace,
    require_whole,
)
from cfgdrive_virt.driver.operation_log import Operation, operation
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.machine import Machine
from cfgdrive_virt.model.request import ConfigDriveRequest, Request
from cfgdrive_virt.model.status import FRESH
from cfgdrive_virt.store.file import FileStore


class Lifecycle(Hooks):
    """The hooks that concern one host."""

    def spawn(
        self,
        request: Request,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Put an instance's drive in place, if it gets one.

        Call it once the domain is defined, so that the addresses of tagged
        devices are known, and before it is started.  A drive that is there
        is left alone if it matches the request.  Call it to unshelve, too.

        :param machine: as for :meth:`plan`
        :param domain_xml: the domain as libvirt defined it; tagged devices
            without bus and address take theirs from it
        :raises ConfigDriveError: if it couldn't be done; it has created no
            drive then
        """
        with operation(self._host, "spawn", request.uuid) as op:
            wanted = decide_on(op, request, machine, domain_xml)
            if wanted is None:
                return None
            with op.drive_lock():
                return keep_or_build(op, wanted)

    def rebuild(
        self,
        request: Request,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
        evacuate: bool = False,
    ) -> Drive | None:
        """Build an instance's drive, in place of one that is there.

        :param evacuate: whether the instance comes from a host that failed:
            then a drive that is there, in Ceph or on shared storage, is left
            alone if it matches the request
        :raises ConfigDriveError: as :meth:`spawn`
        """
        name = "evacuate" if evacuate else "rebuild"
        with operation(self._host, name, request.uuid) as op:
            wanted = decide_on(op, request, machine, domain_xml)
            if wanted is None:
                return None
            with op.drive_lock():
                if evacuate:
                    return keep_or_build(op, wanted)
                return replace(op, op.drives.current, wanted)

    def reboot(
        self,
        instance: Request | str,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Make sure of an instance's drive before a hard reboot's start.

        :param instance: its request, to rebuild a drive that is missing,
            damaged, stale or of another format than the policy's; or its
            UUID, to check that there is a whole drive
        :raises NoWholeDrive: if it is damaged or missing, and there is no
            request
        """
        return self._make_sure("reboot", instance, machine, domain_xml)

    def rescue(
        self,
        request: Request,
        rescue_password: str | None = None,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Build a drive for rescue; the instance's own stays untouched.

        ``plan(request, machine, rescue=True)`` returns its XML.

        :param rescue_password: the admin_pass of the rescue guest; a
            rendered request holds its own
        :raises ConfigDriveError: as :meth:`spawn`
        """
        if isinstance(request, ConfigDriveRequest):
            request = dataclasses.replace(request, admin_pass=rescue_password)
        with operation(self._host, "rescue", request.uuid) as op:
            wanted = decide_on(op, request, machine, domain_xml)
            if wanted is None:
                return None
            with op.drive_lock():
                return replace(op, op.drives.rescue, wanted)

    def unrescue(self, uuid: str) -> bool:
        """Remove the drive for rescue; tell whether there was one.

        :raises ConfigDriveError: if it can't be removed
        """
        with operation(self._host, "unrescue", uuid) as op:
            existed = op.drives.rescue.remove()
            op.outcome = _removed(existed)
        return existed

    def migrate_disk_and_power_off(self, uuid: str) -> bool:
        """Set the drive aside for a resize's revert, once the guest is off.

        A file moves to where nova keeps an instance's old disks; in Ceph both
        hosts have one volume.  Tell whether there is one.

        :raises StoreError: if there is one from an earlier resize as well
        """
        with (
            operation(self._host, "migrate_disk_and_power_off", uuid) as op,
            op.drive_lock(),
        ):
            return resize.set_aside(op)

    def finish_migration(
        self,
        instance: Request | str,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Make sure of a drive at the end of a resize or cold migration.

        It takes a drive that the service copied there, or that this host set
        aside itself, and builds a missing one.

        :param instance: as for :meth:`reboot`
        :raises ConfigDriveError: as :meth:`reboot`
        """
        return self._make_sure(
            "finish_migration", instance, machine, domain_xml, resize.copy_back
        )

    def confirm_migration(self, uuid: str) -> bool:
        """Remove the drive that was set aside for a revert, if any."""
        with (
            operation(self._host, "confirm_migration", uuid) as op,
            op.drive_lock(),
        ):
            aside = op.drives.for_revert
            existed = aside is not None and aside.delete()
            op.outcome = _removed(existed)
        return existed

    def finish_revert_migration(
        self,
        instance: Request | str,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Put back the drive that was set aside, and make sure of it.

        :param instance: as for :meth:`reboot`
        :raises ConfigDriveError: as :meth:`reboot`
        """
        return self._make_sure(
            "finish_revert_migration",
            instance,
            machine,
            domain_xml,
            resize.move_back,
        )

    def power_off(self, uuid: str) -> None:
        """Make a drive this service's own again, once the guest is off.

        libvirt gives a disk's file to QEMU's user, and doesn't give a
        read-only one back: others then couldn't copy it for a resize.

        :raises ConfigDriveError: if it couldn't be done
        """
        with (
            operation(self._host, "power_off", uuid) as op,
            op.drive_lock(),
        ):
            reclaimed = [
                drive.reclaim()
                for drive in op.drives.attachable
                if isinstance(drive.store, FileStore)
            ]
            op.outcome = "reclaimed" if any(reclaimed) else "left alone"

    def destroy(self, uuid: str, *, destroy_disks: bool = True) -> bool:
        """Remove all of an instance's drives; tell whether there was one.

        In Ceph, one that a client has open is tried again, as nova does
        ([libvirt] rbd_destroy_volume_retries).

        :param destroy_disks: False leaves them, as where another host has
            the instance now and sees the same storage
        :raises ConfigDriveError: if one can't be removed
        """
        return self._remove_all("destroy", uuid, destroy_disks=destroy_disks)

    def cleanup(
        self, uuid: str, *, destroy_disks: bool = True, retry: bool = True
    ) -> bool:
        """Remove what an instance that has left this host may have left.

        :param retry: as :meth:`destroy` does
        """
        return self._remove_all(
            "cleanup", uuid, destroy_disks=destroy_disks, retry=retry
        )

    def _make_sure(
        self,
        name: str,
        instance: Request | str,
        machine: Machine | None,
        domain_xml: str | bytes | None,
        bring_back: Callable[..., None] | None = None,
    ) -> Drive | None:
        """Make sure of the drive of a guest that may have been up before.

        :param bring_back: a step of :mod:`cfgdrive_virt.driver.resize`, for a
            drive that was set aside
        """
        request = None if isinstance(instance, str) else instance
        uuid = instance if isinstance(instance, str) else instance.uuid
        with operation(self._host, name, uuid) as op:
            wanted = None
            if request is not None:
                wanted = decide_on(op, request, machine, domain_xml)
                if wanted is None:
                    return None
            with op.drive_lock():
                if bring_back is not None:
                    bring_back(op, must_be_whole=request is None)
                _adopt_left(op)
                if wanted is None:
                    return require_whole(op)
                # The guest may have been up, and no longer needs these.
                forgotten = op.settings.one_shot_secrets
                return keep_or_build(op, wanted, forgotten)

    def _remove_all(
        self, name: str, uuid: str, *, destroy_disks: bool, retry: bool = True
    ) -> bool:
        with operation(self._host, name, uuid) as op:
            if not destroy_disks:
                op.outcome = "left the drive"
                return False
            existed, refused = False, None
            # Remove what can be removed, then tell what couldn't.
            for drive in op.drives.all:
                try:
                    existed |= drive.remove(retry=retry)
                except StoreError as error:
                    refused = refused or error
            if refused:
                raise refused
            op.outcome = _removed(existed)
        return existed


def _adopt_left(op: Operation) -> None:
    """Move a drive into Ceph that nova once left in a file."""
    current, left = op.drives.current, op.drives.left
    if left is None or current.exists():
        return
    data = left.read_if_readable()
    if data is not None and left.judge(data).state == FRESH:
        current.write(data)
        left.delete()


def _removed(existed: bool) -> str:
    return "removed" if existed else "nothing to remove"
