"""The settings decide where drives are kept, and how QEMU gets at them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Protocol

from cfgdrive_virt import policy
from cfgdrive_virt.exception import InvalidConfiguration
from cfgdrive_virt.model.decision import Verdict
from cfgdrive_virt.model.drive import (
    NAME,
    RESCUE_NAME,
    CephAccess,
    Location,
    StoredDrive,
)
from cfgdrive_virt.settings import Settings
from cfgdrive_virt.store import file_system
from cfgdrive_virt.store.ceph.store import RbdStore
from cfgdrive_virt.store.file import RESIZE_SUFFIX, FileStore


class Store(Protocol):
    """What both stores do.  None takes a lock."""

    def location(self, uuid: str) -> Location:
        """Return where an instance's drive is, or would be."""

    def exists(self, uuid: str) -> bool:
        """Tell whether an instance has a drive."""

    def read(self, location: Location, most: int) -> bytes | None:
        """Return what is at a location; None if there is nothing."""

    def write(self, uuid: str, data: bytes) -> Location:
        """Write an instance's drive, in place of one that is there."""

    def sweep(self, uuid: str, *, thorough: bool) -> None:
        """Remove what killed writers left of an instance's drive."""

    def delete(self, uuid: str) -> bool:
        """Remove an instance's drive; tell whether there was one."""

    def drives(self) -> Iterator[StoredDrive]:
        """Yield all drives, and what killed writers left of some."""

    def look(self, location: Location) -> StoredDrive:
        """Return what is known now of what :meth:`drives` told of."""

    def remove(self, location: Location) -> bool:
        """Remove what :meth:`drives` told of, unless it is in use."""


#: Of drives that others made, whatever ours may have.
_MOST_BYTES = 256 * 1024 * 1024


def most_bytes(settings: Settings) -> int:
    """Return how many bytes of a drive are looked at."""
    return max(_MOST_BYTES, settings.max_drive_size)


def in_rbd(settings: Settings) -> bool:
    """Tell whether drives are kept in Ceph."""
    return settings.images_type == "rbd"


def store_of(settings: Settings) -> Store:
    """Return the store of drives."""
    return _store_of(settings, NAME)


def stores_of(settings: Settings) -> tuple[Store, ...]:
    """Return where a drive may be, the place of new ones first.

    Nova once kept the drives of instances in Ceph in files, and leaves them
    there.
    """
    if in_rbd(settings):
        return store_of(settings), FileStore(settings.instances_path)
    return (store_of(settings),)


def rescue_store_of(settings: Settings) -> Store:
    """Return the store of drives for rescue."""
    return _store_of(settings, RESCUE_NAME)


def resize_store_of(settings: Settings) -> FileStore | None:
    """Return the store of drives that are kept for a resize's revert.

    In Ceph there is none: source and destination have one volume.
    """
    if in_rbd(settings):
        return None
    return FileStore(settings.instances_path, suffix=RESIZE_SUFFIX)


def _store_of(settings: Settings, name: str) -> Store:
    if in_rbd(settings):
        return rbd_store_of(settings, name)
    return FileStore(settings.instances_path, name=name)


def rbd_store_of(settings: Settings, name: str = NAME) -> RbdStore:
    """Return the store of a Ceph pool, whether drives are kept there or not.

    Nothing is connected yet.

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
    """Return how QEMU gets at the drives in Ceph; None if they are in files.

    :raises InvalidConfiguration: if rbd_user and rbd_secret_uuid aren't both
        given
    :raises StoreError: if the cluster has to tell its monitors, and can't be
        asked
    """
    if not in_rbd(settings):
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
    if in_rbd(settings):
        return settings.cache_modes.get("network", "writeback")
    if "file" in settings.cache_modes:
        return settings.cache_modes["file"]
    direct = file_system.supports_direct_io(settings.instances_path)
    return "none" if direct else "writeback"


def sharing(settings: Settings) -> Verdict:
    """Tell whether hosts share the place of the drives, and why."""
    return policy.sharing(
        images_type=settings.images_type,
        shared=settings.instances_path_shared,
        file_system=file_system.type_of(settings.instances_path),
    )


def sharing_of_files(settings: Settings) -> Verdict:
    """Tell whether hosts share instances_path, whatever they keep there."""
    return sharing(dataclasses.replace(settings, images_type="raw"))


def is_local(settings: Settings) -> bool:
    """Tell whether the drives are this host's alone, for sure."""
    return policy.is_local(
        images_type=settings.images_type,
        shared=settings.instances_path_shared,
        file_system=file_system.type_of(settings.instances_path),
    )


def must_survive(settings: Settings, *, carried: bool = False) -> Verdict:
    """Tell whether live migration has to copy the drives, and why.

    :param carried: whether the service brings them to the destination itself
    """
    return policy.must_survive(
        images_type=settings.images_type,
        live_migration=settings.live_migration,
        shared=sharing(settings),
        carried=carried,
    )
