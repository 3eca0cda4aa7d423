"""Drives as volumes of a pool, and the temporary names of their writers.

A drive whose volume fits into one object is overwritten in its volume.  Any
other is written completely as ``<name>.new``, flushed, and renamed.  So a
volume that opens as ``<name>`` is whole.  A name that is only listed may be
half created or half removed: from Ceph 14 on, librbd removes a volume's name
before its data, which stay in the pool's trash meanwhile.

A killed writer leaves a volume with a watch of 30 seconds, during which it
can't be removed.  So writers have several temporary names, and remove the
leftovers that they find.  A writer that was killed while it renamed leaves two
names of one image, recognizable by its identifier.  A drive should have only
one writer at a time, but hosts share no lock: of two writers, one fails and
the other's drive stays; or both fail, and the old drive stays.
"""

from __future__ import annotations

import contextlib

import rados
import rbd

from cfgdrive_virt.store.ceph import image as rbd_image
from cfgdrive_virt.store.ceph.connection import (
    ERRORS,
    InUse,
    Refusal,
    is_broken,
)
from cfgdrive_virt.store.ceph.image import Look

#: Suffixes of the temporary names.
NEW = (".new", ".new1", ".new2")

#: Attempts, as another writer may be renaming at the same moment.
_RENAMES = 3

#: More volumes than killed writers leave under one name.
_MAX_REMOVALS = 20

_ANOTHER = "another process is writing it; try again"
_KILLED = "Ceph takes 30 seconds to notice that a process was killed"


class _StaleNameError(Refusal):
    """A drive's name exists, but leads to no image.

    A process was killed while it removed the last drive.
    """

    def __init__(self, new: str) -> None:
        super().__init__(_ANOTHER)
        self.new = new


class Volumes:
    """The volumes of an open pool."""

    def __init__(self, ioctx: rados.Ioctx) -> None:
        self._ioctx = ioctx
        self._rbd = rbd.RBD()

    def names(self) -> list[str]:
        """Return the listed names, without duplicates."""
        return sorted(set(self._rbd.list(self._ioctx)))

    def look(self, name: str) -> Look | None:
        """Return a volume's properties; None if it can't be opened."""
        try:
            with self._reading(name) as image:
                return rbd_image.look_at(image)
        except rbd.ImageNotFound:
            return None

    def exists(self, name: str) -> bool:
        """Tell whether a volume exists and can be opened."""
        try:
            with self._reading(name):
                return True
        except rbd.ImageNotFound:
            return False

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """Return the content of a volume; None if there is none.

        :param max_bytes: maximum size
        :raises Refusal: if it is larger
        """
        # Without a drive, that takes a tenth of the time.
        if not self._has_id(name):
            return None
        try:
            with self._reading(name) as image:
                size = image.size()
                if size > max_bytes:
                    raise Refusal(
                        f"it has {size:,} bytes, more than {max_bytes:,}"
                    )
                return rbd_image.read(image)
        except rbd.ImageNotFound:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a drive; replace an existing one.

        :raises Refusal: if the existing drive is in use and can't be
            overwritten, or if another process writes it
        """
        if self._rewritten(name, data):
            return
        try:
            self._write(name, data)
        except _StaleNameError as error:
            # The rename may have linked it to the new image: remove that, too.
            self._erase(name)
            self._erase(error.new)
            self._write(name, data)

    def delete(self, name: str) -> bool:
        """Remove a drive and its leftovers; tell whether there was a drive.

        :raises Refusal: if any of it can't be removed
        """
        existed = self._removed(name)
        try:
            self.sweep(name)
        finally:
            # A half-removed volume may still have a watch.
            with contextlib.suppress(Refusal):
                self._erase(name)
        return existed

    def sweep(self, name: str, *, thorough: bool = True) -> None:
        """Remove the leftovers of a drive's writers.

        :param thorough: also remove half-removed volumes; the search takes as
            long as writing a drive
        :raises Refusal: if any of it can't be removed
        """
        if not thorough and not self._shows_leftovers(name):
            return
        # Remove as much as possible before failing.
        refused = None
        for leftover in (name + suffix for suffix in NEW):
            try:
                self._discard(name, leftover)
            except Refusal as error:
                refused = error
        if refused:
            raise refused

    def remove(self, name: str) -> bool:
        """Remove a drive or one leftover; tell whether there was one.

        :raises Refusal: if it can't be removed
        """
        drive = drive_of(name)
        there = self.look(name)
        if there and self._is_drive_too(drive, there):
            self._removed(drive)
        if name == drive:
            self._erase(name)
        else:
            self._discard(drive, name)
        return there is not None

    def _rewritten(self, name: str, data: bytes) -> bool:
        """Overwrite a drive in its volume; return False if not possible."""
        if not self._has_id(name):
            return False
        drive = self.look(name) if self._shows_leftovers(name) else None
        if drive and self._is_half_renamed(name, drive):
            # Listed by the other name only, it would look like a leftover.
            return False
        try:
            with rbd.Image(self._ioctx, name) as image:
                identifier = image.id()
                objects = rbd_image.objects(image)
                done = rbd_image.rewrite(image, data)
        except rbd.ImageNotFound:
            return False
        there = self.look(name)
        if there and there.identifier == identifier:
            return done
        # Another host has removed it meanwhile: librbd removes the name first,
        # so it may have missed what was written after that.
        for one in objects:
            with contextlib.suppress(rados.ObjectNotFound):
                self._ioctx.remove_object(one)
        return False

    def _write(self, name: str, data: bytes) -> None:
        new = self._created(name, len(data))
        identifier = ""
        try:
            # Keep it open: its watch stops other writers from removing it.
            with rbd.Image(self._ioctx, new) as image:
                identifier = image.id()
                rbd_image.fill(image, data)
                _check_alone(image)
                self._removed(name)
                self._rename(new, name, identifier)
        except _StaleNameError:
            raise
        except BaseException as error:
            # After a timeout, the next call would only time out, too.
            if identifier and not is_broken(error):
                self._give_up(name, new, identifier)
            if not identifier and isinstance(error, rbd.ImageNotFound):
                raise Refusal(_ANOTHER) from error
            raise

    def _give_up(self, name: str, new: str, identifier: str) -> None:
        """Remove a failed volume, if the name still leads to it."""
        with contextlib.suppress(Refusal, *ERRORS):
            look = self.look(new)
            if look and look.identifier == identifier:
                self._discard(name, new)

    def _created(self, name: str, size: int) -> str:
        """Create a volume of zeros; return its name."""
        size = rbd_image.in_sectors(size)
        for suffix in NEW:
            for attempt in range(2):
                try:
                    self._rbd.create(
                        self._ioctx,
                        name + suffix,
                        size,
                        order=rbd_image.order_for(size),
                        old_format=False,
                        features=rbd_image.FEATURES,
                    )
                except rbd.ImageExists:
                    if attempt or not self._discarded(name, name + suffix):
                        break
                else:
                    return name + suffix
        raise Refusal(
            f"{len(NEW)} processes seem to be writing it; {_KILLED}, so try"
            " again then"
        )

    def _rename(self, new: str, name: str, identifier: str) -> None:
        for _ in range(_RENAMES):
            try:
                self._rbd.rename(self._ioctx, new, name)
            except rbd.ImageExists:
                there = self.look(name)
                if there and there.identifier != identifier:
                    raise Refusal(_ANOTHER) from None
            else:
                return
        raise _StaleNameError(new)

    def _removed(self, name: str) -> bool:
        """Remove a drive that isn't in use; tell whether there was one."""
        look = self.look(name) if self._has_id(name) else None
        if look is None:
            return False
        _check_unused(look)
        if self._is_half_renamed(name, look):
            # librbd would destroy the image while this name still opens it.
            # The image keeps its other name, as a leftover.
            with contextlib.suppress(rados.ObjectNotFound):
                self._ioctx.remove_object(f"rbd_id.{name}")
        else:
            # Only once: the next volume of this name is another writer's.
            self._erased(name)
        return True

    def _is_half_renamed(self, name: str, drive: Look) -> bool:
        """Tell whether a drive is still listed as a leftover.

        Its writer was killed during the rename, when both names opened it.
        """
        others = map(self.look, (name + suffix for suffix in NEW))
        return (
            drive.identifier in {other.identifier for other in others if other}
            and name not in self.names()
        )

    def _discard(self, name: str, left: str) -> None:
        """Remove a leftover, unless its image is the drive's.

        :raises Refusal: if it is in use
        """
        look = self.look(left)
        if look is None or not self._is_drive_too(name, look):
            _check_unused(look)
            self._erase(left)

    def _shows_leftovers(self, name: str) -> bool:
        return any(self._has_id(name + suffix) for suffix in NEW)

    def _has_id(self, name: str) -> bool:
        """Tell quickly whether a name leads to an image."""
        try:
            self._ioctx.stat(f"rbd_id.{name}")
        except rados.ObjectNotFound:
            return False
        return True

    def _discarded(self, name: str, left: str) -> bool:
        try:
            self._discard(name, left)
        except Refusal:
            return False
        return True

    def _is_drive_too(self, name: str, left: Look) -> bool:
        drive = self.look(name)
        return drive is not None and drive.identifier == left.identifier

    def _erase(self, name: str) -> None:
        """Remove all volumes of a name, half-removed ones included.

        librbd removes one at a time, and resumes an interrupted removal.
        """
        for _ in range(_MAX_REMOVALS):
            if not self._erased(name):
                return

    def _erased(self, name: str) -> bool:
        """Remove one volume; tell whether there was one."""
        try:
            self._rbd.remove(self._ioctx, name)
        except rbd.ImageNotFound:
            return False
        except (rbd.ImageBusy, rbd.ImageHasSnapshots) as error:
            _check_unused(self.look(name))
            # Half removed, it can't be opened to list its users.
            raise InUse(
                f"in use by a process that was removing it ({error});"
                f" {_KILLED}"
            ) from error
        return True

    def _reading(self, name: str) -> rbd.Image:
        """Open a volume without a watch, which would make it look in use."""
        return rbd.Image(self._ioctx, name, read_only=True)


def drive_of(name: str) -> str:
    """Return a drive's name, from its volume's or its leftover's name."""
    for suffix in NEW:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _check_alone(image: rbd.Image) -> None:
    # Another writer may mistake a new volume for a leftover until it is open.
    if len(list(image.watchers_list())) > 1:
        raise Refusal(_ANOTHER)


def _check_unused(look: Look | None) -> None:
    if look and look.users:
        raise InUse(
            f"in use by {', '.join(look.users)}; stop what has it open there"
            f" ({_KILLED})"
        )
    if look and look.snapshots:
        raise Refusal(
            f"it has snapshots: {', '.join(look.snapshots)}; remove them (rbd"
            " snap purge)"
        )
