"""A drive that is set aside for a resize's revert, in ``<uuid>_resize``.

The caller holds the instance's ``drive`` lock.
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
from cfgdrive_virt.store.base import Store
from cfgdrive_virt.store.file import FileStore


def set_aside(op: Operation) -> bool:
    """Move the drive away for a revert; tell whether there is one.

    :raises StoreError: if there is one from an earlier resize as well
    """
    aside, current = op.drives.for_revert, op.drives.current
    if aside is None:
        op.outcome = "left alone: both hosts have it"
        return current.exists()
    if aside.exists() and current.exists() and aside.read() != current.read():
        raise StoreError(
            f"{current.location} and {aside.location} both exist: confirm or"
            " revert the last resize first"
        )
    # What can't be read may be moved all the same.
    with contextlib.suppress(DriveUnreadable):
        current.reclaim()
    _files(aside.store).take_from(_files(current.store), op.uuid)
    there = aside.exists()
    op.outcome = (
        f"set aside as {aside.location}" if there else "nothing to set aside"
    )
    return there


def copy_back(op: Operation, *, must_be_whole: bool) -> None:
    """Copy the drive that was set aside to its place, if that is empty.

    :raises NoWholeDrive: if it is damaged, and has to be whole
    """
    aside, current = op.drives.for_revert, op.drives.current
    if aside is None or current.exists() or not aside.exists():
        return
    data = aside.read() if must_be_whole else aside.read_if_readable()
    if data is not None and aside.judge(data).state == FRESH:
        current.write(data)
    elif must_be_whole:
        raise NoWholeDrive(f"{aside.location} is damaged")


def move_back(op: Operation, *, must_be_whole: bool) -> None:
    """Move the drive that was set aside back, but no damaged one over another.

    :raises NoWholeDrive: if it is damaged, and has to be whole
    """
    aside, current = op.drives.for_revert, op.drives.current
    if aside is None:
        return
    data = aside.read_if_readable()
    # One that can't be read may be whole, and can be moved all the same.
    if data is not None and aside.judge(data).state != FRESH:
        if must_be_whole:
            raise NoWholeDrive(f"{aside.location} is damaged; it stays there")
        if current.exists():
            aside.delete()
            return
    _files(current.store).take_from(_files(aside.store), op.uuid)


def _files(store: Store) -> FileStore:
    # Only where drives are in files is one set aside.
    assert isinstance(store, FileStore)
    return store
