"""What a store is: the place of one kind of drives, of all instances.

A drive is written whole or not at all, and read or removed by its instance's
UUID or, as :meth:`Store.drives` lists it, by its location.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from cfgdrive_virt.model.drive import Location, StoredDrive

#: Is called with the number of directories or volumes that have been looked
#: at, and the number of all.
Progress = Callable[[int, int], None]


def ignore(done: int, total: int) -> None:
    """Do nothing with the progress."""


class Store(Protocol):
    """The drives of one kind in one place.  No method takes a lock.

    Each raises a StoreError if it can't do its work.
    """

    def location(self, uuid: str) -> Location:
        """Return where an instance's drive is, or would be."""

    def exists(self, uuid: str) -> bool:
        """Tell whether an instance has a drive."""

    def read(self, location: Location, max_bytes: int) -> bytes | None:
        """Return what is at a location; None if there is nothing.

        :param max_bytes: its largest size
        :raises DriveUnreadable: if this process has no permission to read it
        """

    def write(self, uuid: str, data: bytes) -> Location:
        """Write an instance's drive, in place of one that is there."""

    def sweep(self, uuid: str, *, thorough: bool) -> None:
        """Remove what killed writers left of an instance's drive."""

    def delete(self, uuid: str) -> bool:
        """Remove an instance's drive; tell whether there was one.

        :raises DriveInUse: if a Ceph client has it open
        """

    def drives(self, progress: Progress = ignore) -> Iterator[StoredDrive]:
        """Yield all drives, and what killed writers left of some."""

    def look(self, location: Location) -> StoredDrive:
        """Return what is known now of a drive that :meth:`drives` listed."""

    def remove(self, location: Location) -> bool:
        """Remove a drive that :meth:`drives` listed, unless it is in use."""
