"""Drives in files: ``<instances_path>/<uuid>/disk.config``.

A rescue's drive is ``disk.config.rescue``; the drive that is kept to revert a
resize is in ``<uuid>_resize``.  The names are nova's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from cfgdrive_virt.exception import DriveUnreadable, StoreError
from cfgdrive_virt.model.drive import (
    HEAD_SIZE,
    NAME,
    RESCUE_NAME,
    FileLocation,
    Location,
    StoredDrive,
    is_built_here,
)
from cfgdrive_virt.store.atomic_write import flush_directory, write_file
from cfgdrive_virt.store.file_system import give_to_owner
from cfgdrive_virt.store.os_error import MissingError, explained

#: Nova's suffix for an instance's directory during a resize.
RESIZE_SUFFIX = "_resize"

_TEMPORARY = ".new"
#: Suffix of the file that marks a migrating drive: see migration_files.
MIGRATING = ".migrating"
#: Don't block on a pipe, and don't follow a link.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_INSTANCE = re.compile(
    rf"([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})(?:{RESIZE_SUFFIX})?"
)


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
        return _is_a_drive(self.location(uuid).path)

    def read(self, location: Location, max_bytes: int) -> bytes | None:
        """Return a file's content; None if there is no file.

        :param max_bytes: maximum size
        :raises DriveUnreadable: if this process lacks the permission
        :raises StoreError: if it is larger, is not a regular file, or can't
            be read
        """
        assert isinstance(location, FileLocation)
        path = location.path
        try:
            if not _is_a_drive(path):
                return None
            with _reading(f"can't read {path}"):
                data = _read(path, max_bytes + 1)
        except MissingError:
            return None
        if len(data) > max_bytes:
            raise StoreError(f"{path} holds more than {max_bytes:,} bytes")
        return data

    # Unlike in Ceph, a thorough sweep costs no more than any other.
    def sweep(self, uuid: str, *, thorough: bool) -> None:  # noqa: ARG002
        """Remove the leftovers of killed writers.

        Also remove the file that marks the drive of a migrating guest: the
        drive is in use now.

        :raises StoreError: if they can't be removed
        """
        for suffix in (_TEMPORARY, MIGRATING):
            path = self.location(uuid).path.with_name(self._name + suffix)
            with explained(f"can't remove {path}"):
                path.unlink(missing_ok=True)

    def write(self, uuid: str, data: bytes) -> FileLocation:
        """Write an instance's drive; replace an existing one.

        :raises StoreError: if it can't be written; then there is still the
            existing drive or, if only the last flush failed, the new one
        """
        location = self.location(uuid)
        directory = location.path.parent
        had_drive = self.exists(uuid)
        had_directory = directory.exists()
        try:
            if not had_directory:
                self._make(directory)
            write_file(
                location.path,
                data,
                temporary=self._name + _TEMPORARY,
                owner=self.root,
            )
        except BaseException:
            with contextlib.suppress(OSError):
                if not had_drive:
                    location.path.unlink(missing_ok=True)
                if not had_directory:
                    directory.rmdir()
            raise
        return location

    def take_from(self, other: FileStore, uuid: str) -> bool:
        """Move an instance's drive from another store to this one.

        Tell whether there was one; it replaces an existing drive.

        :raises StoreError: if it can't be moved; it is in one of the stores
        """
        source, target = other.location(uuid).path, self.location(uuid).path
        there = other.exists(uuid)
        self.exists(uuid)
        if not there:
            # A process may have been killed right after moving it.
            other.delete(uuid)
            return False
        with explained(f"can't move {source} to {target}"):
            if not target.parent.exists():
                self._make(target.parent)
            source.rename(target)
        flush_directory(target.parent)
        other.delete(uuid)
        return True

    def delete(self, uuid: str) -> bool:
        """Remove an instance's drive; tell whether there was one.

        Also remove the instance's directory, if it is empty then.

        :raises StoreError: if it can't be removed
        """
        path = self.location(uuid).path
        existed = self.exists(uuid)
        with explained(f"can't remove {path}"):
            for suffix in ("", _TEMPORARY, MIGRATING):
                name = self._name + suffix
                with contextlib.suppress(FileNotFoundError):
                    (path.parent / name).unlink()
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return existed

    def drives(self) -> Iterator[StoredDrive]:
        """Yield all drives, and the leftovers of killed writers.

        Skip what isn't a regular file in a directory that isn't a link.

        :raises StoreError: if they can't be accessed
        """
        with explained(f"can't list {self.root}"):
            names = sorted(os.listdir(self.root))
        for found in filter(None, map(_INSTANCE.fullmatch, names)):
            directory = self.root.absolute() / found[0]
            for name in (NAME, RESCUE_NAME):
                for path in (
                    directory / name,
                    directory / (name + _TEMPORARY),
                ):
                    # Skip directories that this process can't list.
                    with contextlib.suppress(MissingError, DriveUnreadable):
                        if _is_plain(path):
                            yield _listed(FileLocation(found[1], path))

    def look(self, location: Location) -> StoredDrive:
        """Return the current state of a file that :meth:`drives` yielded.

        :raises StoreError: if it is gone, or can't be accessed
        """
        assert isinstance(location, FileLocation)
        return _stored(location)

    def remove(self, location: Location) -> bool:
        """Remove one file that :meth:`drives` yielded.

        Also remove the instance's directory, if it is empty then.

        :raises StoreError: if it is in use, or can't be removed
        """
        assert isinstance(location, FileLocation)
        try:
            if users := _stored(location).users:
                raise StoreError(f"{location} is in use by {', '.join(users)}")
            with explained(f"can't remove {location}"):
                location.path.unlink()
        except MissingError:
            return False
        with contextlib.suppress(OSError):
            mark = location.path.with_name(location.path.name + MIGRATING)
            mark.unlink(missing_ok=True)
            location.path.parent.rmdir()
        return True

    def _make(self, directory: Path) -> None:
        with explained(f"can't create {directory}"):
            directory.mkdir(mode=0o755, exist_ok=True)
            give_to_owner(directory, self.root)
        flush_directory(self.root)


def _read(path: Path, size: int) -> bytes:
    handle = os.open(path, _READ)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise StoreError(f"{path} is not a regular file")
        return file.read(size)


@contextlib.contextmanager
def _reading(lead: str) -> Iterator[None]:
    try:
        with explained(lead):
            yield
    except StoreError as error:
        if isinstance(error.__cause__, PermissionError):
            raise DriveUnreadable(str(error)) from error
        raise


def _stored(location: FileLocation) -> StoredDrive:
    with _reading(f"can't access {location}"):
        handle = os.open(location.path, _READ)
        try:
            status = os.fstat(handle)
            regular = stat.S_ISREG(status.st_mode)
            head = os.pread(handle, HEAD_SIZE, 0) if regular else b""
            return StoredDrive(
                location,
                size=status.st_size,
                modified=status.st_mtime,
                ours=is_built_here(head),
                users=_lock_holders(handle) if regular else (),
            )
        finally:
            os.close(handle)


def _is_plain(path: Path) -> bool:
    """Tell whether it is a regular file in a directory that isn't a link."""
    with _reading(f"can't access {path}"):
        return (
            not path.parent.is_symlink()
            and path.parent.is_dir()
            and stat.S_ISREG(path.lstat().st_mode)
        )


def _listed(location: FileLocation) -> StoredDrive:
    try:
        return _stored(location)
    except DriveUnreadable:
        # Its builder is unknown, so it is not ours to remove.
        with explained(f"can't access {location}"):
            status = location.path.lstat()
        return StoredDrive(
            location, status.st_size, status.st_mtime, ours=False, users=()
        )


def _lock_holders(handle: int) -> tuple[str, ...]:
    """Return the processes that lock a file, as QEMU does with its disks.

    Source: fcntl(2); the holders of open file description locks are unknown.
    """
    # struct flock: type, whence, start, length (0: to the end), pid
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    answer = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked)
    kind, _, _, _, pid = struct.unpack("hhqqi4x", answer)
    if kind == fcntl.F_UNLCK:
        return ()
    return (f"process {pid}" if pid > 0 else "a process that locked it",)


def _is_a_drive(path: Path) -> bool:
    return _is_there(
        path.parent, stat.S_ISDIR, "an instance's directory"
    ) and _is_there(path, stat.S_ISREG, "a config drive")


def _is_there(
    path: Path, is_kind: Callable[[int], bool], expected: str
) -> bool:
    try:
        with explained(f"can't access {path}"):
            mode = os.lstat(path).st_mode
    except MissingError:
        return False
    if not is_kind(mode):
        raise StoreError(
            f"{path} is {_kind(mode)}, not {expected}; check what it is, and"
            " move it away"
        )
    return True


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a directory",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a regular file")
