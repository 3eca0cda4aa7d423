"""nova's disk mappings and disk configurations follow our decisions.

nova asks the one option ``config_drive_format``, for all instances alike, and
from functions of a module: these have no driver that could be asked instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from nova.conf import CONF
from nova.virt.libvirt import blockinfo
from nova.virt.libvirt import config as vconfig

from cfgdrive_virt import policy
from cfgdrive_virt.model.drive import NAME, RESCUE_NAME

#: What mappings call an instance's drives.
DRIVES = (NAME, RESCUE_NAME)

_QUOTA = "quota:"


def follow(device_of: Callable[[Any, Any], str | None]) -> None:
    """Have nova map the drives, in this process, as they are decided on.

    Which device it is, is told, and where that is another one than nova's,
    its name; nova finds the bus, as for all others, and no volume gets a name
    that is in the mapping.

    :param device_of: given the instance and the image, returns ``cdrom`` or
        ``disk``, or None where none can be
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
                    # From the far end: it stays the same while volumes come
                    # and go, and nova's own driver offers it to none.
                    "dev": policy.free_target(
                        bus,
                        device,
                        blockinfo.get_dev_prefix_for_disk_bus(bus),
                        {disk["dev"] for disk in mapping.values()},
                    ),
                    "type": device,
                }
        return mapping

    blockinfo.get_disk_mapping = get_disk_mapping


def disk_config(
    disk_xml: str,
    name: str,
    disk_mapping: dict[str, Any],
    extra_specs: Mapping[str, str],
) -> Any:
    """Return nova's configuration of a drive's disk.

    :param name: of the drive in the mapping, which tells its device
    :param disk_mapping: with ``unit``, where nova numbers the disks of a
        virtio-scsi controller
    :param extra_specs: of the flavor; its limits are those of every disk
    """
    mapped = disk_mapping[name]
    disk = vconfig.LibvirtConfigGuestDisk()
    disk.parse_str(disk_xml)
    if disk.source_type == "network" and CONF.libvirt.rbd_user:
        # nova writes this element, and doesn't read it.  (S105: a type.)
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
