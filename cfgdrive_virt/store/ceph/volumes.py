"""Drives as volumes of a pool, with the names that their writers need.

A drive whose volume fits into one object is rewritten in its place.  Any other
is written as ``<name>.new``, whole and flushed, and renamed.  What
opens as ``<name>`` is whole, then; what is only listed may be but half
created, or half removed: librbd, from Ceph 14 on, takes a volume's name away
before it touches the data, and keeps them in the pool's trash meanwhile.

A writer that was killed leaves a volume with a watch on it for 30 seconds, in
which nobody can remove it.  Others therefore have some names to choose from,
and remove what they find of these.  One that was killed while it renamed
leaves both names, which lead to one image: its identifier tells.  No two
writers of one drive are expected at a time, but hosts take no lock together:
of two, one fails, and the drive is the other's; or both, and the old one
stays.
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

#: What follows a drive's name while it is written.
NEW = (".new", ".new1", ".new2")

#: Of another writer's renaming some moments are left to wait for.
_RENAMES = 3

#: More than anybody is killed.
_MOST_REMOVALS = 20

_ANOTHER = "another process is writing it; try again"
_LET_GO = "Ceph takes 30 seconds to notice that a process was killed"


class _StaleNameError(Refusal):
    """A drive's name is taken, and leads nowhere.

    Somebody was killed who removed the last one.
    """

    def __init__(self, new: str) -> None:
        super().__init__(_ANOTHER)
        self.new = new


class Volumes:
    """The volumes of one pool, while it is open."""

    def __init__(self, ioctx: rados.Ioctx) -> None:
        self._ioctx = ioctx
        self._rbd = rbd.RBD()

    def names(self) -> list[str]:
        """Return the names that are listed, each once."""
        return sorted(set(self._rbd.list(self._ioctx)))

    def look(self, name: str) -> Look | None:
        """Look at a volume; None if there is none that can be opened."""
        try:
            with self._reading(name) as image:
                return rbd_image.look_at(image)
        except rbd.ImageNotFound:
            return None

    def exists(self, name: str) -> bool:
        """Tell whether there is a volume that can be opened."""
        try:
            with self._reading(name):
                return True
        except rbd.ImageNotFound:
            return False

    def read(self, name: str, most: int) -> bytes | None:
        """Return what a volume holds; None if there is none.

        :param most: bytes that it may hold
        """
        try:
            with self._reading(name) as image:
                size = image.size()
                if size > most:
                    raise Refusal(f"it has {size:,} bytes, more than {most:,}")
                return rbd_image.read(image)
        except rbd.ImageNotFound:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a drive, in place of one that is there.

        :raises Refusal: if somebody uses that one and it can't be rewritten
            in its place, or if another writer is at work
        """
        if self._rewritten(name, data):
            return
        try:
            self._write(name, data)
        except _StaleNameError as error:
            # To rename may have let it lead to the new one, so that goes too.
            self._erase(name)
            self._erase(error.new)
            self._write(name, data)

    def delete(self, name: str) -> bool:
        """Remove a drive and its writers' leftovers; tell if there was one.

        :raises Refusal: if any of it can't be removed
        """
        existed = self._removed(name)
        try:
            self.sweep(name)
        finally:
            # What was half removed already may be watched still.
            with contextlib.suppress(Refusal):
                self._erase(name)
        return existed

    def sweep(self, name: str, *, thorough: bool = True) -> None:
        """Remove what a drive's writers left.

        :param thorough: also what is half removed; to look for that takes as
            long as to write a drive
        :raises Refusal: if any of it can't be removed
        """
        if not thorough and not self._shows_leftovers(name):
            return
        # As much as can be; then what couldn't.
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
        """Write a drive into the volume that it has; tell if it could be."""
        if not self._has_id(name):
            return False
        drive = self.look(name) if self._shows_leftovers(name) else None
        if drive and self._is_half_renamed(name, drive):
            # Listed by the other name alone, it would pass for a leftover.
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
        # Another host has removed it meanwhile: a name goes first, so it may
        # have missed what was written since.
        for one in objects:
            with contextlib.suppress(rados.ObjectNotFound):
                self._ioctx.remove_object(one)
        return False

    def _write(self, name: str, data: bytes) -> None:
        new = self._created(name, len(data))
        identifier = ""
        try:
            # Open to the end: its watch keeps other writers off it.
            with rbd.Image(self._ioctx, new) as image:
                identifier = image.id()
                rbd_image.fill(image, data)
                _check_alone(image)
                self._removed(name)
                self._rename(new, name, identifier)
        except _StaleNameError:
            raise
        except BaseException as error:
            # After a time-out the next call would but wait for one more.
            if identifier and not is_broken(error):
                self._give_up(name, new, identifier)
            if not identifier and isinstance(error, rbd.ImageNotFound):
                raise Refusal(_ANOTHER) from error
            raise

    def _give_up(self, name: str, new: str, identifier: str) -> None:
        """Remove a volume that is of no use, if it is this very one."""
        with contextlib.suppress(Refusal, *ERRORS):
            look = self.look(new)
            if look and look.identifier == identifier:
                self._discard(name, new)

    def _created(self, name: str, size: int) -> str:
        """Return the name of a new volume, all zeros."""
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
            f"{len(NEW)} processes seem to be writing it; {_LET_GO}, so try"
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
        """Remove a drive that nobody uses; tell whether there was one."""
        look = self.look(name)
        if look is None:
            return False
        _check_unused(look)
        if self._is_half_renamed(name, look):
            # librbd would destroy it while it opens by this name.  It stays
            # by the other one, a leftover.
            with contextlib.suppress(rados.ObjectNotFound):
                self._ioctx.remove_object(f"rbd_id.{name}")
        else:
            # Once: what has the name next is another writer's.
            self._erased(name)
        return True

    def _is_half_renamed(self, name: str, drive: Look) -> bool:
        """Tell whether a drive is still listed as a leftover.

        Whoever renamed it was killed when it opened by both names.
        """
        others = map(self.look, (name + suffix for suffix in NEW))
        return (
            drive.identifier in {other.identifier for other in others if other}
            and name not in self.names()
        )

    def _discard(self, name: str, left: str) -> None:
        """Remove a leftover, unless its image is the drive's.

        :raises Refusal: if somebody uses it
        """
        look = self.look(left)
        if look is None or not self._is_drive_too(name, look):
            _check_unused(look)
            self._erase(left)

    def _shows_leftovers(self, name: str) -> bool:
        return any(self._has_id(name + suffix) for suffix in NEW)

    def _has_id(self, name: str) -> bool:
        """Tell whether a name leads to an image, in no time."""
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
        """Remove all that has a name: a volume, and what is left of others.

        librbd removes one at a time, and goes on where it was killed.
        """
        for _ in range(_MOST_REMOVALS):
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
            # Half removed, it opens no more, and can't tell who.
            raise InUse(
                f"in use by a process that was removing it ({error});"
                f" {_LET_GO}"
            ) from error
        return True

    def _reading(self, name: str) -> rbd.Image:
        """Open a volume without a watch: that would make it look in use."""
        return rbd.Image(self._ioctx, name, read_only=True)


def drive_of(name: str) -> str:
    """Return the name of the drive that a volume is, or is left of."""
    for suffix in NEW:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _check_alone(image: rbd.Image) -> None:
    # Another writer may take a new volume for a leftover before it is open.
    if len(list(image.watchers_list())) > 1:
        raise Refusal(_ANOTHER)


def _check_unused(look: Look | None) -> None:
    if look and look.users:
        raise InUse(
            f"in use by {', '.join(look.users)}; stop what has it open there"
            f" ({_LET_GO})"
        )
    if look and look.snapshots:
        raise Refusal(
            f"it has snapshots: {', '.join(look.snapshots)}; remove them (rbd"
            " snap purge)"
        )
