"""The hook that a compute service calls; where the steps meet.

    request -> tree -> image -> store -> location -> <disk>

Its methods have the names of nova's ComputeDriver where that has one.
"""

from __future__ import annotations

from cfgdrive_virt.lifecycle import Lifecycle
from cfgdrive_virt.live_migration import LiveMigration
from cfgdrive_virt.planner import Plan
from cfgdrive_virt.upkeep import Drive, Medium

__all__ = ["ConfigDriveDriver", "Drive", "Medium", "Plan"]


class ConfigDriveDriver(Lifecycle, LiveMigration):
    """Build, place, renew, move and remove config drives.

    Safe to share between threads and processes.

    :param conf: nova's configuration, or one of ours; options that aren't
        registered yet are
    :param clock: gives a drive's timestamp, in seconds since 1970
    :param sleep: waits for so many seconds
    :param urandom: gives so many random bytes
    :param architecture: the host's, for images that name none
    """
