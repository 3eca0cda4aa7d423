"""nova's libvirt driver, with config drives made by our hooks.

Instance -> nova's InstanceMetadata -> our hook -> nova's domain.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nova.compute import task_states
from nova.conf import CONF

from cfgdrive_virt.adapters.nova import blockinfo, metadata
from cfgdrive_virt.adapters.nova.errors import explained, logged
from cfgdrive_virt.adapters.nova.live_migration import LiveMigrationDriver
from cfgdrive_virt.driver.driver import Drive
from cfgdrive_virt.exception import UnsupportedCombination
from cfgdrive_virt.metadata.layout import Recalled
from cfgdrive_virt.model.drive import RESCUE_NAME, is_drive
from cfgdrive_virt.model.request import RenderedRequest, Request

LOG = logging.getLogger(__name__)

_Hook = Callable[[Any], Drive | None]


class LibvirtDriver(LiveMigrationDriver):
    """Call our hooks in every step of nova that concerns a config drive.

    The methods and their arguments are those of nova's driver.
    """

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        #: By instance UUID: the hook to call before nova starts the guest.
        self._renewals: dict[str, _Hook] = {}
        blockinfo.follow(self._device_of)

    def init_host(self, host: str) -> None:
        super().init_host(host)
        # Report configuration errors now, before there are instances.
        default = RenderedRequest(uuid=str(uuid.UUID(int=0)))
        decision = self._drive_driver.decide(default)
        LOG.info("Config drives of this host, by default: %s", decision.reason)
        for warning in decision.warnings:
            LOG.warning("Config drives of this host: %s", warning)

    # Make a drive.

    def _create_configdrive(
        self,
        context: Any,
        instance: Any,
        injection_info: Any,
        rescue: bool = False,
    ) -> None:
        # As nova does: the domain is defined, so its devices have addresses.
        instance.device_metadata = self._build_device_metadata(
            context, instance
        )
        if not self._needs_drive(instance):
            return
        known = (
            Recalled()
            if rescue
            else self._threaded_driver.recall(instance.uuid)
        )
        hook: _Hook
        if rescue:
            hook = self._threaded_driver.rescue
        elif instance.task_state == task_states.RESIZE_FINISH:
            hook = self._threaded_driver.finish_migration
        elif instance.task_state == task_states.REBUILD_SPAWNING:
            # nova has already destroyed the drive of a rebuilt instance.  If
            # there is one, the instance was evacuated from a failed host.
            hook = functools.partial(
                self._threaded_driver.rebuild,
                evacuate=self._threaded_driver.exists(instance.uuid),
            )
        else:
            hook = self._threaded_driver.spawn
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
        with self._renewed_by(self._threaded_driver.reboot, instance):
            super()._hard_reboot(context, instance, *args, **kwargs)

    def finish_revert_migration(
        self, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> None:
        with self._renewed_by(
            self._threaded_driver.finish_revert_migration, instance
        ):
            super().finish_revert_migration(context, instance, *args, **kwargs)

    @contextlib.contextmanager
    def _renewed_by(self, hook: _Hook, instance: Any) -> Iterator[None]:
        """Call a hook after nova has defined a guest and before it starts it.

        nova does not run two operations on one instance at once.
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
                self._renew, hook, context, instance, network_info
            )
        return super()._create_guest_with_network(
            context, xml, instance, network_info, *args, **kwargs
        )

    def _renew(
        self, hook: _Hook, context: Any, instance: Any, network_info: Any
    ) -> None:
        if not self._needs_drive(instance):
            return
        known = self._threaded_driver.recall(instance.uuid)
        request: Request | str
        try:
            # libvirt has just assigned addresses to the devices.
            instance.device_metadata = self._build_device_metadata(
                context, instance
            )
            request = metadata.rendered(
                instance,
                network_info,
                injected_files=None,
                admin_pass=None,
                known=known,
            )
        except Exception:
            # Whatever the error is: nova can start a guest without Neutron
            # and the database, so the guest must start here, too.
            LOG.exception(
                "Could not render the metadata of instance %s; starting with"
                " the existing config drive",
                instance.uuid,
            )
            request = instance.uuid
        hook(request)

    def _get_instance_disk_info_from_config(
        self, guest_config: Any, block_device_info: Any
    ) -> Any:
        # Before a hard reboot nova reads the files of all disks.  Leave out
        # a lost drive, as the reboot rebuilds it.
        guest_config.devices = [
            device
            for device in guest_config.devices
            if not _is_lost_drive(device)
        ]
        return super()._get_instance_disk_info_from_config(
            guest_config, block_device_info
        )

    # Attach a drive.

    @explained()
    def _get_guest_disk_config(
        self,
        instance: Any,
        name: str,
        disk_mapping: dict[str, Any],
        flavor: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if name not in blockinfo.DRIVES:
            return super()._get_guest_disk_config(
                instance, name, disk_mapping, flavor, *args, **kwargs
            )
        # For a rescue that keeps the order of devices, nova makes a rescue
        # drive, but then attaches the instance's normal drive.
        rescue = name == RESCUE_NAME or "disk.rescue" in disk_mapping
        plan = self._threaded_driver.plan(
            metadata.request_of(instance), rescue=rescue
        )
        return blockinfo.disk_config(
            plan.disk_xml or "", name, disk_mapping, flavor["extra_specs"]
        )

    def _get_guest_storage_config(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        devices = super()._get_guest_storage_config(
            context, instance, image_meta, *args, **kwargs
        )
        # There, libvirt's default is one that guests have a driver for.
        if not self._is_ppc64_guest(image_meta):
            devices += blockinfo.missing_controllers(devices)
        return devices

    def _device_of(self, instance: Any, image_meta: Any) -> str | None:
        request = metadata.request_of(instance, image_meta)
        try:
            return self._drive_driver.decide(request).device
        except UnsupportedCombination:
            # nova would swallow the error here; _get_guest_disk_config
            # raises it again.
            return None

    # Remove a drive, or make it readable again.

    def power_off(self, instance: Any, *args: Any, **kwargs: Any) -> None:
        super().power_off(instance, *args, **kwargs)
        self._migrating.pop(instance.uuid, None)
        if self._needs_drive(instance):
            with logged("make the config drive readable"):
                self._threaded_driver.power_off(instance.uuid)

    def unrescue(self, context: Any, instance: Any) -> None:
        super().unrescue(context, instance)
        with logged("remove the config drive for rescue"):
            self._threaded_driver.unrescue(instance.uuid)

    def cleanup(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().cleanup(
            context,
            instance,
            network_info,
            block_device_info,
            destroy_disks,
            *args,
            **kwargs,
        )
        self._migrating.pop(instance.uuid, None)
        # As nova does: a reverted resize goes back to the same volume.
        kept = (
            CONF.libvirt.images_type == "rbd"
            and instance.task_state == task_states.RESIZE_REVERTING
        )
        if not destroy_disks or kept:
            return
        # Do not retry: nova has just retried for long enough.
        remove = functools.partial(
            self._threaded_driver.cleanup, instance.uuid, retry=False
        )
        if instance.task_state == task_states.REBUILDING:
            # The rebuilt guest must not find the old guest's drive.
            remove()
        else:
            with logged("remove the config drive"):
                remove()

    def _needs_drive(self, instance: Any) -> bool:
        return bool(
            self._drive_driver.required_by(metadata.request_of(instance))
        )


def _is_lost_drive(device: Any) -> bool:
    if (
        device.root_name != "disk"
        or device.source_type != "file"
        or not is_drive(device.source_path or "")
    ):
        return False
    try:
        return not Path(device.source_path).exists()
    except OSError:
        # The hook says what is wrong with it.
        return True
