"""The drive that is kept for a resize's revert, in ``<uuid>_resize``.

All of these run under the instance's ``drive`` lock.
"""

from __future__ import annotations

import contextlib

from cfgdrive_virt.driver.operation_log import Operation
from cfgdrive_virt.exception import (
    DriveUnreadable,
    NoWholeDrive,
    StoreError,
)
from cfgdrive_virt.model.status import FRESH
from cfgdrive_virt.store.file import FileStore


def keep(operation: Operation) -> bool:
    """Move the drive away for a revert; tell whether there is one.

    :raises StoreError: if there is one from an earlier resize as well
    """
    kept, current = operation.drives.kept, operation.drives.current
    if kept is None:
        operation.outcome = "left alone: both hosts have it"
        return current.exists()
    if kept.exists() and current.exists() and kept.read() != current.read():
        raise StoreError(
            f"{current.location} and {kept.location} both exist: confirm or"
            " revert the last resize first"
        )
    # What can't be read may be moved all the same.
    with contextlib.suppress(DriveUnreadable):
        current.reclaim()
    _files(kept.store).take_from(_files(current.store), operation.uuid)
    there = kept.exists()
    operation.outcome = (
        f"kept in {kept.location}" if there else "there was none"
    )
    return there


def carry(operation: Operation, must_be_whole: bool) -> None:
    """Copy the kept drive to its place, if there is none."""
    kept, current = operation.drives.kept, operation.drives.current
    if kept is None or current.exists() or not kept.exists():
        return
    data = kept.read() if must_be_whole else kept.read_if_readable()
    if data is not None and kept.judge(data).state == FRESH:
        current.write(data)
    elif must_be_whole:
        raise NoWholeDrive(f"{kept.location} is damaged")


def restore(operation: Operation, must_be_whole: bool) -> None:
    """Move the kept drive back, but no damaged one over another."""
    kept, current = operation.drives.kept, operation.drives.current
    if kept is None:
        return
    data = kept.read_if_readable()
    # One that can't be read may be whole, and to move it takes no look.
    if data is not None and kept.judge(data).state != FRESH:
        if must_be_whole:
            raise NoWholeDrive(f"{kept.location} is damaged; it stays there")
        if current.exists():
            kept.store.delete(operation.uuid)
            return
    _files(current.store).take_from(_files(kept.store), operation.uuid)


def _files(store: object) -> FileStore:
    # Where a drive can be kept, drives are in files.
    assert isinstance(store, FileStore)
    return store
