"""Bytes become a file, whole or not at all.

The file is written without a name, flushed, linked to a temporary name in its
directory and renamed; then the directory is flushed.  If the process is
killed, readers see the whole file or none.  The mode is 0600 from the first
byte.  On a file system without unnamed files, such as NFS, the file is written
under the temporary name.
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
#: Errors of file systems that have no unnamed files.
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


def write_file(
    path: Path, data: bytes, *, temporary: str, owner: Path | None = None
) -> None:
    """Write a file with mode 0600 that appears whole under its name.

    :param temporary: a temporary name in the same directory; an existing file
        of that name is the leftover of a killed writer, and is removed
    :param owner: a directory whose owner gets the file
    :raises StoreError: if it can't be written; then no new file is left
        behind, unless an existing file was replaced and only the last flush
        failed
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
        # The umask may have removed the owner's bits.
        os.fchmod(handle, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        if owner is not None:
            give_to_owner(handle, owner)
        os.fsync(handle)
        if nameless:
            # As open(2), O_TMPFILE, describes for processes without root.
            os.link(f"/proc/self/fd/{handle}", name, dst_dir_fd=directory)
    finally:
        os.close(handle)


def flush_directory(directory: Path) -> None:
    """Make changes of the names in a directory durable.

    :raises StoreError: if it can't be flushed
    """
    with explained(f"can't flush {directory}"):
        handle = os.open(directory, _DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
