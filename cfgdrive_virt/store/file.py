"""Drives in files: ``<instances_path>/<uuid>/disk.config``.

A rescue's drive is ``disk.config.rescue``; the drive that is kept to revert a
resize is in ``<uuid>_resize``.  The names are nova's.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cfgdrive_virt.exception import DriveUnreadable, StoreError
from cfgdrive_virt.model.drive import (
    NAME,
    RESIZE_SUFFIX,
    FileLocation,
    Location,
    StoredDrive,
)
from cfgdrive_virt.store import file_listing
from cfgdrive_virt.store.atomic_write import write_file
from cfgdrive_virt.store.base import Progress, ignore
from cfgdrive_virt.store.directory import Directory, kind
from cfgdrive_virt.store.file_listing import TEMPORARY
from cfgdrive_virt.store.os_error import MissingError, explained

#: Suffix of the file that marks a migrating drive: see migration_files.
MIGRATING = ".migrating"


class FileStore:
    """The drives of one kind below one directory.

    :param root: nova's ``instances_path``; it must exist
    :param name: name of the drives' files
    :param suffix: suffix of the directories' names, after the UUID
    """

    def __init__(
        self, root: Path, *, name: str = NAME, suffix: str = ""
    ) -> None:
        self.root = root
        self._name = name
        self._suffix = suffix

    def location(self, uuid: str) -> FileLocation:
        """Return where an instance's drive is, or would be."""
        directory = self.root.absolute() / f"{uuid}{self._suffix}"
        return FileLocation(uuid, directory / self._name)

    def exists(self, uuid: str) -> bool:
        """Tell whether an instance has a drive.

        :raises StoreError: if the path isn't a regular file in a directory
            that isn't a link
        """
        path = self.location(uuid).path
        with explained(f"can't access {path}"), home_of(path) as home:
            return home is not None and _has_drive(home, path.name)

    def read(self, location: Location, max_bytes: int) -> bytes | None:
        """Return a file's content; None if there is no file.

        :param max_bytes: maximum size
        :raises DriveUnreadable: if this process lacks the permission
        :raises StoreError: if it is larger, is not a regular file, or can't
            be read
        """
        assert isinstance(location, FileLocation)
        path = location.path
        with _reading(f"can't read {path}"), home_of(path) as home:
            if home is None or not _has_drive(home, path.name):
                return None
            try:
                handle = home.open(path.name, os.O_RDONLY)
            except FileNotFoundError:
                return None
            with open(handle, "rb") as file:
                size = os.fstat(handle).st_size
                if size > max_bytes:
                    raise StoreError(
                        f"{path} has {size:,} bytes, more than {max_bytes:,}"
                    )
                # Python allocates all that is asked for.
                return file.read(size)

    # Unlike in Ceph, a thorough sweep costs no more than any other.
    def sweep(self, uuid: str, *, thorough: bool) -> None:  # noqa: ARG002
        """Remove the leftovers of killed writers.

        Also remove the file that marks the drive of a migrating guest: the
        drive is in use now.

        :raises StoreError: if they can't be removed
        """
        path = self.location(uuid).path
        with explained(f"can't remove leftovers of {path}"):
            with home_of(path) as home:
                if home is None:
                    return
                for suffix in (TEMPORARY, MIGRATING):
                    home.remove(self._name + suffix)
            # A resize that was ended before it moved a drive there.
            with Directory.of(self.root) as root:
                root.remove_empty(f"{uuid}{RESIZE_SUFFIX}")

    def write(self, uuid: str, data: bytes) -> FileLocation:
        """Write an instance's drive; replace an existing one.

        :raises StoreError: if it can't be written; then there is still the
            existing drive or, if only the last flush failed, the new one
        """
        return self.receive(uuid, (data,))

    def receive(
        self,
        uuid: str,
        parts: Iterable[bytes],
        check: Callable[[int], None] | None = None,
    ) -> FileLocation:
        """Write an instance's drive in parts, as they come.

        :param check: called with the descriptor of the written file before it
            takes the drive's place; an error discards it
        :raises StoreError: as :meth:`write`
        """
        location = self.location(uuid)
        path = location.path
        with made_home(self.root, path.parent.name) as (root, home):
            with explained(f"can't access {path}"):
                _has_drive(home, path.name)
            write_file(
                home,
                path.name,
                parts,
                temporary=self._name + TEMPORARY,
                owner=root,
                check=check,
            )
        return location

    def take_from(self, other: FileStore, uuid: str) -> bool:
        """Move an instance's drive from another store to this one.

        Tell whether there was one; it replaces an existing drive.

        :raises StoreError: if it can't be moved; it is in one of the stores
        """
        source, target = other.location(uuid).path, self.location(uuid).path
        there = other.exists(uuid)
        self.exists(uuid)
        if there:
            with (
                made_home(self.root, target.parent.name) as (_, to),
                explained(f"can't move {source} to {target}"),
                home_of(source) as home,
            ):
                if home is None:
                    raise StoreError(f"{source} has vanished")
                home.rename(source.name, target.name, below=to)
                to.flush()
        # A process may have been killed right after moving it.
        other.delete(uuid)
        return there

    def delete(self, uuid: str) -> bool:
        """Remove an instance's drive; tell whether there was one.

        Also remove the instance's directory, if it is empty then.

        :raises StoreError: if it can't be removed
        """
        path = self.location(uuid).path
        existed = self.exists(uuid)
        with explained(f"can't remove {path}"):
            _remove(path, (TEMPORARY, MIGRATING))
        return existed

    def drives(self, progress: Progress = ignore) -> Iterator[StoredDrive]:
        """Yield all drives, and the leftovers of killed writers.

        See :func:`cfgdrive_virt.store.file_listing.drives`.
        """
        return file_listing.drives(self.root, progress)

    def look(self, location: Location) -> StoredDrive:
        """Return the current state of a file that :meth:`drives` yielded.

        :raises StoreError: if it is gone, or can't be accessed
        """
        assert isinstance(location, FileLocation)
        path = location.path
        with _reading(f"can't access {location}"), home_of(path) as home:
            if home is None:
                raise MissingError(f"{location} is missing")
            return file_listing.stored(home, location)

    def remove(self, location: Location) -> bool:
        """Remove one file that :meth:`drives` yielded.

        Also remove the instance's directory, if it is empty then.

        :raises StoreError: if it is in use, or can't be removed
        """
        assert isinstance(location, FileLocation)
        try:
            if users := self.look(location).users:
                raise StoreError(f"{location} is in use by {', '.join(users)}")
        except MissingError:
            return False
        with explained(f"can't remove {location}"):
            return _remove(location.path, (MIGRATING,))


@contextlib.contextmanager
def home_of(path: Path) -> Iterator[Directory | None]:
    """Open an instance's directory; None if it is missing.

    :param path: of a file in it; the directory above is instances_path
    :raises StoreError: if it is something else, or a link
    """
    with contextlib.ExitStack() as stack:
        home = None
        with contextlib.suppress(FileNotFoundError):
            root = stack.enter_context(Directory.of(path.parent.parent))
            if _is_home(root, path.parent.name):
                home = stack.enter_context(root.below(path.parent.name))
        yield home


@contextlib.contextmanager
def made_home(root: Path, name: str) -> Iterator[tuple[Directory, Directory]]:
    """Open instances_path and an instance's directory, made if missing.

    A new one is removed again after an error.

    :raises StoreError: if it can't be made, or is something else
    """
    place = root / name
    with explained(f"can't create {place}"):
        top = Directory.of(root)
    with top:
        with explained(f"can't access {place}"):
            had = _is_home(top, name)
        try:
            with explained(f"can't create {place}"):
                home = top.made(name, 0o755)
            with home:
                yield top, home
        except BaseException:
            if not had:
                top.remove_empty(name)
            raise


def _is_home(root: Directory, name: str) -> bool:
    return _is_there(root, name, stat.S_ISDIR, "an instance's directory")


def _has_drive(home: Directory, name: str) -> bool:
    return _is_there(home, name, stat.S_ISREG, "a config drive")


def _is_there(
    directory: Directory,
    name: str,
    is_kind: Callable[[int], bool],
    expected: str,
) -> bool:
    status = directory.status(name)
    if status is None:
        return False
    if not is_kind(status.st_mode):
        raise StoreError(
            f"{directory.path / name} is {kind(status.st_mode)}, not"
            f" {expected}; check what it is, and move it away"
        )
    return True


def _remove(path: Path, suffixes: Iterable[str]) -> bool:
    """Remove a file, others beside it, and the directory if it is empty.

    Tell whether the file was there.
    """
    with home_of(path) as home:
        if home is None:
            return False
        existed = home.remove(path.name)
        for suffix in suffixes:
            home.remove(path.name + suffix)
    with Directory.of(path.parent.parent) as root:
        root.remove_empty(path.parent.name)
    return existed


@contextlib.contextmanager
def _reading(lead: str) -> Iterator[None]:
    try:
        with explained(lead):
            yield
    except StoreError as error:
        if isinstance(error.__cause__, PermissionError):
            raise DriveUnreadable(str(error)) from error
        raise
