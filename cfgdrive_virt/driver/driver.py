"""The hooks that a compute service calls, all in one object.

    request -> tree -> image -> store -> location -> <disk>

They have the names of nova's ComputeDriver where that has one.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import platform
import time
from collections.abc import Callable

from oslo_config import cfg

from cfgdrive_virt.conf import register_opts
from cfgdrive_virt.driver.host import Host
from cfgdrive_virt.driver.instance_drive import Drive, Medium, Peek
from cfgdrive_virt.driver.lifecycle import Lifecycle
from cfgdrive_virt.driver.live_migration import LiveMigration
from cfgdrive_virt.driver.planner import Plan, Planner
from cfgdrive_virt.driver.refresh import Refresh

__all__ = ["ConfigDriveDriver", "Drive", "Medium", "Plan"]


class ConfigDriveDriver(Planner, Lifecycle, Refresh, LiveMigration):
    """Plan, build, refresh, migrate and remove config drives.

    What a service asks beforehand is in :class:`Planner`, the hooks of one
    host in :class:`Lifecycle`, those that bring a drive up to date in
    :class:`Refresh`, those of a live migration in :class:`LiveMigration`.
    Safe to share between threads and processes.

    :param conf: nova's configuration, or one of ours; options that aren't
        registered yet get registered
    :param clock: returns the timestamp of a new drive, in seconds since 1970
    :param sleep: waits for so many seconds
    :param urandom: returns so many random bytes
    :param architecture: the host's, for images that name none
    :param peek: reads a drive that this process may not read: given its
        location and a maximum size, returns its bytes, or None if it can't.
        libvirt gives a disk's file to QEMU's user, and doesn't give a
        read-only one back
    :param carries: whether this service calls the hooks of live migration;
        then a read-only drive arrives too, so no drive has to be VFAT
    :param novas_buses: whether this service puts cdroms on the buses that
        nova chooses
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        urandom: Callable[[int], bytes] = os.urandom,
        architecture: str = platform.machine(),
        peek: Peek | None = None,
        carries: bool = False,
        novas_buses: bool = False,
    ) -> None:
        register_opts(conf)
        super().__init__(
            Host(
                conf,
                clock,
                sleep,
                urandom,
                architecture,
                peek,
                carries,
                novas_buses,
            )
        )

    def reading_by(self, peek: Peek) -> ConfigDriveDriver:
        """Return the same driver with another way to read drives."""
        other = copy.copy(self)
        other._host = dataclasses.replace(self._host, peek=peek)
        return other
