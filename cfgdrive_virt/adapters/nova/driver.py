"""nova's libvirt driver, with config drives by our hook."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from nova import exception
from nova.compute import task_states
from nova.conf import CONF
from nova.virt.libvirt import driver as libvirt_driver

from cfgdrive_virt.adapters.migration import peek_by
from cfgdrive_virt.adapters.nova import (
    block_info,
    metadata,
    migration,
    releases,
)
from cfgdrive_virt.driver import ConfigDriveDriver, Drive
from cfgdrive_virt.exception import ConfigDriveError, UnsupportedCombination
from cfgdrive_virt.metadata.recall import Recalled
from cfgdrive_virt.model.decision import Decision
from cfgdrive_virt.model.drive import RESCUE_NAME, Location, is_drive
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from cfgdrive_virt.model.request import RenderedRequest, Request

LOG = logging.getLogger(__name__)

_Hook = Callable[[Any], Drive | None]


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Tell whoever asked for an instance what can't be."""
    try:
        yield
    except UnsupportedCombination as error:
        raise exception.Invalid(str(error)) from error


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """Refuse a migration, before anything has moved."""
    try:
        yield
    except ConfigDriveError as error:
        raise exception.MigrationPreCheckError(reason=str(error)) from error


@contextlib.contextmanager
def _logged(what: str) -> Iterator[None]:
    """Tell of what nova's own work has to go on without."""
    try:
        yield
    except ConfigDriveError as error:
        LOG.error("Config drive %s: %s", what, error)  # noqa: TRY400


class LibvirtDriver(libvirt_driver.LibvirtDriver):
    """Hand every step that concerns a config drive to the hook.

    Methods are nova's, and so are their arguments.
    """

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        releases.check()
        super().__init__(virtapi, read_only)
        drives = ConfigDriveDriver(CONF, peek=self._peek, carries=True)
        self._drives = (
            releases.InTurns(drives) if releases.is_green() else drives
        )
        #: What makes the drives ready of guests that nova starts again.
        self._renewals: dict[str, _Hook] = {}
        #: Of guests that are leaving this host, or coming.
        self._migrating: dict[str, MigratingDrive] = {}
        self._remotefs = releases.RemoteFiles(self._migrating)
        self._endpoint = migration.Endpoint(self._read_migrating)
        self._server: Any = None
        block_info.follow(self._decide)

    def init_host(self, host: str) -> None:
        super().init_host(host)
        # Before there are instances: what can't be is told now.
        anybody = RenderedRequest(uuid=str(uuid.UUID(int=0)))
        told = self._drives.decide(anybody)
        LOG.info("Config drives of this host, by default: %s", told.reason)
        for warning in told.warnings:
            LOG.warning("Config drives of this host: %s", warning)
        self._server = migration.serve(host, self._endpoint)

    def cleanup_host(self, host: str) -> None:
        if self._server is not None:
            self._server.stop()
            self._server.wait()
        super().cleanup_host(host)

    # A drive is made.

    def _create_configdrive(
        self,
        context: Any,
        instance: Any,
        injection_info: Any,
        rescue: bool = False,
    ) -> None:
        # As nova: the domain is defined, and its devices have addresses.
        instance.device_metadata = self._build_device_metadata(
            context, instance
        )
        if not self._drives.required_by(metadata.request_of(instance)):
            return
        known = Recalled() if rescue else self._drives.recall(instance.uuid)
        hook: _Hook
        if rescue:
            hook = self._drives.rescue
        elif instance.task_state == task_states.RESIZE_FINISH:
            hook = self._drives.finish_migration
        elif instance.task_state == task_states.REBUILD_SPAWNING:
            # nova has destroyed a rebuilt one's drive; what is there has
            # come with an instance from a host that failed.
            hook = functools.partial(
                self._drives.rebuild,
                evacuate=self._drives.exists(instance.uuid),
            )
        else:
            hook = self._drives.spawn
        hook(
            metadata.rendered(
                instance,
                injection_info.network_info,
                injected_files=injection_info.files,
                admin_pass=injection_info.admin_pass,
                known=known,
            )
        )

    def _hard_reboot(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        with self._renewed_by(self._drives.reboot, instance):
            super()._hard_reboot(context, instance, *args, **kwargs)

    def finish_revert_migration(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        with self._renewed_by(self._drives.finish_revert_migration, instance):
            super().finish_revert_migration(context, instance, *args, **kwargs)

    @contextlib.contextmanager
    def _renewed_by(self, hook: _Hook, instance: Any) -> Iterator[None]:
        """Have a hook called between a guest's definition and its start.

        nova does one thing at a time with an instance.
        """
        self._renewals[instance.uuid] = hook
        try:
            yield
        finally:
            self._renewals.pop(instance.uuid, None)

    def _create_guest_with_network(
        self,
        context: Any,
        xml: str,
        instance: Any,
        network_info: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        hook = self._renewals.get(instance.uuid)
        if hook is not None:
            kwargs["post_xml_callback"] = functools.partial(
                self._renew, hook, instance, network_info
            )
        return super()._create_guest_with_network(
            context, xml, instance, network_info, *args, **kwargs
        )

    def _renew(self, hook: _Hook, instance: Any, network_info: Any) -> None:
        if not self._drives.required_by(metadata.request_of(instance)):
            return
        request: Request | str
        try:
            request = metadata.rendered(
                instance,
                network_info,
                injected_files=None,
                admin_pass=None,
                known=self._drives.recall(instance.uuid),
            )
        except Exception:
            # A guest has to start also where Neutron or the database, which
            # nova doesn't need for that, can't be asked.
            LOG.exception(
                "The metadata of instance %s can't be had now; its config"
                " drive is taken as it is",
                instance.uuid,
            )
            request = instance.uuid
        hook(request)

    # A drive is attached.

    @_explained()
    def _get_guest_disk_config(
        self,
        instance: Any,
        name: str,
        disk_mapping: dict[str, Any],
        flavor: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if name not in block_info.DRIVES:
            return super()._get_guest_disk_config(
                instance, name, disk_mapping, flavor, *args, **kwargs
            )
        # Where a guest keeps its devices during rescue, nova makes a drive
        # for it and attaches the other one.
        rescue = name == RESCUE_NAME or "disk.rescue" in disk_mapping
        plan = self._drives.plan(metadata.request_of(instance), rescue=rescue)
        return block_info.disk_config(
            plan.disk_xml or "", name, disk_mapping, flavor["extra_specs"]
        )

    @_explained()
    def _decide(
        self, instance: Any, image_meta: Any, taken: frozenset[str]
    ) -> Decision:
        request = metadata.request_of(instance, image_meta)
        guest = self._drives.guest(request)
        return self._drives.decide(
            request, dataclasses.replace(guest, targets=taken)
        )

    # A drive is removed, or given back.

    def power_off(self, instance: Any, *args: Any, **kwargs: Any) -> None:
        super().power_off(instance, *args, **kwargs)
        if self._drives.required_by(metadata.request_of(instance)):
            with _logged("can't be made readable"):
                self._drives.power_off(instance.uuid)

    def unrescue(self, context: Any, instance: Any) -> None:
        super().unrescue(context, instance)
        with _logged("for rescue can't be removed"):
            self._drives.unrescue(instance.uuid)

    def cleanup(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        # As nova: the volume that a reverted resize goes back to is the same.
        kept = (
            CONF.libvirt.images_type == "rbd"
            and instance.task_state == task_states.RESIZE_REVERTING
        )
        if destroy_disks and not kept:
            with _logged("can't be removed"):
                self._drives.cleanup(instance.uuid)
        return super().cleanup(
            context,
            instance,
            network_info,
            block_device_info,
            destroy_disks,
            *args,
            **kwargs,
        )

    # A drive moves with its running guest.

    def check_can_live_migrate_destination(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        data = super().check_can_live_migrate_destination(
            context, instance, *args, **kwargs
        )
        with _refused():
            check = self._drives.check_can_live_migrate_destination(
                instance.uuid
            )
        migration.tell(data, check)
        return data

    def cleanup_live_migration_destination_check(
        self, context: Any, dest_check_data: Any
    ) -> None:
        _, check = migration.listen(dest_check_data)
        if isinstance(check, DestinationCheck):
            with _logged("has left a token"):
                self._drives.cleanup_live_migration_destination_check(check)
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
        known, check = migration.listen(dest_check_data)
        data = super().check_can_live_migrate_source(
            context, instance, dest_check_data, *args, **kwargs
        )
        guest = self._host.get_guest(instance)
        if not known or not isinstance(check, DestinationCheck):
            _refuse_to_lose(guest, data)
            return data
        with _refused():
            drive = self._drives.check_can_live_migrate_source(
                check,
                guest.get_xml_desc(),
                block_migration=data.block_migration,
            )
        self._remember(instance.uuid, drive)
        migration.tell(data, drive)
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
        known, drive = migration.listen(migrate_data)
        if not known and migration.has_drive(disk_info):
            copied = (
                releases.COPIES_DRIVES or CONF.config_drive_format == "vfat"
            )
            if not copied:
                raise exception.MigrationPreCheckError(
                    reason=f"{instance.host} hasn't got the compute driver"
                    " that this host has, cfgdrive_virt, so the guest would"
                    " read zeros in place of its config drive"
                )
        elif isinstance(drive, MigratingDrive):
            self._remember(instance.uuid, drive)
            disk_info = migration.without_drive(disk_info)
        migrate_data = super().pre_live_migration(
            context,
            instance,
            block_device_info,
            network_info,
            disk_info,
            migrate_data,
        )
        if isinstance(drive, MigratingDrive):
            with _refused():
                data = b""
                if not drive.shared:
                    data = migration.fetch(context, instance.host, drive)
                self._drives.pre_live_migration(drive, lambda: data)
        return migrate_data

    def post_live_migration(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        super().post_live_migration(context, instance, *args, **kwargs)
        drive = self._migrating.pop(instance.uuid, None)
        if drive is not None:
            with _logged("can't be removed"):
                self._drives.post_live_migration(drive)

    def post_live_migration_at_destination(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        super().post_live_migration_at_destination(
            context, instance, *args, **kwargs
        )
        drive = self._migrating.pop(instance.uuid, None)
        if drive is not None:
            with _logged("isn't there"):
                self._drives.post_live_migration_at_destination(drive)

    def rollback_live_migration_at_destination(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        drive = self._migrating.pop(instance.uuid, None)
        if drive is not None:
            with _logged("can't be removed"):
                self._drives.rollback_live_migration_at_destination(drive)
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

    def _remember(
        self, instance_uuid: str, drive: MigratingDrive | None
    ) -> None:
        self._migrating.pop(instance_uuid, None)
        if drive is not None:
            self._migrating[instance_uuid] = drive

    def _read_migrating(self, instance_uuid: str) -> bytes:
        drive = self._migrating.get(instance_uuid)
        if drive is None:
            raise exception.MigrationPreCheckError(
                reason=f"instance {instance_uuid} isn't leaving this host"
            )
        with _refused():
            return self._drives.read_migrating(drive)

    def _peek(self, location: Location, most: int) -> bytes | None:
        return peek_by(self._host.get_connection())(location, most)


def _refuse_to_lose(guest: Any, data: Any) -> None:
    """Refuse a destination that would give a guest zeros for its drive."""
    for disk in guest.get_all_disks():
        if (
            disk.source_type == "file"
            and disk.readonly
            and is_drive(disk.source_path or "")
            and not data.is_shared_instance_path
        ):
            raise exception.MigrationPreCheckError(
                reason="the destination hasn't got the compute driver that"
                " this host has, cfgdrive_virt, so the guest would read zeros"
                f" in place of {disk.source_path}"
            )
