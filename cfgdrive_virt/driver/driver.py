"""The hook that a compute service calls; where the steps meet.

    request -> tree -> image -> store -> location -> <disk>

Its methods have the names of nova's ComputeDriver where that has one.
"""

from __future__ import annotations

import copy

from cfgdrive_virt.driver.lifecycle import Lifecycle
from cfgdrive_virt.driver.live_migration import LiveMigration
from cfgdrive_virt.driver.make_ready import Drive, Medium
from cfgdrive_virt.driver.planner import Peek, Plan
from cfgdrive_virt.driver.refresh import Renewal

__all__ = ["ConfigDriveDriver", "Drive", "Medium", "Plan"]


class ConfigDriveDriver(Lifecycle, Renewal, LiveMigration):
    """Build, place, renew, move and remove config drives.

    Safe to share between threads and processes.

    :param conf: nova's configuration, or one of ours; options that aren't
        registered yet are
    :param clock: gives a drive's timestamp, in seconds since 1970
    :param sleep: waits for so many seconds
    :param urandom: gives so many random bytes
    :param architecture: the host's, for images that name none
    :param peek: reads a drive that this process may not, so many bytes of it
        at most; returns None if it can't.  libvirt gives a disk's file to
        QEMU's user, and a read-only one never back
    :param carries: whether this service calls the hooks of live migration;
        a read-only drive arrives, too, then, so that none need be VFAT
    """

    def reading_by(self, peek: Peek) -> ConfigDriveDriver:
        """Return the same driver with another way to read drives."""
        other = copy.copy(self)
        other._peek = peek
        return other
