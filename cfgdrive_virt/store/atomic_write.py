"""Bytes become a file, all of them or none.

A file is written without a name, flushed, given a temporary name beside its
own, renamed, and the directory flushed: whatever is killed, a reader sees the
whole file or none, and never one that others may read (0600 from its first
byte).  Where the file system has no files without names, such as NFS, it is
written under the temporary one.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from cfgdrive_virt.store.file_system import give_to_owner
from cfgdrive_virt.store.os_error import explained

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMELESS = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
#: What file systems say that have no files without names.
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


def write_file(
    path: Path, data: bytes, *, temporary: str, owner: Path | None = None
) -> None:
    """Write a file that appears under its name whole, with mode 0600.

    :param temporary: a name in the same directory for it to have first;
        what has that name is a former writer's leftover, and is removed
    :param owner: a directory whose owner is to own the file
    :raises StoreError: if it can't be written; nothing new is left behind,
        but where a file was replaced and only the last flush failed
    """
    with explained(f"can't write {path}"):
        directory = os.open(path.parent, _DIRECTORY | os.O_NOFOLLOW)
        replacing = os.path.lexists(path)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            _write(directory, temporary, data, owner)
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


def _write(directory: int, name: str, data: bytes, owner: Path | None) -> None:
    nameless = True
    try:
        handle = os.open(".", _NAMELESS, 0o600, dir_fd=directory)
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
        nameless = False
        handle = os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
    try:
        # A umask may take bits away; without its owner's it is no use.
        os.fchmod(handle, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        if owner is not None:
            give_to_owner(handle, owner)
        os.fsync(handle)
        if nameless:
            # The way of open(2), O_TMPFILE, for those who aren't root.
            os.link(f"/proc/self/fd/{handle}", name, dst_dir_fd=directory)
    finally:
        os.close(handle)


def flush_directory(directory: Path) -> None:
    """Make what happened to names in a directory last.

    :raises StoreError: if it can't be flushed
    """
    with explained(f"can't flush {directory}"):
        handle = os.open(directory, _DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
