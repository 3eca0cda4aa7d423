"""What one host of a live migration takes from the other one's word."""

from __future__ import annotations

from cfgdrive_virt.driver import stores
from cfgdrive_virt.driver.planner import canonical
from cfgdrive_virt.driver.status import examine
from cfgdrive_virt.exception import MigrationRefused
from cfgdrive_virt.model.drive import Location, RbdLocation
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from cfgdrive_virt.model.status import FRESH
from cfgdrive_virt.settings import Settings
from cfgdrive_virt.store import migration_files


def check_place(
    settings: Settings, check: DestinationCheck, location: Location
) -> None:
    """Refuse a destination that would have a drive somewhere else."""
    ours = (
        str(store.location(location.uuid))
        for store in stores.stores_of(settings)
    )
    # One by one: what a host may once have had in a file is no place where
    # the other one keeps its drives.
    both = zip(ours, check.locations, strict=False)
    if (str(location), str(location)) not in both:
        raise MigrationRefused(
            f"the drive is {location} here, and would be"
            f" {check.locations[0]!a} at the destination: [DEFAULT]"
            " instances_path and [libvirt] images_type and"
            " images_rbd_pool have to be the same on both"
        )


def check_fetched(
    settings: Settings,
    drive: MigratingDrive,
    location: Location,
    data: object,
) -> None:
    """Refuse bytes that aren't the source's drive."""
    if not isinstance(data, bytes) or len(data) != drive.size:
        raise MigrationRefused(
            f"of {location} other than the source's {drive.size:,} bytes"
            " came; try again"
        )
    if not drive.readonly:
        # libvirt copies it once more: the guest may write meanwhile.
        return
    if not drive.is_same(data):
        raise MigrationRefused(
            f"of {location} other bytes came than the source has, by"
            " their SHA-256 sums; try again"
        )
    found = examine(location, data, settings)
    if found.state != FRESH:
        raise MigrationRefused(
            f"what the source has for {location} is {found}"
        )


def store_for(settings: Settings, drive: MigratingDrive) -> stores.Store:
    """Return the store of a drive; refuse what can't be of one here."""
    uuid = canonical(drive.uuid)
    here = {
        str(store.location(uuid)): store
        for store in stores.stores_of(settings)
    }
    place = drive.location
    store = here.get(place)
    if store is None:
        raise MigrationRefused(
            f"the drive is {place!a} on the other host, and would"
            f" be {next(iter(here))} here"
        )
    most = stores.most_bytes(settings)
    if not isinstance(drive.size, int) or drive.size > most:
        raise MigrationRefused(
            f"{place} would have {drive.size!a} bytes, and [cfgdrive_virt]"
            f" max_drive_size allows {most:,} here"
        )
    if isinstance(store.location(uuid), RbdLocation) and not drive.shared:
        raise MigrationRefused(f"{place} is shared by all hosts")
    return store


def is_shared(
    settings: Settings, check: DestinationCheck, location: Location
) -> bool:
    """Tell whether both hosts see one drive; refuse what can't be told."""
    if isinstance(location, RbdLocation):
        here = stores.rbd_store_of(settings).cluster()
        if check.cluster != here:
            raise MigrationRefused(
                f"this host's Ceph cluster is {here}, the destination's"
                f" {check.cluster!a}: see [libvirt] images_rbd_ceph_conf"
            )
        return True
    root = settings.instances_path
    seen = migration_files.sees_test_file(
        root, canonical(check.uuid), check.test_file
    )
    told = stores.sharing_of_files(settings)
    if told and not seen:
        # To take what is shared for local would remove it, in the end.
        raise MigrationRefused(
            f"the destination's {settings.instances_path} isn't this"
            f" host's, and it should be: {told.reason}.  See that it is"
            " mounted on both, or set [cfgdrive_virt]"
            " instances_path_shared=no"
        )
    return seen
