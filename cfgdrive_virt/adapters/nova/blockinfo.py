"""Make nova's disk mappings and disk configurations follow our decisions.

nova uses the option ``config_drive_format`` for all instances alike, in
functions of a module.  These functions do not belong to the driver, so a
subclass can't override them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nova.conf import CONF
from nova.virt.libvirt import blockinfo
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import utils as libvirt_utils

from cfgdrive_virt.model.drive import NAME, RESCUE_NAME, is_drive
from cfgdrive_virt.model.machine import Machine
from cfgdrive_virt.policy.device import SCSI_MODEL, free_target

#: The names of an instance's drives in disk mappings.
DRIVES = (NAME, RESCUE_NAME)

_QUOTA = "quota:"


def follow(device_of: Callable[[Any, Any], str | None]) -> None:
    """Replace nova's get_disk_mapping, for this process.

    The new function sets the device type of a config drive to the one that we
    decided on.  If nova chose another type, it also chooses a new device name;
    nova chooses the bus, as for all disks.  Volumes get other names, as nova
    reserves those of the mapping.

    :param device_of: given the instance and the image, returns ``cdrom`` or
        ``disk``; None if no drive is possible
    """
    known = blockinfo.get_disk_mapping
    original = getattr(known, "__wrapped__", known)

    @functools.wraps(original)
    def get_disk_mapping(
        virt_type: str,
        instance: Any,
        disk_bus: str,
        cdrom_bus: str,
        image_meta: Any,
        *args: Any,
        **kwargs: Any,
    ) -> dict[str, Any]:
        mapping: dict[str, Any] = original(
            virt_type,
            instance,
            disk_bus,
            cdrom_bus,
            image_meta,
            *args,
            **kwargs,
        )
        for name in mapping.keys() & set(DRIVES):
            device = device_of(instance, image_meta)
            if device is not None and mapping[name]["type"] != device:
                del mapping[name]
                bus = blockinfo.get_disk_bus_for_device_type(
                    instance, virt_type, image_meta, device
                )
                mapping[name] = {
                    "bus": bus,
                    # The last name: it stays the same when volumes come and
                    # go, and nova's own driver never uses it for a volume.
                    "dev": _free_name(bus, device, image_meta, mapping),
                    "type": device,
                }
        return mapping

    blockinfo.get_disk_mapping = get_disk_mapping


def _free_name(
    bus: str, device: str, image_meta: Any, mapping: dict[str, Any]
) -> str:
    machine = Machine(
        libvirt_utils.get_arch(image_meta),
        targets=frozenset(disk["dev"] for disk in mapping.values()),
    )
    prefix = blockinfo.get_dev_prefix_for_disk_bus(bus)
    name, _ = free_target(machine, bus, device, prefix, {})
    return name


def disk_config(
    disk_xml: str,
    name: str,
    disk_mapping: dict[str, Any],
    extra_specs: Mapping[str, str],
) -> Any:
    """Return nova's configuration object for a drive's disk.

    :param name: the drive's name in the mapping, which has its device
    :param disk_mapping: has the key ``unit`` where nova numbers the disks of
        a virtio-scsi controller; it is then counted up
    :param extra_specs: those of the flavor; its disk limits apply to every
        disk
    """
    mapped = disk_mapping[name]
    disk = vconfig.LibvirtConfigGuestDisk()
    disk.parse_str(disk_xml)
    if disk.source_type == "network" and CONF.libvirt.rbd_user:
        # nova's parse_str does not read this element.  (S105: not a secret.)
        disk.auth_username = CONF.libvirt.rbd_user
        disk.auth_secret_type = "ceph"  # noqa: S105
        disk.auth_secret_uuid = CONF.libvirt.rbd_secret_uuid
    disk.source_device = mapped["type"]
    disk.target_bus = mapped["bus"]
    disk.target_dev = mapped["dev"]
    disk.readonly = mapped["type"] == "cdrom"
    if mapped["bus"] == "scsi" and "unit" in disk_mapping:
        disk.device_addr = vconfig.LibvirtConfigGuestDeviceAddressDrive()
        disk.device_addr.controller = 0
        disk.device_addr.unit = disk_mapping["unit"]
        disk_mapping["unit"] += 1
    for key, value in extra_specs.items():
        limit = key.removeprefix(_QUOTA)
        if key.startswith(f"{_QUOTA}disk_") and hasattr(disk, limit):
            setattr(disk, limit, value)
    return disk


def missing_controllers(devices: Sequence[Any]) -> list[Any]:
    """Return the SCSI controller that a guest's drive lacks, if any.

    nova adds one only if the image has hw_scsi_model; else libvirt adds one
    of its default model, lsilogic, which few kernels have a driver for.
    Other disks on SCSI keep that.

    :param devices: nova's configuration objects of a guest's disks and
        controllers
    """
    on_scsi = [
        device
        for device in devices
        if device.root_name == "disk" and device.target_bus == "scsi"
    ]
    others = [
        device
        for device in devices
        if device.root_name == "controller" and device.type == "scsi"
    ]
    if others or not on_scsi or not all(map(_is_ours, on_scsi)):
        return []
    controller = vconfig.LibvirtConfigGuestController()
    controller.type = "scsi"
    controller.model = SCSI_MODEL
    controller.index = 0
    return [controller]


def _is_ours(disk: Any) -> bool:
    source = disk.source_path or disk.source_name or ""
    return is_drive(source.removesuffix(".rescue"))
