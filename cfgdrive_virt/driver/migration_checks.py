"""What one host of a live migration accepts from the other one."""

from __future__ import annotations

import os

from cfgdrive_virt import policy
from cfgdrive_virt.driver import stores
from cfgdrive_virt.driver.instance_drive import InstanceDrive, InstanceDrives
from cfgdrive_virt.exception import MigrationRefused
from cfgdrive_virt.libvirt_xml.domain import Domain
from cfgdrive_virt.model.drive import Location, RbdLocation
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.status import FRESH
from cfgdrive_virt.model.value import show
from cfgdrive_virt.store import file_system, migration_files
from cfgdrive_virt.store.os_error import explained


def check_domain(uuid: str, domain: Domain) -> None:
    """Refuse the domain of another instance."""
    if not domain.is_of(uuid):
        raise MigrationRefused(
            f"the domain's UUID is {show(domain.uuid)}, but the instance's is"
            f" {uuid}"
        )


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
            f" {show(check.locations[0])} at the destination: [DEFAULT]"
            " instances_path and [libvirt] images_type and"
            " images_rbd_pool have to be the same on both"
        )


def check_received(
    here: InstanceDrive, drive: MigratingDrive, descriptor: int
) -> None:
    """Refuse a file that isn't the source's drive, before it has its name.

    :param descriptor: of the open file
    :raises MigrationRefused: naming what differs
    """
    with (
        explained(f"can't read the received {here.location}"),
        open(descriptor, "rb", buffering=0, closefd=False) as file,
    ):
        size = os.fstat(descriptor).st_size
        file.seek(0)
        # libvirt copies a writable one once more: the guest may write
        # meanwhile.
        data = file.readall() if drive.readonly else None
    if size != drive.size:
        raise MigrationRefused(
            f"the received {here.location} has {size:,} bytes, not the"
            f" source's {drive.size:,}; try again"
        )
    if data is None:
        return
    if not drive.is_same(data):
        raise MigrationRefused(
            f"the received {here.location} doesn't have the source's SHA-256"
            " sum; try again"
        )
    found = here.judge(data)
    if found.state != FRESH:
        raise MigrationRefused(f"the source's {here.location} is {found}")


def drive_here(
    drives: InstanceDrives, given: object
) -> tuple[InstanceDrive, MigratingDrive]:
    """Return this host's drive, and what the other host sent about it.

    Every hook that is given a drive gets its place on this host from here
    alone, so none acts on the drive of another instance.

    :param given: what the other host sent
    :raises MigrationRefused: if it isn't this instance's, isn't valid, or
        can't be here
    """
    drive = MigratingDrive.of(drives.uuid, given)
    place = drive.location
    here = {str(known.location): known for known in drives.attachable}
    found = here.get(place)
    if found is None:
        raise MigrationRefused(
            f"the drive is {show(place)} on the other host, and would"
            f" be {next(iter(here))} here"
        )
    limit = stores.size_limit(drives.settings)
    if drive.size > limit:
        raise MigrationRefused(
            f"{place} would have {drive.size:,} bytes, and [cfgdrive_virt]"
            f" max_drive_size allows {limit:,} here"
        )
    if isinstance(found.location, RbdLocation) and not drive.shared:
        raise MigrationRefused(f"{place} is shared by all hosts")
    return found, drive


def is_shared(
    settings: Settings, check: DestinationCheck, location: Location
) -> bool:
    """Tell whether both hosts see one drive; refuse what is in doubt."""
    if isinstance(location, RbdLocation):
        here = stores.rbd_store_of(settings).cluster()
        if check.cluster != here:
            raise MigrationRefused(
                f"this host's Ceph cluster is {here}, the destination's"
                f" {show(check.cluster)}: see [libvirt] images_rbd_ceph_conf"
            )
        return True
    root = settings.instances_path
    seen = migration_files.sees_test_file(root, check.uuid, check.test_file)
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
