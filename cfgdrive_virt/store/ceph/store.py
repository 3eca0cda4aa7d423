"""Drives in a Ceph pool: volumes named ``<uuid>_disk.config``, as nova's.

A drive is written under a temporary name, flushed, marked as ours, and
renamed: whatever is killed, there is a whole drive or none.  Nothing but the
cluster is needed: no program, no temporary file, and of rights only ``profile
rbd`` for the monitors and ``profile rbd pool=<pool>`` for the OSDs.

librados' and librbd's bindings are loaded when first needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import (
    NAME,
    RESCUE_NAME,
    Location,
    Monitor,
    RbdLocation,
    StoredDrive,
)

if TYPE_CHECKING:
    from cfgdrive_virt.store.ceph.volumes import Volumes

_T = TypeVar("_T")

_DRIVE = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    rf"_(?:{re.escape(NAME)}|{re.escape(RESCUE_NAME)})(?:\.new[1-2]?)?"
)


class RbdStore:
    """The drives of one kind in a pool; nothing is connected until needed.

    :param name: of their volumes, after the UUID and "_"
    :param user: without "client."; None for librados' own default
    :param ceph_conf: a path; empty for librados' own places
    :param connect_timeout: seconds to wait for the cluster
    :param operation_timeout: seconds to wait for each of the operations that
        a call is made of; the first that waits in vain ends it, and to end
        it may take as long once more
    """

    def __init__(
        self,
        *,
        pool: str,
        user: str | None,
        ceph_conf: str,
        connect_timeout: int,
        operation_timeout: int,
        name: str = NAME,
    ) -> None:
        self.pool = pool
        self._name = name
        self._access = (user, ceph_conf, connect_timeout, operation_timeout)

    def location(self, uuid: str) -> RbdLocation:
        """Return where an instance's drive is, or would be."""
        return RbdLocation(uuid, self.pool, f"{uuid}_{self._name}")

    def exists(self, uuid: str) -> bool:
        """Tell whether an instance has a drive.

        :raises StoreError: if the cluster can't be asked
        """
        return self._at(
            self.location(uuid), "access", lambda at, name: at.exists(name)
        )

    def read(self, location: Location, most: int) -> bytes | None:
        """Return what a volume holds, in any pool; None if there is none.

        :param most: bytes that it may hold
        :raises StoreError: if it holds more, or can't be read
        """
        assert isinstance(location, RbdLocation)
        return self._at(location, "read", lambda at, name: at.read(name, most))

    def write(self, uuid: str, data: bytes) -> RbdLocation:
        """Write an instance's drive, in place of one that is there.

        A volume that is large enough keeps its place, and whoever has it
        open: its content is replaced at once.

        :raises StoreError: if it can't be written; the drive that was there
            is there still.  After a time-out it is that one, the new one, or
            none
        """
        location = self.location(uuid)
        self._at(location, "write", lambda at, name: at.write(name, data))
        return location

    def sweep(self, uuid: str, *, thorough: bool) -> None:
        """Remove what writers that were killed may have left.

        :param thorough: also what somebody was killed while removing it
        :raises StoreError: if something can't be removed; it says who has it
            open
        """
        location = self.location(uuid)
        self._at(
            location,
            "remove the leftovers of",
            lambda at, name: at.sweep(name, thorough=thorough),
        )

    def delete(self, uuid: str) -> bool:
        """Remove an instance's drive; tell whether there was one.

        What killed writers left goes too.

        :raises StoreError: if something can't be removed; it says who has it
            open
        """
        return self._at(
            self.location(uuid), "remove", lambda at, name: at.delete(name)
        )

    def drives(self) -> Iterator[StoredDrive]:
        """Yield the drives of all instances, for rescue too, and leftovers.

        A volume that can't be opened has the size 0.

        :raises StoreError: if the cluster can't be asked
        """
        pool = RbdLocation("", self.pool, "")
        for name in self._at(pool, "list", lambda at, _: at.names()):
            if not (found := _DRIVE.fullmatch(name)):
                continue
            yield self.look(RbdLocation(found[1], self.pool, name))

    def look(self, location: Location) -> StoredDrive:
        """Return what there is to know of what :meth:`drives` told of.

        A volume that can't be opened, or is gone, has the size 0.

        :raises StoreError: if the cluster can't be asked
        """
        assert isinstance(location, RbdLocation)
        look = self._at(location, "access", lambda at, name: at.look(name))
        if look is None:
            return StoredDrive(location, 0, 0.0, ours=False, users=())
        return StoredDrive(
            location, look.size, look.created, look.ours, look.users
        )

    def remove(self, location: Location) -> bool:
        """Remove one volume that :meth:`drives` told of.

        :raises StoreError: if it can't be removed; it says who has it open
        """
        assert isinstance(location, RbdLocation)
        return self._at(location, "remove", lambda at, name: at.remove(name))

    def cluster(self) -> str:
        """Return the cluster's fsid, a UUID.

        :raises StoreError: if the cluster can't be reached
        """
        connection = _ceph()
        fsid: str = connection.with_client(
            connection.Access(*self._access),
            "can't get the fsid of the Ceph cluster",
            lambda client: client.get_fsid(),
            self.pool,
        )
        return fsid

    def monitors(self) -> tuple[Monitor, ...]:
        """Return where the monitors are, as they themselves say.

        A monitor may have two addresses, for two versions of its protocol.
        The older one is returned then: every librbd speaks it.

        :raises StoreError: if the cluster can't be asked
        """
        connection = _ceph()
        answer = connection.with_client(
            connection.Access(*self._access),
            "can't get the monitors of the Ceph cluster ([cfgdrive_virt]"
            " rbd_monitors can name them)",
            connection.monitor_map,
            self.pool,
        )
        return tuple(map(_monitor, json.loads(answer)["mons"]))

    def _at(
        self,
        location: RbdLocation,
        what: str,
        act: Callable[[Volumes, str], _T],
    ) -> _T:
        connection = _ceph()
        # Needs the bindings, as that one does.
        from cfgdrive_virt.store.ceph.volumes import Volumes  # noqa: PLC0415

        result: _T = connection.in_pool(
            connection.Access(*self._access),
            location.pool,
            f"can't {what} {location}",
            lambda ioctx: act(Volumes(ioctx), location.name),
        )
        return result


def _ceph() -> ModuleType:
    """Return the module that has the connection.

    :raises StoreError: if the bindings aren't there
    """
    try:
        from cfgdrive_virt.store.ceph import connection  # noqa: PLC0415
    except ImportError as error:
        raise StoreError(
            "[libvirt] images_type=rbd needs the bindings of librados and"
            " librbd: install the distribution's packages python3-rados and"
            " python3-rbd (PyPI has none that work); a virtual environment"
            " sees them if it is created with --system-site-packages by the"
            f" distribution's Python ({error})"
        ) from error
    return connection


def _monitor(told: dict[str, Any]) -> Monitor:
    addresses = {
        address["type"]: address["addr"]
        for address in told["public_addrs"]["addrvec"]
    }
    host, _, port = (addresses.get("v1") or addresses["v2"]).rpartition(":")
    return Monitor(host.strip("[]"), int(port))
