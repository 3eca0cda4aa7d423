"""Which drives have outlived their instance, and why are the others kept?"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterator

from cfgdrive_virt.driver import stores
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import StoredDrive
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.store.base import Progress, ignore

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Pruned:
    """A drive, and why it is kept; empty for an orphan that can go.

    :param failed: whether removing it, an orphan, failed, or whether it
        can't be accessed
    """

    drive: StoredDrive
    kept: str
    failed: bool = False


def prune(
    settings: Settings,
    living: Collection[str],
    *,
    now: float,
    minimum_age: float,
    remove: bool = False,
    progress: Progress = ignore,
) -> Iterator[Pruned]:
    """Find drives that have outlived their instance.

    In files or in the Ceph pool, as the settings say; what killed writers
    left counts as a drive.

    :param living: UUIDs of all existing instances, on all hosts that share
        the pool or instances_path
    :param now: in seconds since 1970
    :param minimum_age: in seconds, 0 or more; younger drives are kept
    :param remove: also remove the orphans
    :param progress: is called as drives are looked at
    :raises StoreError: if the drives can't be looked at
    """
    for drive in stores.store_of(settings).drives(progress):
        kept = why_kept(drive, living=living, now=now, minimum_age=minimum_age)
        failure = drive.problem
        if remove and not kept:
            failure = _remove(settings, drive)
        yield Pruned(drive, kept or failure, failed=bool(failure))


def why_kept(
    drive: StoredDrive,
    *,
    living: Collection[str],
    now: float,
    minimum_age: float,
) -> str:
    """Return why a drive must not be removed; empty for an orphan.

    ``living`` may be too old to list an instance that is being created: hence
    the age.
    """
    if drive.problem:
        return drive.problem
    if drive.location.uuid in living:
        return "its instance exists"
    if not drive.ours:
        return "not built by cfgdrive_virt"
    if drive.users:
        return f"in use by {', '.join(drive.users)}"
    if now - drive.modified < minimum_age:
        return f"younger than {minimum_age / 3600:g} hours"
    return ""


def _remove(settings: Settings, drive: StoredDrive) -> str:
    """Remove an orphan; return why that failed, empty if it didn't."""
    location = drive.location
    store = stores.store_of(settings)
    try:
        with stores.lock_of(settings, location.uuid):
            # Listing a large pool takes a while.
            if store.look(location) != drive:
                return f"{location} has changed since it was listed"
            store.remove(location)
    except StoreError as error:
        return str(error)
    LOG.info("Config drive %s removed: its instance is gone", location)
    return ""
