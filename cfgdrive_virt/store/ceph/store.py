"""Drives in a Ceph pool: volumes with nova's name ``<uuid>_disk.config``.

A drive is written under a temporary name with our builder, flushed, and
renamed: if the process is killed, there is a whole drive or none.  This needs
no external program, no temporary file, and only the capabilities ``profile
rbd`` on the monitors and ``profile rbd pool=<pool>`` on the OSDs.

The bindings of librados and librbd are loaded when first needed.
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
from cfgdrive_virt.store.base import Progress, ignore

if TYPE_CHECKING:
    from cfgdrive_virt.store.ceph.volumes import Volumes

_T = TypeVar("_T")

_DRIVE = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    rf"_(?:{re.escape(NAME)}|{re.escape(RESCUE_NAME)})(?:\.new[1-2]?)?"
)


class RbdStore:
    """The drives of one kind in a pool; it connects when first needed.

    :param name: of the volumes, after the UUID and "_"
    :param user: without "client."; None: librados' default
    :param ceph_conf: a path; empty: librados' default places
    :param connect_timeout: seconds to wait for a connection
    :param operation_timeout: seconds to wait for each operation of a call;
        the first timeout ends the call, and the cleanup may take as long
        again
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

        :raises StoreError: if the cluster doesn't answer
        """
        return self._at(
            self.location(uuid), "access", lambda at, name: at.exists(name)
        )

    def read(self, location: Location, max_bytes: int) -> bytes | None:
        """Return the content of a volume in any pool; None if there is none.

        :param max_bytes: maximum size
        :raises StoreError: if it is larger, or can't be read
        """
        assert isinstance(location, RbdLocation)
        return self._at(
            location, "read", lambda at, name: at.read(name, max_bytes)
        )

    def write(self, uuid: str, data: bytes) -> RbdLocation:
        """Write an instance's drive; replace an existing one.

        If the drive fits into one object, the existing volume is overwritten
        atomically, even if a client has it open.

        :raises StoreError: if it can't be written; the existing drive stays,
            unless the cluster fails just when a new volume takes its place:
            then there is none.  After a timeout there is the old drive, the
            new one, or none
        """
        location = self.location(uuid)
        self._at(location, "write", lambda at, name: at.write(name, data))
        return location

    def sweep(self, uuid: str, *, thorough: bool) -> None:
        """Remove the leftovers of killed writers.

        :param thorough: also remove volumes that are half removed
        :raises StoreError: if something can't be removed; the error names the
            clients that have it open
        """
        location = self.location(uuid)
        self._at(
            location,
            "remove the leftovers of",
            lambda at, name: at.sweep(name, thorough=thorough),
        )

    def delete(self, uuid: str) -> bool:
        """Remove an instance's drive; tell whether there was one.

        Also remove the leftovers of killed writers.

        :raises StoreError: if something can't be removed; the error names the
            clients that have it open
        """
        return self._at(
            self.location(uuid), "remove", lambda at, name: at.delete(name)
        )

    def drives(self, progress: Progress = ignore) -> Iterator[StoredDrive]:
        """Yield the drives of all instances, rescue drives and leftovers.

        A volume that doesn't exist any more has the size 0; one that can't be
        accessed for another reason has a ``problem``.

        :param progress: is called after each volume
        :raises StoreError: if the cluster doesn't answer
        """
        # Threads are for lists alone.
        from cfgdrive_virt.store.ceph import ahead  # noqa: PLC0415

        pool = RbdLocation("", self.pool, "")
        listed = self._at(pool, "list", lambda at, _: at.names())
        names = list(filter(_DRIVE.fullmatch, listed))
        for number, drive in enumerate(ahead.call(self._listed, names), 1):
            yield drive
            progress(number, len(names))

    def _listed(self, name: str) -> StoredDrive:
        location = RbdLocation(name[:36], self.pool, name)
        try:
            return self.look(location)
        except StoreError as error:
            if _ceph().is_broken(error.__cause__):
                raise
            return StoredDrive(location, 0, 0.0, False, (), str(error))

    def look(self, location: Location) -> StoredDrive:
        """Return the current state of a volume that :meth:`drives` yielded.

        A volume that can't be opened, or is gone, has the size 0.

        :raises StoreError: if the cluster doesn't answer
        """
        assert isinstance(location, RbdLocation)
        look = self._at(location, "access", lambda at, name: at.look(name))
        if look is None:
            return StoredDrive(location, 0, 0.0, ours=False, users=())
        return StoredDrive(
            location, look.size, look.created, look.ours, look.users
        )

    def remove(self, location: Location) -> bool:
        """Remove one volume that :meth:`drives` yielded.

        :raises StoreError: if it can't be removed; the error names the
            clients that have it open
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
        """Return the monitors' addresses, from the monitor map.

        If a monitor has addresses for both versions of the protocol, return
        that of version 1, which every librbd supports.

        :raises StoreError: if the cluster doesn't answer
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
        # This module needs the bindings, too.
        from cfgdrive_virt.store.ceph.volumes import Volumes  # noqa: PLC0415

        result: _T = connection.in_pool(
            connection.Access(*self._access),
            location.pool,
            f"can't {what} {location}",
            lambda ioctx: act(Volumes(ioctx), location.name),
        )
        return result


def _ceph() -> ModuleType:
    """Return the module ``connection``.

    :raises StoreError: if the bindings are missing
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


def _monitor(entry: dict[str, Any]) -> Monitor:
    addresses = {
        address["type"]: address["addr"]
        for address in entry["public_addrs"]["addrvec"]
    }
    host, _, port = (addresses.get("v1") or addresses["v2"]).rpartition(":")
    return Monitor(host.strip("[]"), int(port))
