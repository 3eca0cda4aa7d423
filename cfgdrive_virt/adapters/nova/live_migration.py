"""nova's live migration, with config drives carried by our hooks.

If a hook refuses, nova's check fails.  So a guest never moves to a host where
it would read a different drive.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nova import exception, objects
from nova.compute import task_states
from nova.conf import CONF
from nova.virt.libvirt import driver as libvirt_driver

from cfgdrive_virt.adapters.libvirt import connected, peek_by
from cfgdrive_virt.adapters.nova import releases, rpc, tpool
from cfgdrive_virt.adapters.nova.errors import logged, refused
from cfgdrive_virt.driver import transfer
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import ConfigDriveError
from cfgdrive_virt.model.drive import Location, is_drive
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive


class LiveMigrationDriver(libvirt_driver.LibvirtDriver):
    """Carry the drives of guests that nova migrates live.

    The methods and their arguments are those of nova's driver.
    """

    _remotefs: Any

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        #: For questions that never wait for anything.
        self._drive_driver = ConfigDriveDriver(
            CONF, peek=_peek, carries=True, novas_buses=True
        )
        #: The same driver for calls that may wait for a disk or for Ceph; on
        #: eventlet they run in native threads.
        self._threaded_driver = tpool.threaded(self._drive_driver)
        #: By instance UUID: drives of guests that are leaving this host or
        #: arriving.
        self._migrating: dict[str, MigratingDrive] = {}
        self._remotefs = releases.RemoteFiles(self._remotefs, self._migrating)
        self._endpoint = rpc.Endpoint(self._read_migrating)
        self._server: Any = None

    def init_host(self, host: str) -> None:
        super().init_host(host)
        self._server = rpc.serve(host, self._endpoint)

    def cleanup_host(self, host: str) -> None:
        if self._server is not None:
            self._server.stop()
            self._server.wait()
        super().cleanup_host(host)

    def check_can_live_migrate_destination(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        data = super().check_can_live_migrate_destination(
            context, instance, *args, **kwargs
        )
        try:
            check = self._threaded_driver.check_can_live_migrate_destination(
                instance.uuid
            )
        except ConfigDriveError as error:
            # nova cleans up only if this method returns.
            super().cleanup_live_migration_destination_check(context, data)
            reason = str(error)
            raise exception.MigrationPreCheckError(reason=reason) from error
        rpc.add_note(data, check)
        return data

    def cleanup_live_migration_destination_check(
        self, context: Any, dest_check_data: Any
    ) -> None:
        with logged("remove the shared storage test file"):
            # nova gives this host's own check, and no instance.
            _, check = rpc.take_note(dest_check_data)
            if isinstance(check, DestinationCheck):
                self._threaded_driver.cleanup_live_migration_destination_check(
                    check.uuid, check
                )
        super().cleanup_live_migration_destination_check(
            context, dest_check_data
        )

    def check_can_live_migrate_source(
        self,
        context: Any,
        instance: Any,
        dest_check_data: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        self._migrating.pop(instance.uuid, None)
        _, check = _take_note(instance, dest_check_data)
        data = super().check_can_live_migrate_source(
            context, instance, dest_check_data, *args, **kwargs
        )
        guest = self._host.get_guest(instance)
        if not isinstance(check, DestinationCheck):
            _refuse_to_lose(guest, data)
            return data
        with refused():
            drive = self._threaded_driver.check_can_live_migrate_source(
                instance.uuid,
                check,
                guest.get_xml_desc(),
                block_migration=data.block_migration,
            )
        if drive is not None:
            self._migrating[instance.uuid] = drive
        rpc.add_note(data, drive)
        return data

    def pre_live_migration(
        self,
        context: Any,
        instance: Any,
        block_device_info: Any,
        network_info: Any,
        disk_info: str | None,
        migrate_data: Any,
    ) -> Any:
        self._migrating.pop(instance.uuid, None)
        known, drive = _take_note(instance, migrate_data)
        # A source with nova's own driver returns our note unchanged.
        known = known and not isinstance(drive, DestinationCheck)
        if not known and not releases.copies_isos():
            _refuse_an_iso(instance, disk_info)
        with contextlib.ExitStack() as spools:
            if isinstance(drive, MigratingDrive):
                # Before nova connects volumes: it may be refused.
                fetched = self._fetched(context, instance, drive, spools)
                self._migrating[instance.uuid] = drive
            # nova makes the instance's directory, and a drive full of zeros.
            migrate_data = super().pre_live_migration(
                context,
                instance,
                block_device_info,
                network_info,
                disk_info,
                migrate_data,
            )
            if isinstance(drive, MigratingDrive):
                with refused():
                    self._threaded_driver.pre_live_migration(
                        instance.uuid, drive, fetched
                    )
        return migrate_data

    def _fetched(
        self,
        context: Any,
        instance: Any,
        drive: MigratingDrive,
        spools: contextlib.ExitStack,
    ) -> Callable[[], Iterable[bytes]]:
        """Fetch a drive before the hook is called that places it.

        On eventlet, the hook runs in a native thread, one hook at a time,
        while the fetch waits for nova's message bus, which green threads
        serve: inside the hook, it would wait in a thread that has none of
        them, and keep every other hook of this host waiting.

        :param spools: holds the bytes until the hook has placed them
        """
        # The source sent the instance object, too.
        known = objects.Instance.get_by_uuid(context, instance.uuid)
        if not _is_migrating(known) or known.host == CONF.host:
            raise exception.MigrationPreCheckError(
                reason=f"instance {instance.uuid} is on {known.host}, and not"
                f" migrating to {CONF.host}"
            )
        with refused():
            if not self._threaded_driver.must_fetch(instance.uuid, drive):
                return tuple
            root = Path(CONF.instances_path)
            spool = spools.enter_context(transfer.spool(drive, root))
            threaded = tpool.threaded(spool)
            for part in rpc.fetch(context, known.host, drive):
                threaded.add(part)
            spool.check()
        return spool.parts

    def post_live_migration(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        super().post_live_migration(context, instance, *args, **kwargs)
        drive = self._migrating.pop(instance.uuid, None)
        if drive is not None:
            with logged("remove the config drive"):
                self._threaded_driver.post_live_migration(instance.uuid, drive)

    def post_live_migration_at_destination(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        super().post_live_migration_at_destination(
            context, instance, *args, **kwargs
        )
        drive = self._migrating.pop(instance.uuid, None)
        if drive is not None:
            with logged("verify the config drive"):
                self._threaded_driver.post_live_migration_at_destination(
                    instance.uuid, drive
                )

    def rollback_live_migration_at_destination(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        drive = self._migrating.pop(instance.uuid, None)
        if drive is not None:
            with logged("remove the config drive"):
                self._threaded_driver.rollback_live_migration_at_destination(
                    instance.uuid, drive
                )
        super().rollback_live_migration_at_destination(
            context, instance, *args, **kwargs
        )

    def rollback_live_migration_at_source(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        self._migrating.pop(instance.uuid, None)
        super().rollback_live_migration_at_source(
            context, instance, *args, **kwargs
        )

    def _read_migrating(self, context: Any, instance_uuid: str) -> bytes:
        drive = self._migrating.get(instance_uuid)
        if drive is None or not _is_migrating(
            objects.Instance.get_by_uuid(context, instance_uuid)
        ):
            raise exception.MigrationPreCheckError(
                reason=f"{CONF.host} is not migrating instance"
                f" {instance_uuid}; if nova-compute was restarted there, try"
                " again"
            )
        with refused():
            data: bytes = self._threaded_driver.read_migrating(
                instance_uuid, drive
            )
        return data


def _take_note(instance: Any, migrate_data: Any) -> tuple[bool, rpc.Note]:
    """Return what :func:`rpc.take_note` does, for this instance only."""
    with refused():
        known, note = rpc.take_note(migrate_data)
        return known, note and type(note).of(instance.uuid, note)


def _refuse_an_iso(instance: Any, disk_info: object) -> None:
    """Refuse a source that would leave the drive to nova's own driver."""
    with refused():
        found = rpc.has_iso(disk_info)
    if found:
        raise exception.MigrationPreCheckError(
            reason=f"{instance.host} does not run the cfgdrive_virt driver, so"
            " the guest would read zeros in place of its config drive"
        )


def _is_migrating(instance: Any) -> bool:
    return bool(instance.task_state == task_states.MIGRATING)


def _peek(location: Location, max_bytes: int) -> bytes | None:
    """Read a drive that libvirt has given to QEMU's user.

    This opens a new connection: on eventlet, a native thread must not wait
    for the locks of nova's own connection.
    """
    with connected(libvirt_driver.LibvirtDriver._uri()) as connection:
        return peek_by(connection)(location, max_bytes)


def _refuse_to_lose(guest: Any, data: Any) -> None:
    """Refuse a destination where the guest would read zeros for its drive."""
    for disk in guest.get_all_disks():
        if (
            disk.source_type == "file"
            and disk.readonly
            and is_drive(disk.source_path or "")
            and not data.is_shared_instance_path
        ):
            raise exception.MigrationPreCheckError(
                reason="the destination does not run the cfgdrive_virt"
                " driver, so the guest would read zeros in place of"
                f" {disk.source_path}"
            )
