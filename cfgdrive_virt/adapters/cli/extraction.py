"""A drive's tree becomes files in a new directory, all of them or none."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.store.directory import Directory
from cfgdrive_virt.store.os_error import explained

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def temporary_name(name: str) -> str:
    """Return the name that a file or directory has until it is whole.

    It is the same for each process, so that the next one removes what a
    killed one left.
    """
    known = hashlib.sha256(os.fsencode(name))
    return f".cfgdrive_virt.{known.hexdigest()[:16]}"


def extract(tree: MetadataTree, directory: Path) -> None:
    """Write a tree to a new directory that only its owner can read.

    :raises StoreError: if the directory already exists, or can't be written;
        nothing is left behind
    """
    target = directory.absolute()
    temporary = temporary_name(target.name)
    with (
        explained(f"can't extract to {directory}"),
        Directory.of(target.parent) as above,
    ):
        if above.status(target.name) is not None:
            raise StoreError(
                f"{directory} already exists; choose a new directory"
            )
        with _made(above, temporary) as made:
            for path, content in tree.files.items():
                _write(made, path, content)
            above.rename(temporary, target.name, below=above)


@contextlib.contextmanager
def _made(above: Directory, name: str) -> Iterator[Directory]:
    """Make a directory, in place of what a killed process left.

    A lock on it tells a process that works on it from one that was killed.
    """
    with contextlib.suppress(FileNotFoundError), above.below(name) as left:
        _lock(left)
        _refuse_others(above, name)
        _remove(above, name, left)
    os.mkdir(name, 0o700, dir_fd=above.handle)
    with above.below(name) as made:
        try:
            _lock(made)
            yield made
        except BaseException:
            with contextlib.suppress(OSError):
                _remove(above, name, made)
            raise


def _lock(directory: Directory) -> None:
    """Lock a directory of this user's.

    :raises StoreError: if another process has it, or another user owns it
    """
    if os.fstat(directory.handle).st_uid != os.geteuid():
        raise StoreError(f"{directory.path} is another user's; remove it")
    try:
        fcntl.flock(directory.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(
            f"another process writes {directory.path}; wait for it"
        ) from None


def _refuse_others(above: Directory, name: str) -> None:
    """Refuse to remove a directory that another user may have moved there.

    :raises StoreError: if others may rename in the directory above
    """
    status = os.fstat(above.handle)
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    sticky = status.st_mode & stat.S_ISVTX
    if status.st_uid != os.geteuid() or (writable and not sticky):
        raise StoreError(
            f"{above.path / name} is in the way, and other users may have put"
            " it there; check what it is, and remove it"
        )


def _remove(above: Directory, name: str, directory: Directory) -> None:
    """Remove an open directory with all that is in it."""
    for entry in os.listdir(directory.handle):
        try:
            directory.remove(entry)
        except IsADirectoryError:
            with directory.below(entry) as below:
                _remove(directory, entry, below)
    os.rmdir(name, dir_fd=above.handle)


def _write(directory: Directory, path: str, content: bytes) -> None:
    name, _, rest = path.partition("/")
    if not rest:
        with open(directory.open(name, _NEW_FILE), "wb") as file:
            file.write(content)
        return
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=directory.handle)
    with directory.below(name) as below:
        _write(below, rest, content)
