"""Bytes become a file, whole or not at all.

The file is written without a name, flushed, and linked to its name or, to
replace another file, to a temporary name that is then renamed; then the
directory is flushed.  If the process is killed, readers see the whole file or
none.  The mode is 0600 from the first byte.  On a file system without unnamed
files, such as NFS, the file is written under the temporary name.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator

from cfgdrive_virt.store.directory import Directory, close
from cfgdrive_virt.store.os_error import explained

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMELESS = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
#: Errors of file systems that have no unnamed files.
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


def write_file(
    directory: Directory,
    name: str,
    parts: Iterable[bytes],
    *,
    temporary: str,
    owner: Directory | None = None,
    check: Callable[[int], None] | None = None,
) -> None:
    """Write a file with mode 0600 that appears whole under its name.

    :param parts: its bytes; each part is written before the next is asked for
    :param temporary: a temporary name in the same directory; an existing file
        of that name is the leftover of a killed writer, and is removed
    :param owner: a directory whose owner gets the file
    :param check: called with the descriptor of the written file before it
        gets its name; an error discards the file
    :raises StoreError: if it can't be written; then no new file is left
        behind, unless an existing file was replaced and only the last flush
        failed
    """
    with explained(f"can't write {directory.path / name}"):
        replacing = directory.status(name) is not None
        left = {temporary}
        try:
            directory.remove(temporary)
            with _new_file(directory, temporary) as (handle, nameless):
                # The umask may have removed the owner's bits.
                os.fchmod(handle, 0o600)
                for part in parts:
                    _write(handle, part)
                if owner is not None:
                    owner.give(handle)
                os.fsync(handle)
                if check is not None:
                    check(handle)
                if not replacing:
                    left.add(name)
                direct = nameless and not replacing
                if nameless:
                    _link(handle, directory, name if direct else temporary)
            if not direct:
                directory.rename(temporary, name, below=directory)
            directory.flush()
        except BaseException as error:
            if isinstance(error, FileExistsError):
                # Somebody else's.
                left.discard(name)
            for other in left:
                with contextlib.suppress(OSError):
                    directory.remove(other)
            raise


def _link(handle: int, directory: Directory, name: str) -> None:
    """Give an unnamed file a name, as open(2), O_TMPFILE, has it."""
    os.link(f"/proc/self/fd/{handle}", name, dst_dir_fd=directory.handle)


@contextlib.contextmanager
def _new_file(directory: Directory, name: str) -> Iterator[tuple[int, bool]]:
    """Open a new file; yield its descriptor, and whether it has no name."""
    nameless = True
    try:
        handle = os.open(".", _NAMELESS, 0o600, dir_fd=directory.handle)
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
        nameless = False
        handle = os.open(name, _NEW_FILE, 0o600, dir_fd=directory.handle)
    try:
        yield handle, nameless
    finally:
        close(handle)


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
