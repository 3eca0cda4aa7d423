"""Files by which two hosts coordinate a drive during a live migration.

The shared storage test file, which the destination creates below
``<instances_path>/locks``: if the source sees it, both hosts share storage.

``disk.config.migrating``, beside a drive that the destination has received for
a guest, until the guest arrives.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import NAME, FileLocation, Location
from cfgdrive_virt.store import lock
from cfgdrive_virt.store.directory import Directory
from cfgdrive_virt.store.file import MIGRATING, home_of, made_home
from cfgdrive_virt.store.os_error import MissingError, explained

_MARK = f"{NAME}{MIGRATING}"


def make_test_file(root: Path, uuid: str, name: str) -> None:
    """Create the shared storage test file.

    :param root: nova's ``instances_path``
    :param name: 8 to 64 hexadecimal digits
    :raises StoreError: if it can't be created
    """
    path = _test_file(root, uuid, name)
    with (
        explained(f"can't create {path}"),
        Directory.of(root) as top,
        top.made(lock.DIRECTORY, 0o700) as locks,
    ):
        if not locks.touch(path.name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def sees_test_file(root: Path, uuid: str, name: str) -> bool:
    """Tell whether this host sees the test file of the other host.

    :raises StoreError: if the name is invalid, or the check fails
    """
    path = _test_file(root, uuid, name)
    with explained(f"can't check for {path}"), home_of(path) as locks:
        return locks is not None and locks.status(path.name) is not None


def remove_test_file(root: Path, uuid: str, name: str) -> None:
    """Remove the test file, if it exists."""
    path = _test_file(root, uuid, name)
    with explained(f"can't remove {path}"), home_of(path) as locks:
        if locks is not None:
            locks.remove(path.name)


def inode(location: Location) -> int:
    """Return a file's inode, to recognize a later replacement.

    :raises StoreError: if it can't be accessed
    """
    path = _path(location)
    with explained(f"can't access {path}"), home_of(path) as home:
        status = None if home is None else home.status(path.name)
    if status is None:
        raise MissingError(f"{path} is missing")
    return status.st_ino


@contextlib.contextmanager
def awaiting_guest(root: Path, location: Location) -> Iterator[None]:
    """Record that the drive, written inside the context, awaits its guest."""
    path = _path(location)
    with made_home(root, path.parent.name) as (_, home):
        with explained(f"can't create {path.with_name(_MARK)}"):
            new = home.touch(_MARK)
        try:
            yield
        except BaseException:
            if new:
                with contextlib.suppress(OSError):
                    home.remove(_MARK)
            raise


def awaits_guest(location: Location) -> bool:
    """Tell whether a drive awaits a guest that hasn't arrived."""
    path = _path(location).with_name(_MARK)
    with explained(f"can't access {path}"), home_of(path) as home:
        return home is not None and home.status(_MARK) is not None


def stop_awaiting(location: Location) -> None:
    """Record that the guest has arrived."""
    path = _path(location).with_name(_MARK)
    with explained(f"can't remove {path}"), home_of(path) as home:
        if home is not None:
            home.remove(_MARK)


def _path(location: Location) -> Path:
    assert isinstance(location, FileLocation)
    return location.path


def _test_file(root: Path, uuid: str, name: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{8,64}", str(name)):
        raise StoreError(
            "invalid name of a shared storage test file from the other host:"
            f" {name!a}"
        )
    return root / lock.DIRECTORY / f"cfgdrive-virt-shared-{uuid}-{name}"
