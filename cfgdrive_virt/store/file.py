"""Drives in files: ``<instances_path>/<uuid>/disk.config``.

A drive is written to a temporary name beside its own, flushed, renamed, and
the directory flushed: whatever is killed, a reader sees the whole drive or
none, and never one that others may read (0600 from its first byte).

Builders of one instance take turns, threads and processes alike: each holds
the ``drive`` lock, a file in ``<instances_path>/locks``, while it looks and
writes.  A service that works on the instance's domain too holds ``domain``
around it.  There are 256 of each, picked by the uuid's first two digits, so
that they needn't be removed when instances go (removing a lock that others
wait for is a race).  On a shared file system hosts take turns as well, so far
as it has POSIX locks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from oslo_concurrency import lockutils

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import FileLocation

NAME = "disk.config"
_TEMPORARY = ".new"
_LOCK_PREFIX = "cfgdrive-virt"
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

    @contextlib.contextmanager
    def locked(self, uuid: str, what: str = "drive") -> Iterator[None]:
        """Hold one of an instance's locks.

        :param what: the lock's name; nobody takes the same one twice
        :raises StoreError: if there is no place for locks
        """
        locks = self.root / "locks"
        name = f"{what}-{uuid[:2]}"
        with _explained(f"instances_path {self.root} can't be used"):
            self.root.stat()
        with _explained(f"can't lock in {locks}"):
            with contextlib.suppress(FileExistsError):
                locks.mkdir(mode=0o755)
                self._give_to_owner(locks)
            lock = lockutils.lock(
                name,
                lock_file_prefix=_LOCK_PREFIX,
                external=True,
                lock_path=str(locks),
                do_log=False,
            )
            lock.__enter__()
        try:
            # By name: to open and close a file gives up all of a process'
            # POSIX locks on it, another thread's among them.
            with _explained(f"can't lock in {locks}"):
                self._give_to_owner(locks / f"{_LOCK_PREFIX}-{name}")
            yield
        finally:
            lock.__exit__(None, None, None)

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
                with _explained(f"can't make {directory}"):
                    directory.mkdir(mode=0o755, exist_ok=True)
                    self._give_to_owner(directory)
                _flush_directory(self.root)
            write_file(location.path, data, temporary=NAME + _TEMPORARY)
            with _explained(f"can't hand over {location}"):
                self._give_to_owner(location.path)
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
        with _explained(f"can't remove {path}"):
            for name in (NAME, NAME + _TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    (path.parent / name).unlink()
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return existed

    def _give_to_owner(self, path: Path) -> None:
        """Give what root made to the owner of the directory it is in.

        An operator's command, run as root, must not lock the compute
        service out of what it owns.
        """
        owner = self.root.stat()
        with contextlib.suppress(PermissionError):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def write_file(path: Path, data: bytes, *, temporary: str) -> None:
    """Write a file that appears under its name whole, with mode 0600.

    :param temporary: a name in the same directory to write it under first;
        what has that name is a former writer's leftover, and is removed
    :raises StoreError: if it can't be written; nothing new is left behind,
        but where a file was replaced and only the last flush failed
    """
    with _explained(f"can't write {path}"):
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


def supports_direct_io(directory: Path) -> bool:
    """Tell whether files below a directory can be opened with O_DIRECT.

    QEMU's cache modes none and directsync need it; some file systems, tmpfs
    among them, don't have it.  A directory that isn't there yet is judged by
    the nearest one above it.
    """
    for place in (directory, *directory.parents):
        if place.is_dir():
            break
    flags = os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC
    name = place / ".cfgdrive_virt.probe"
    try:
        os.close(os.open(place, flags | os.O_TMPFILE, 0o600))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            # A directory that can't be written to says nothing of O_DIRECT.
            return error.errno != errno.EINVAL
    else:
        return True
    # A file system without files that have no name, such as NFS.
    try:
        os.close(os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        return error.errno != errno.EINVAL
    else:
        return True
    finally:
        name.unlink(missing_ok=True)


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
    with _explained(f"can't flush {directory}"):
        handle = os.open(directory, _DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _is_there(path: Path, is_kind: Callable[[int], bool]) -> bool:
    try:
        with _explained(f"can't look at {path}"):
            mode = os.lstat(path).st_mode
    except _MissingError:
        return False
    if not is_kind(mode):
        raise StoreError(
            f"{path} is {_kind(mode)}, and belongs to no drive of ours; look"
            " what it is, and move it away"
        )
    return True


class _MissingError(StoreError):
    """What is looked for isn't there."""


#: What to do about errors that operators meet.
_REMEDIES = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the disk quota is used up; make room",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "this user has no right to; see the directory's owner",
    errno.EPERM: "this user has no right to; see the directory's owner",
    errno.ENOENT: "the directory is missing",
    errno.EEXIST: "something else has that name",
    errno.ENOTDIR: "a part of the path is no directory",
    errno.ELOOP: "the directory is a symbolic link; name what it points to",
    errno.EISDIR: "a directory has that name",
    errno.EIO: "the disk is failing",
}


@contextlib.contextmanager
def _explained(lead: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        missing = isinstance(error, FileNotFoundError)
        kind = _MissingError if missing else StoreError
        remedy = _REMEDIES.get(number, os.strerror(number))
        code = errno.errorcode.get(number, "?")
        raise kind(f"{lead}: {remedy} ({code})") from error


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
