"""Files by which two hosts tell whose drive is whose, while a guest moves.

A token, made at the destination below ``<instances_path>/locks``: a source
that sees it has the same storage.  A mark beside a drive that has been placed
for a guest, ``disk.config.migrating``, for as long as the guest hasn't come.
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


def make_token(root: Path, uuid: str, token: str) -> None:
    """Leave a token for others to see.

    :param root: nova's ``instances_path``, with its ``locks``
    :raises StoreError: if it can't be made
    """
    path = _token_path(root, uuid, token)
    with explained(f"can't make {path}"):
        path.touch(exist_ok=False)


def sees_token(root: Path, uuid: str, token: str) -> bool:
    """Tell whether a token that another host left is here.

    :raises StoreError: if it can't be told
    """
    path = _token_path(root, uuid, token)
    with explained(f"can't look for {path}"):
        return path.exists()


def remove_token(root: Path, uuid: str, token: str) -> None:
    """Remove a token; it may be gone."""
    path = _token_path(root, uuid, token)
    with explained(f"can't remove {path}"):
        path.unlink(missing_ok=True)


def inode(location: Location) -> int:
    """Return what tells a file from another one in its place.

    :raises StoreError: if it can't be looked at
    """
    assert isinstance(location, FileLocation)
    with explained(f"can't look at {location}"):
        return location.path.lstat().st_ino


@contextlib.contextmanager
def marked(root: Path, location: Location) -> Iterator[None]:
    """Place a drive meanwhile for a guest that hasn't come yet."""
    mark = _mark_of(location)
    made = had = False
    with explained(f"can't make {mark}"):
        if not mark.parent.exists():
            mark.parent.mkdir(mode=0o755, exist_ok=True)
            give_to_owner(mark.parent, root)
            made = True
        had = mark.exists()
        mark.touch(mode=0o600)
        give_to_owner(mark, root)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if not had:
                mark.unlink()
            if made:
                mark.parent.rmdir()
        raise


def is_marked(location: Location) -> bool:
    """Tell whether a drive was placed for a guest that hasn't come yet."""
    mark = _mark_of(location)
    with explained(f"can't look at {mark}"):
        return mark.exists()


def unmark(location: Location) -> None:
    """Say that the guest has come, or won't."""
    mark = _mark_of(location)
    with explained(f"can't remove {mark}"):
        mark.unlink(missing_ok=True)


def _mark_of(location: Location) -> Path:
    assert isinstance(location, FileLocation)
    return location.path.with_name(f"{NAME}{MIGRATING}")


def _token_path(root: Path, uuid: str, token: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{8,64}", str(token)):
        raise StoreError(f"what another host sent is no token: {token!a}")
    return root / "locks" / f"cfgdrive-virt-token-{uuid}-{token}"
