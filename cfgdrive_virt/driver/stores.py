"""The settings decide on a drive's place, its lock, and how QEMU opens it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from cfgdrive_virt.exception import InvalidConfiguration
from cfgdrive_virt.model.drive import NAME, RESIZE_SUFFIX, CephAccess
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.store import file_system
from cfgdrive_virt.store.base import Store
from cfgdrive_virt.store.ceph.store import RbdStore
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked

#: Bytes that a drive built by others may have, whatever ours may.
_SIZE_LIMIT = 256 * 1024 * 1024


def size_limit(settings: Settings) -> int:
    """Return how many bytes a drive may have to be read."""
    return max(_SIZE_LIMIT, settings.max_drive_size)


def lock_of(
    settings: Settings, uuid: str, what: str = "drive"
) -> AbstractContextManager[None]:
    """Hold one of an instance's locks: see :mod:`cfgdrive_virt.store.lock`.

    :param what: ``drive`` or ``domain``
    :raises StoreError: on entry, if the lock file can't be used, or the lock
        isn't free in time
    """
    return locked(
        settings.instances_path, uuid, what, timeout=settings.lock_timeout
    )


def store_of(settings: Settings, name: str = NAME) -> Store:
    """Return the store of drives of one kind.

    :param name: ``NAME``, or ``RESCUE_NAME`` for those of rescue guests
    """
    if settings.in_rbd:
        return rbd_store_of(settings, name)
    return FileStore(settings.instances_path, name=name)


def left_store_of(settings: Settings) -> FileStore | None:
    """Return the store of files that nova left for instances in Ceph.

    nova once stored the drives of such instances in files.
    """
    return FileStore(settings.instances_path) if settings.in_rbd else None


def resize_store_of(settings: Settings) -> FileStore | None:
    """Return the store of drives that are kept for a resize's revert.

    None in Ceph, where source and destination have one volume.
    """
    if settings.in_rbd:
        return None
    return FileStore(settings.instances_path, suffix=RESIZE_SUFFIX)


def rbd_store_of(settings: Settings, name: str = NAME) -> RbdStore:
    """Return the store of a Ceph pool, even if drives are kept in files.

    It connects when it is first used.

    :param name: of the drives' volumes, after the UUID
    """
    return RbdStore(
        name=name,
        pool=settings.rbd_pool,
        user=settings.rbd_user,
        ceph_conf=settings.rbd_ceph_conf,
        connect_timeout=settings.rbd_connect_timeout,
        operation_timeout=settings.rbd_operation_timeout,
    )


def ceph_access(settings: Settings) -> CephAccess | None:
    """Return how QEMU reaches the drives in Ceph; None if they are in files.

    :raises InvalidConfiguration: if only one of rbd_user and rbd_secret_uuid
        is set
    :raises StoreError: if the cluster must be asked for its monitors, and
        doesn't answer
    """
    if not settings.in_rbd:
        return None
    if (settings.rbd_user is None) != (settings.rbd_secret_uuid is None):
        raise InvalidConfiguration(
            "[libvirt] rbd_user and rbd_secret_uuid go together: libvirt"
            " needs the user's name, and the UUID of the secret that holds"
            " its key (virsh secret-list); set both"
        )
    monitors = settings.rbd_monitors or rbd_store_of(settings).monitors()
    return CephAccess(monitors, settings.rbd_user, settings.rbd_secret_uuid)


def cache_mode(settings: Settings) -> str:
    """Return libvirt's cache mode for the drives."""
    if settings.in_rbd:
        return settings.cache_modes.get("network", "writeback")
    if "file" in settings.cache_modes:
        return settings.cache_modes["file"]
    direct = file_system.supports_direct_io(settings.instances_path)
    return "none" if direct else "writeback"
