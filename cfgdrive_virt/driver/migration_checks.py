"""What one host of a live migration accepts from the other one."""

from __future__ import annotations

from cfgdrive_virt import policy
from cfgdrive_virt.driver import stores
from cfgdrive_virt.driver.instance_drive import InstanceDrive, InstanceDrives
from cfgdrive_virt.exception import MigrationRefused
from cfgdrive_virt.model.drive import Location, RbdLocation
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.status import FRESH
from cfgdrive_virt.model.value import checked_uuid
from cfgdrive_virt.store import file_system, migration_files


def check_place(
    drives: InstanceDrives, check: DestinationCheck, location: Location
) -> None:
    """Refuse a destination that would have the drive somewhere else."""
    ours = (str(drive.location) for drive in drives.attachable)
    # Current place with current place, older with older: the destination
    # would never put a drive into an older one.
    both = zip(ours, check.locations, strict=False)
    if (str(location), str(location)) not in both:
        raise MigrationRefused(
            f"the drive is {location} here, and would be"
            f" {check.locations[0]!a} at the destination: [DEFAULT]"
            " instances_path and [libvirt] images_type and"
            " images_rbd_pool have to be the same on both"
        )


def check_fetched(
    here: InstanceDrive, drive: MigratingDrive, data: object
) -> None:
    """Refuse bytes that aren't the source's drive."""
    location = here.location
    if not isinstance(data, bytes) or len(data) != drive.size:
        raise MigrationRefused(
            f"the fetched {location} doesn't have the source's"
            f" {drive.size:,} bytes; try again"
        )
    if not drive.readonly:
        # libvirt copies it once more: the guest may write meanwhile.
        return
    if not drive.is_same(data):
        raise MigrationRefused(
            f"the fetched {location} doesn't have the source's SHA-256 sum;"
            " try again"
        )
    found = here.judge(data)
    if found.state != FRESH:
        raise MigrationRefused(f"the source's {location} is {found}")


def drive_here(drives: InstanceDrives, drive: MigratingDrive) -> InstanceDrive:
    """Return this host's drive; refuse what can't be one here."""
    place = drive.location
    here = {str(known.location): known for known in drives.attachable}
    found = here.get(place)
    if found is None:
        raise MigrationRefused(
            f"the drive is {place!a} on the other host, and would"
            f" be {next(iter(here))} here"
        )
    limit = stores.size_limit(drives.settings)
    if not isinstance(drive.size, int) or drive.size > limit:
        raise MigrationRefused(
            f"{place} would have {drive.size!a} bytes, and [cfgdrive_virt]"
            f" max_drive_size allows {limit:,} here"
        )
    if isinstance(found.location, RbdLocation) and not drive.shared:
        raise MigrationRefused(f"{place} is shared by all hosts")
    return found


def is_shared(
    settings: Settings, check: DestinationCheck, location: Location
) -> bool:
    """Tell whether both hosts see one drive; refuse what is in doubt."""
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
        root, checked_uuid(check.uuid), check.test_file
    )
    expected = policy.sharing_of_files(settings, file_system.type_of(root))
    if expected and not seen:
        # If we took a shared drive for a local one, we would remove it once
        # the guest has moved.
        raise MigrationRefused(
            f"the destination should share this host's {root}, but doesn't:"
            f" {expected.reason}.  Check that it is mounted on both, or set"
            " [cfgdrive_virt] instances_path_shared=no"
        )
    return seen
