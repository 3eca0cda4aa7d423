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
from cfgdrive_virt.driver.instance_drive import Drive, InstanceDrive
from cfgdrive_virt.driver.make_ready import (
    decide_on,
    keep,
    keep_or_build,
    replace,
)
from cfgdrive_virt.driver.operation_log import Operation, operation
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.decision import Machine
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
        is left alone if it says what the request says.  Call it to unshelve,
        too.

        :param machine: as for :meth:`plan`
        :param domain_xml: the domain as libvirt defined it; tagged devices
            without bus and address take theirs from it
        :raises ConfigDriveError: if it couldn't be done; there is no drive
            then that wasn't there before
        """
        with operation(self._host, "spawn", request.uuid) as spawn:
            wanted = decide_on(spawn, request, machine, domain_xml)
            if wanted is None:
                return None
            with spawn.locked():
                return keep_or_build(spawn, wanted)

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
            alone if it says what the request says
        :raises ConfigDriveError: as :meth:`spawn`
        """
        name = "evacuate" if evacuate else "rebuild"
        with operation(self._host, name, request.uuid) as rebuild:
            wanted = decide_on(rebuild, request, machine, domain_xml)
            if wanted is None:
                return None
            with rebuild.locked():
                if evacuate:
                    return keep_or_build(rebuild, wanted)
                return replace(rebuild, rebuild.drives.current, wanted)

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
        with operation(self._host, "rescue", request.uuid) as rescue:
            wanted = decide_on(rescue, request, machine, domain_xml)
            if wanted is None:
                return None
            with rescue.locked():
                return replace(rescue, rescue.drives.rescue, wanted)

    def unrescue(self, uuid: str) -> bool:
        """Remove the drive for rescue; tell whether there was one.

        :raises ConfigDriveError: if it can't be removed
        """
        with operation(self._host, "unrescue", uuid) as unrescue:
            existed = unrescue.drives.rescue.remove()
            unrescue.outcome = _removed(existed)
        return existed

    def migrate_disk_and_power_off(self, uuid: str) -> bool:
        """Keep a drive for a resize's revert, once the guest is off.

        A file moves to where nova keeps an instance's old disks; in Ceph both
        hosts have one volume.  Tell whether there is one that is kept.

        :raises StoreError: if there is one from an earlier resize as well
        """
        with (
            operation(
                self._host, "migrate_disk_and_power_off", uuid
            ) as migrate,
            migrate.locked(),
        ):
            return resize.keep(migrate)

    def finish_migration(
        self,
        instance: Request | str,
        machine: Machine | None = None,
        *,
        domain_xml: str | bytes | None = None,
    ) -> Drive | None:
        """Make sure of a drive where a resize or cold migration has led.

        It takes a drive that the service carried there, or that this host
        itself keeps, and builds what is missing.

        :param instance: as for :meth:`reboot`
        :raises ConfigDriveError: as :meth:`reboot`
        """
        return self._make_sure(
            "finish_migration", instance, machine, domain_xml, resize.carry
        )

    def confirm_migration(self, uuid: str) -> bool:
        """Remove the drive that was kept for a revert, if there is one."""
        with (
            operation(self._host, "confirm_migration", uuid) as confirm,
            confirm.locked(),
        ):
            kept = confirm.drives.kept
            existed = kept is not None and kept.store.delete(confirm.uuid)
            confirm.outcome = _removed(existed)
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
        return self._make_sure(
            "finish_revert_migration",
            instance,
            machine,
            domain_xml,
            resize.restore,
        )

    def power_off(self, uuid: str) -> None:
        """Make a drive this service's own again, once the guest is off.

        libvirt gives a disk's file to QEMU's user, and doesn't give a
        read-only one back: others then couldn't copy it for a resize.

        :raises ConfigDriveError: if it couldn't be done
        """
        with (
            operation(self._host, "power_off", uuid) as power_off,
            power_off.locked(),
        ):
            reclaimed = any(
                drive.reclaim()
                for drive in power_off.drives.everywhere
                if isinstance(drive.store, FileStore)
            )
            power_off.outcome = "reclaimed" if reclaimed else "left alone"

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
        fetch_kept: Callable[[Operation, bool], None] | None = None,
    ) -> Drive | None:
        """Make sure of the drive of a guest that may have been up before.

        :param fetch_kept: brings a drive that was kept for a resize's revert
            to its place; given whether a damaged one is an error
        """
        if isinstance(instance, str):
            with (
                operation(self._host, name, instance) as begun,
                begun.locked(),
            ):
                if fetch_kept is not None:
                    fetch_kept(begun, True)
                _adopt_older(begun)
                return keep(begun)
        with operation(self._host, name, instance.uuid) as begun:
            wanted = decide_on(begun, instance, machine, domain_xml)
            if wanted is None:
                return None
            with begun.locked():
                if fetch_kept is not None:
                    fetch_kept(begun, False)
                _adopt_older(begun)
                # The guest may have been up, and needs these no more.
                forgotten = begun.settings.one_shot_secrets
                return keep_or_build(begun, wanted, forgotten)

    def _remove_all(
        self, name: str, uuid: str, *, destroy_disks: bool, retry: bool = True
    ) -> bool:
        with operation(self._host, name, uuid) as begun:
            if not destroy_disks:
                begun.outcome = "left the drive"
                return False
            existed, refused = False, None
            drives = begun.drives
            places: tuple[InstanceDrive | None, ...] = (
                *drives.everywhere,
                drives.rescue,
                drives.kept,
            )
            # Remove what can be removed, then tell what couldn't.
            for drive in filter(None, places):
                try:
                    existed |= drive.remove(retry=retry)
                except StoreError as error:
                    refused = refused or error
            if refused:
                raise refused
            begun.outcome = _removed(existed)
        return existed


def _adopt_older(begun: Operation) -> None:
    """Move a drive into Ceph that nova once left in a file."""
    current = begun.drives.current
    for older in begun.drives.older:
        if current.exists():
            return
        data = older.read_if_readable()
        if data is not None and older.judge(data).state == FRESH:
            current.write(data)
            older.store.delete(begun.uuid)


def _removed(existed: bool) -> str:
    return "removed" if existed else "there was none"
