"""The files of all instances: which are there, and what is known of each.

Each costs the same few system calls, however many there are.  Only the names
of the instances' directories are in memory together.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import (
    HEAD_SIZE,
    NAME,
    RESCUE_NAME,
    RESIZE_SUFFIX,
    FileLocation,
    StoredDrive,
    is_built_here,
)
from cfgdrive_virt.store import lock
from cfgdrive_virt.store.base import Progress
from cfgdrive_virt.store.directory import Directory, close
from cfgdrive_virt.store.os_error import MissingError, explained

#: Suffix of the name that a file has until it is whole.
TEMPORARY = ".new"
_FILES = (NAME, NAME + TEMPORARY, RESCUE_NAME, RESCUE_NAME + TEMPORARY)
_INSTANCE = re.compile(
    rf"[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?:{RESIZE_SUFFIX})?"
)


def drives(path: Path, progress: Progress) -> Iterator[StoredDrive]:
    """Yield all drives, and the leftovers of killed writers.

    Skip what isn't a regular file in a directory that isn't a link.  One that
    can't be accessed has a ``problem``.

    :param path: nova's ``instances_path``
    :param progress: is called after each instance's directory
    :raises StoreError: if none can be accessed
    """
    with explained(f"can't list {path}"):
        root = Directory.of(path.absolute())
    with root:
        with explained(f"can't list {path}"):
            names = sorted(
                filter(_INSTANCE.fullmatch, os.listdir(root.handle))
            )
        for number, name in enumerate(names, 1):
            yield from _below(root, name)
            progress(number, len(names))


def stored(home: Directory, location: FileLocation) -> StoredDrive:
    """Return what is known of a file.

    :param home: the instance's directory, in which it is
    :raises OSError: if it is missing, or can't be read
    :raises StoreError: if it is not a regular file
    """
    handle = home.open(location.path.name, os.O_RDONLY)
    try:
        status = os.fstat(handle)
        return StoredDrive(
            location,
            size=status.st_size,
            modified=status.st_mtime,
            ours=is_built_here(os.pread(handle, HEAD_SIZE, 0)),
            users=_lock_holders(handle),
        )
    finally:
        close(handle)


def _below(root: Directory, name: str) -> list[StoredDrive]:
    """Return the drives in one instance's directory, and leftovers."""
    uuid, directory = name[:36], root.path / name
    found: list[StoredDrive | None] = []
    try:
        with (
            explained(f"can't access {directory}"),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            root.below(name) as home,
        ):
            found = [_found(home, uuid, file) for file in _FILES]
    except StoreError as error:
        return [_not_accessible(uuid, directory / NAME, error)]
    return [drive for drive in found if drive is not None]


def _found(home: Directory, uuid: str, name: str) -> StoredDrive | None:
    """Return what is known of a file; None if it isn't a regular one."""
    try:
        with explained(f"can't access {home.path}/{name}"):
            status = home.status(name)
            if status is None or not stat.S_ISREG(status.st_mode):
                return None
            location = FileLocation(uuid, home.path / name)
            try:
                return stored(home, location)
            except PermissionError:
                # Its builder is unknown, so it is not ours to remove.
                return StoredDrive(
                    location,
                    status.st_size,
                    status.st_mtime,
                    ours=False,
                    users=(),
                )
    except MissingError:
        return None
    except StoreError as error:
        return _not_accessible(uuid, home.path / name, error)


def _not_accessible(uuid: str, path: Path, error: StoreError) -> StoredDrive:
    location = FileLocation(uuid, path)
    return StoredDrive(location, 0, 0, False, (), problem=str(error))


def _lock_holders(handle: int) -> tuple[str, ...]:
    """Return the processes that lock a file, as QEMU does with its disks.

    Source: fcntl(2); the holders of open file description locks are unknown.
    """
    asked = lock.record(fcntl.F_WRLCK)
    answer = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked)
    kind_of_lock, pid = lock.kind_and_holder(answer)
    if kind_of_lock == fcntl.F_UNLCK:
        return ()
    return (f"process {pid}" if pid > 0 else "a process that locked it",)
