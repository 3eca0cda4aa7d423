"""Files by which two hosts coordinate a drive during a live migration.

The shared storage test file, which the destination creates below
``<instances_path>/locks``: if the source sees it, both hosts share storage.

``disk.config.migrating``, beside a drive that the destination has received for
a guest, until the guest arrives.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import NAME, FileLocation, Location
from cfgdrive_virt.store.file import MIGRATING
from cfgdrive_virt.store.file_system import give_to_owner
from cfgdrive_virt.store.os_error import explained


def make_test_file(root: Path, uuid: str, name: str) -> None:
    """Create the shared storage test file.

    :param root: nova's ``instances_path``, with its ``locks``
    :param name: 8 to 64 hexadecimal digits
    :raises StoreError: if it can't be created
    """
    path = _test_file(root, uuid, name)
    with explained(f"can't create {path}"):
        path.touch(exist_ok=False)


def sees_test_file(root: Path, uuid: str, name: str) -> bool:
    """Tell whether this host sees the test file of the other host.

    :raises StoreError: if the name is invalid, or the check fails
    """
    path = _test_file(root, uuid, name)
    with explained(f"can't check for {path}"):
        return path.exists()


def remove_test_file(root: Path, uuid: str, name: str) -> None:
    """Remove the test file, if it exists."""
    path = _test_file(root, uuid, name)
    with explained(f"can't remove {path}"):
        path.unlink(missing_ok=True)


def inode(location: Location) -> int:
    """Return a file's inode, to recognize a later replacement.

    :raises StoreError: if it can't be accessed
    """
    assert isinstance(location, FileLocation)
    with explained(f"can't access {location}"):
        return location.path.lstat().st_ino


@contextlib.contextmanager
def awaiting_guest(root: Path, location: Location) -> Iterator[None]:
    """Record that the drive, written inside the context, awaits its guest."""
    path = _migrating_file(location)
    made = had = False
    with explained(f"can't create {path}"):
        if not path.parent.exists():
            path.parent.mkdir(mode=0o755, exist_ok=True)
            give_to_owner(path.parent, root)
            made = True
        had = path.exists()
        path.touch(mode=0o600)
        give_to_owner(path, root)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if not had:
                path.unlink()
            if made:
                path.parent.rmdir()
        raise


def awaits_guest(location: Location) -> bool:
    """Tell whether a drive awaits a guest that hasn't arrived."""
    path = _migrating_file(location)
    with explained(f"can't access {path}"):
        return path.exists()


def stop_awaiting(location: Location) -> None:
    """Record that the guest has arrived."""
    path = _migrating_file(location)
    with explained(f"can't remove {path}"):
        path.unlink(missing_ok=True)


def _migrating_file(location: Location) -> Path:
    assert isinstance(location, FileLocation)
    return location.path.with_name(f"{NAME}{MIGRATING}")


def _test_file(root: Path, uuid: str, name: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{8,64}", str(name)):
        raise StoreError(
            "invalid name of a shared storage test file from the other host:"
            f" {name!a}"
        )
    return root / "locks" / f"cfgdrive-virt-shared-{uuid}-{name}"
