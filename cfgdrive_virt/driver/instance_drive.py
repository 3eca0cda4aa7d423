"""One instance's drive in one store: read, examine, write, exchange, remove.

Whoever writes holds the instance's lock (see operation_log), except for
:meth:`InstanceDrive.remove`, which takes it itself, and releases it between
its retries.  Some callers only read, without the lock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from cfgdrive_virt.driver import stores, verification
from cfgdrive_virt.exception import (
    ConfigDriveError,
    DomainError,
    DriveInUse,
    DriveUnreadable,
    NoWholeDrive,
    StoreError,
)
from cfgdrive_virt.model.drive import RESCUE_NAME, Contents, Location
from cfgdrive_virt.model.request import Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.status import Status
from cfgdrive_virt.store.base import Store
from cfgdrive_virt.store.file import FileStore

LOG = logging.getLogger(__name__)

#: Reads a drive that this process may not: location and maximum size to its
#: bytes, or None.
Peek = Callable[[Location, int], bytes | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Drive:
    """A drive that is in place.

    :param built: False if it was there before and has been left alone
    """

    location: Location
    built: bool


class Medium(Protocol):
    """A drive as a running guest has it.  Both methods may be repeated."""

    def take(self) -> None:
        """Take the drive out of the guest; if that fails, nothing changes."""

    def give(self) -> None:
        """Give the guest what is in the drive's place now."""


@dataclasses.dataclass(frozen=True, slots=True)
class InstanceDrive:
    """One instance's drive in one store, whether it exists or not.

    :param uuid: the instance's
    :param peek: reads a drive that this process may not
    :param sleep: waits for so many seconds
    """

    uuid: str
    store: Store
    settings: Settings
    peek: Peek | None
    sleep: Callable[[float], None]

    @property
    def location(self) -> Location:
        """Return where the drive is, or would be."""
        return self.store.location(self.uuid)

    def exists(self) -> bool:
        """Tell whether there is one, whole or not.

        :raises StoreError: if something else is in its place
        """
        return self.store.exists(self.uuid)

    def read(self) -> bytes | None:
        """Return the drive's bytes; None if there is no drive.

        :raises DriveUnreadable: if neither this process nor ``peek`` can
            read it
        """
        limit = stores.size_limit(self.settings)
        try:
            return self.store.read(self.location, limit)
        except DriveUnreadable as unreadable:
            try:
                data = self.peek(self.location, limit) if self.peek else None
            except DomainError as error:
                raise DriveUnreadable(f"{unreadable}; {error}") from error
            if data is None:
                raise
            return data

    def read_if_readable(self) -> bytes | None:
        """Return the drive's bytes; None also if it can't be read."""
        try:
            return self.read()
        except DriveUnreadable:
            return None

    def examine(
        self, request: Request | None = None, medium: Medium | None = None
    ) -> Status:
        """Compare the drive with a request, or only check that it is whole.

        :param medium: by which a running guest has it
        :raises DriveUnreadable: as :meth:`read`
        """
        try:
            data = self.read()
        except DriveUnreadable:
            if medium is None:
                raise
            # A call that was killed may have taken it out of the guest, and
            # libvirt reads only what a guest has.
            medium.give()
            data = self.read()
        return self.judge(data, request)

    def judge(
        self, data: bytes | None, request: Request | None = None
    ) -> Status:
        """Examine these bytes as if they were the drive's."""
        return verification.examine(
            self.location, data, self.settings, request
        )

    def contents(self, medium: Medium | None = None) -> Contents:
        """Return what the drive holds.

        :raises NoWholeDrive: if it is missing or damaged
        """
        found = self.examine(medium=medium)
        if found.contents is None:
            raise NoWholeDrive(
                f"config drive {found.location} is {found}; it can be rebuilt"
                " only from the instance's request: pass that instead of the"
                " UUID"
            )
        return found.contents

    def write(self, data: bytes) -> None:
        """Write the drive, whole, in place of one that is there."""
        self.store.write(self.uuid, data)

    def receive(
        self, parts: Iterable[bytes], check: Callable[[int], None]
    ) -> None:
        """Write the drive into a file, in place of one that is there.

        :param check: called with the descriptor of the whole file, before
            that has its name; if it raises, nothing is left
        """
        assert isinstance(self.store, FileStore)
        self.store.receive(self.uuid, parts, check)

    def exchange(self, data: bytes, medium: Medium | None) -> None:
        """Write a drive that a guest may have, or leave all as it was.

        :param medium: None if no guest has it
        """
        if medium is None:
            self.write(data)
            return
        old = self.read()
        try:
            medium.take()
            self.write(data)
            medium.give()
        except BaseException as error:
            self._put_back(old, medium, error)
            raise

    def _put_back(
        self, old: bytes | None, medium: Medium, error: BaseException
    ) -> None:
        """Undo an exchange as far as possible.

        :raises StoreError: if that fails, saying what is left
        """
        left = []
        try:
            if old is None:
                self.delete()
            elif self.read_if_readable() != old:
                self.write(old)
        except ConfigDriveError as problem:
            left.append(f"the drive may be the new one ({problem})")
        try:
            medium.give()
        except Exception as problem:
            left.append(f"the guest has no drive now ({problem})")
        if left:
            raise StoreError(
                f"{error}; {', and '.join(left)}: refresh it again"
            ) from error

    def delete(self) -> bool:
        """Remove the drive; tell whether there was one.

        :raises StoreError: if it can't be removed
        """
        return self.store.delete(self.uuid)

    def remove(self, *, retry: bool = True) -> bool:
        """Take the lock and remove the drive; tell whether there was one.

        :param retry: whether to try again while a Ceph client has it open,
            as nova does
        """
        retries = self.settings.rbd_destroy_retries if retry else 0
        for left in range(retries, -1, -1):
            try:
                with stores.lock_of(self.settings, self.uuid):
                    return self.delete()
            except DriveInUse as error:
                if not left:
                    raise
                LOG.info("%s; retrying, at most %d times", error, left)
                self.sleep(self.settings.rbd_destroy_interval)
        raise AssertionError("the loop runs at least once")

    def sweep(self) -> None:
        """Remove what killed writers left; what can't be removed stays."""
        with contextlib.suppress(StoreError):
            self.store.sweep(self.uuid, thorough=False)

    def sweep_thoroughly(self) -> None:
        """Remove all that killed writers left.

        :raises StoreError: if something can't be removed
        """
        self.store.sweep(self.uuid, thorough=True)

    def refuse_users(self) -> None:
        """Refuse a drive that is open somewhere.

        :raises StoreError: naming who has it open
        """
        # If libvirt has taken the file, its users can't be found out.
        with contextlib.suppress(DriveUnreadable):
            if users := self.store.look(self.location).users:
                raise StoreError(
                    f"{self.location} is in use by {', '.join(users)}"
                )

    def reclaim(self) -> bool:
        """Give the file back to this process; tell whether it had been taken.

        libvirt gives a disk's file to QEMU's user, and can be asked for its
        bytes only as long as the file stays in its place.
        """
        try:
            self.store.read(self.location, stores.size_limit(self.settings))
        except DriveUnreadable:
            data = self.read()
            if data is not None:
                self.write(data)
                return True
        return False


@dataclasses.dataclass(frozen=True, slots=True)
class InstanceDrives:
    """All drives of one instance, each in the store that the settings name.

    Parameters are those of :class:`InstanceDrive`.
    """

    uuid: str
    settings: Settings
    peek: Peek | None
    sleep: Callable[[float], None]

    @property
    def current(self) -> InstanceDrive:
        """Return the drive in the place where new ones are built."""
        return self._in(stores.store_of(self.settings))

    @property
    def left(self) -> InstanceDrive | None:
        """Return the file that nova left for an instance in Ceph.

        None if drives are in files.
        """
        store = stores.left_store_of(self.settings)
        return None if store is None else self._in(store)

    @property
    def attachable(self) -> tuple[InstanceDrive, ...]:
        """Return the drives that a guest may have: the current one first."""
        return (self.current, self.left) if self.left else (self.current,)

    @property
    def rescue(self) -> InstanceDrive:
        """Return the drive for rescue."""
        return self._in(stores.store_of(self.settings, RESCUE_NAME))

    @property
    def for_revert(self) -> InstanceDrive | None:
        """Return the drive that is set aside for a resize's revert.

        None in Ceph, where source and destination have one volume.
        """
        store = stores.resize_store_of(self.settings)
        return None if store is None else self._in(store)

    @property
    def all(self) -> tuple[InstanceDrive, ...]:
        """Return every drive that the instance may have on this host."""
        places = (*self.attachable, self.rescue, self.for_revert)
        return tuple(drive for drive in places if drive is not None)

    def _in(self, store: Store) -> InstanceDrive:
        return InstanceDrive(
            self.uuid, store, self.settings, self.peek, self.sleep
        )
