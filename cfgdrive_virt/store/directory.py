"""Directories and their files by descriptor, without following links.

The compute service's user owns ``instances_path`` and may put anything there
while an operator's command works on it as root.  So only ``instances_path``
itself is opened by its path.  All below is opened from the directory above,
and changed by descriptor: what is checked is what is used.

The methods raise OSError; callers explain it (see ``os_error``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from cfgdrive_virt.exception import StoreError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: Don't follow a link, and don't wait for the other end of a pipe.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Links after which Linux gives up.
_LINKS = 40


class Directory:
    """An open directory, to be used in a ``with`` statement.

    :param path: its path, for messages
    :param handle: its descriptor
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self.handle = handle

    @classmethod
    def of(cls, path: Path) -> Directory:
        """Open a directory that an operator named: links are followed.

        Root follows no link of another user, which may lead anywhere, if it
        is the last part of the path.
        """
        if os.geteuid() != 0:
            return cls(path, os.open(path, _DIRECTORY))
        place = path
        for _ in range(_LINKS):
            found = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                status = os.fstat(found)
                if not stat.S_ISLNK(status.st_mode):
                    # The one that was looked at, whatever has the name now.
                    known = f"/proc/self/fd/{found}"
                    return cls(path, os.open(known, _DIRECTORY))
                if status.st_uid != 0:
                    raise StoreError(
                        f"{place} is a symbolic link of user {status.st_uid},"
                        " which root doesn't follow; use the path it points"
                        " to, or give the link to root (chown -h)"
                    )
                place = place.parent / os.readlink("", dir_fd=found)
            finally:
                close(found)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))

    # typing has Self only since Python 3.11.
    def __enter__(self) -> Directory:  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        close(self.handle)

    def below(self, name: str) -> Directory:
        """Open a directory in this one; a link is an error."""
        flags = _DIRECTORY | os.O_NOFOLLOW
        return Directory(
            self.path / name, os.open(name, flags, dir_fd=self.handle)
        )

    def made(self, name: str, mode: int) -> Directory:
        """Open a directory in this one; make it if it is missing.

        A new one gets this one's owner.
        """
        try:
            os.mkdir(name, mode, dir_fd=self.handle)
        except FileExistsError:
            return self.below(name)
        made = self.below(name)
        try:
            # Somebody may have put another directory in its place.
            if not os.listdir(made.handle):
                self.give(made.handle)
            self.flush()
        except BaseException:
            close(made.handle)
            raise
        return made

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a file, which must be a regular one; return its descriptor.

        :raises StoreError: if it is anything else
        """
        handle = os.open(name, flags | _FILE, mode, dir_fd=self.handle)
        try:
            found = os.fstat(handle).st_mode
            if not stat.S_ISREG(found):
                raise StoreError(
                    f"{self.path / name} is {kind(found)}, not a regular file"
                )
        except BaseException:
            close(handle)
            raise
        return handle

    def touch(self, name: str) -> bool:
        """Make an empty file, with this directory's owner.

        Tell whether it is new; what has the name already stays as it is.
        """
        try:
            handle = self.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        try:
            self.give(handle)
        except BaseException:
            self.remove(name)
            raise
        finally:
            close(handle)
        return True

    def status(self, name: str) -> os.stat_result | None:
        """Return what a name stands for; None if there is nothing."""
        try:
            return os.stat(name, dir_fd=self.handle, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> bool:
        """Remove a file or a link; tell whether there was one."""
        try:
            os.unlink(name, dir_fd=self.handle)
        except FileNotFoundError:
            return False
        return True

    def remove_empty(self, name: str) -> None:
        """Remove a directory, if it is there and empty."""
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=self.handle)

    def rename(self, name: str, to: str, *, below: Directory) -> None:
        """Give a file another name, here or in another directory."""
        os.rename(name, to, src_dir_fd=self.handle, dst_dir_fd=below.handle)

    def flush(self) -> None:
        """Make changes of its names durable."""
        os.fsync(self.handle)

    def give(self, handle: int) -> None:
        """Give an open file or directory to the owner of this directory.

        A command that an operator runs as root must not lock the compute
        service out of its own files.  What this process did not make keeps
        its owner.
        """
        owner, found = os.fstat(self.handle), os.fstat(handle)
        if found.st_uid == os.geteuid():
            with contextlib.suppress(PermissionError):
                os.fchown(handle, owner.st_uid, owner.st_gid)


def close(handle: int) -> None:
    """Close a descriptor; an error comes too late to change anything."""
    with contextlib.suppress(OSError):
        os.close(handle)


def kind(mode: int) -> str:
    """Return in words what a file of this mode is."""
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a directory",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a regular file")
