"""Drives in files: ``<instances_path>/<uuid>/disk.config``.

A drive is written to a temporary name beside its own, flushed, renamed, and
the directory flushed: whatever is killed, a reader sees the whole drive or
none, and never one that others may read (0600 from its first byte).
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

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import (
    HEAD_SIZE,
    FileLocation,
    Location,
    StoredDrive,
    bears_mark,
)
from cfgdrive_virt.store.file_system import give_to_owner
from cfgdrive_virt.store.os_error import MissingError, explained

NAME = "disk.config"
_TEMPORARY = ".new"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FileStore:
    """The drives below one directory.

    :param root: nova's ``instances_path``; it must exist
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def location(self, uuid: str) -> FileLocation:
        """Return where an instance's drive is, or would be."""
        return FileLocation(uuid, self.root.absolute() / uuid / NAME)

    def exists(self, uuid: str) -> bool:
        """Tell whether an instance has a drive.

        :raises StoreError: if what is there is no regular file, in a
            directory of its own
        """
        path = self.location(uuid).path
        return _is_there(path.parent, stat.S_ISDIR) and _is_there(
            path, stat.S_ISREG
        )

    def write(self, uuid: str, data: bytes) -> FileLocation:
        """Write an instance's drive, in place of one that is there.

        :raises StoreError: if it can't be written; a drive that was there
            before is there still, it or the new one, and nothing else
        """
        location = self.location(uuid)
        directory = location.path.parent
        had_drive = self.exists(uuid)
        had_directory = directory.exists()
        try:
            if not had_directory:
                with explained(f"can't make {directory}"):
                    directory.mkdir(mode=0o755, exist_ok=True)
                    give_to_owner(directory, self.root)
                _flush_directory(self.root)
            write_file(location.path, data, temporary=NAME + _TEMPORARY)
            with explained(f"can't hand over {location}"):
                give_to_owner(location.path, self.root)
        except BaseException:
            with contextlib.suppress(OSError):
                if not had_drive:
                    location.path.unlink(missing_ok=True)
                if not had_directory:
                    directory.rmdir()
            raise
        return location

    def delete(self, uuid: str) -> bool:
        """Remove an instance's drive; tell whether there was one.

        The instance's directory goes too once it is empty.

        :raises StoreError: if it can't be removed
        """
        path = self.location(uuid).path
        existed = self.exists(uuid)
        with explained(f"can't remove {path}"):
            for name in (NAME, NAME + _TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    (path.parent / name).unlink()
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return existed

    def drives(self) -> Iterator[StoredDrive]:
        """Yield all drives, and what killed writers left of some.

        What is no regular file, in a directory of its own, is passed over.

        :raises StoreError: if they can't be looked at
        """
        with explained(f"can't look into {self.root}"):
            names = sorted(os.listdir(self.root))
        for uuid in filter(_UUID.fullmatch, names):
            drive = self.location(uuid).path
            for path in (drive, drive.with_name(NAME + _TEMPORARY)):
                if drive.parent.is_symlink() or path.is_symlink():
                    continue
                if path.is_file():
                    with contextlib.suppress(MissingError):
                        yield _stored(FileLocation(uuid, path))

    def look(self, location: Location) -> StoredDrive:
        """Return what there is to know of what :meth:`drives` told of.

        :raises StoreError: if it is gone, or can't be looked at
        """
        assert isinstance(location, FileLocation)
        return _stored(location)

    def remove(self, location: Location) -> bool:
        """Remove one file that :meth:`drives` told of.

        The instance's directory goes too once it is empty.

        :raises StoreError: if somebody uses it, or it can't be removed
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
            location.path.parent.rmdir()
        return True


def write_file(path: Path, data: bytes, *, temporary: str) -> None:
    """Write a file that appears under its name whole, with mode 0600.

    :param temporary: a name in the same directory to write it under first;
        what has that name is a former writer's leftover, and is removed
    :raises StoreError: if it can't be written; nothing new is left behind,
        but where a file was replaced and only the last flush failed
    """
    with explained(f"can't write {path}"):
        directory = os.open(path.parent, _DIRECTORY | os.O_NOFOLLOW)
        replacing = os.path.lexists(path)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            _write(directory, temporary, data)
            os.rename(
                temporary,
                path.name,
                src_dir_fd=directory,
                dst_dir_fd=directory,
            )
            os.fsync(directory)
        except BaseException:
            for name in (temporary,) if replacing else (temporary, path.name):
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=directory)
            raise
        finally:
            os.close(directory)


def _stored(location: FileLocation) -> StoredDrive:
    with explained(f"can't look at {location}"):
        # Not to be held up by a pipe, nor led elsewhere by a link.
        handle = os.open(
            location.path,
            os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC,
        )
        try:
            status = os.fstat(handle)
            regular = stat.S_ISREG(status.st_mode)
            head = os.pread(handle, HEAD_SIZE, 0) if regular else b""
            return StoredDrive(
                location,
                size=status.st_size,
                modified=status.st_mtime,
                ours=bears_mark(head),
                users=_lock_holders(handle) if regular else (),
            )
        finally:
            os.close(handle)


def _lock_holders(handle: int) -> tuple[str, ...]:
    """Return who has locked a file, as QEMU does with its disks.

    Source: fcntl(2), open file description locks; their holders stay
    unnamed.
    """
    # struct flock: type, whence, start, length (0: to the end), pid
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    answer = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked)
    kind, _, _, _, pid = struct.unpack("hhqqi4x", answer)
    if kind == fcntl.F_UNLCK:
        return ()
    return (f"process {pid}" if pid > 0 else "a process that locked it",)


def _write(directory: int, name: str, data: bytes) -> None:
    handle = os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
    try:
        # A umask may take bits away; without its owner's it is no use.
        os.fchmod(handle, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_directory(directory: Path) -> None:
    with explained(f"can't flush {directory}"):
        handle = os.open(directory, _DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _is_there(path: Path, is_kind: Callable[[int], bool]) -> bool:
    try:
        with explained(f"can't look at {path}"):
            mode = os.lstat(path).st_mode
    except MissingError:
        return False
    if not is_kind(mode):
        raise StoreError(
            f"{path} is {_kind(mode)}, and belongs to no drive of ours; look"
            " what it is, and move it away"
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
