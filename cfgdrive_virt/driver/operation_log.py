"""What a hook opens with: settings read once, its lock, and a line of log.

The line is for people, and the record's attributes are for programs:
``instance_uuid`` (which oslo.log knows), ``operation``, ``outcome``,
``reason`` and ``duration`` in seconds.  No secret is in any of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator

from cfgdrive_virt.driver import stores
from cfgdrive_virt.driver.host import Host
from cfgdrive_virt.driver.instance_drive import (
    Drive,
    InstanceDrive,
    InstanceDrives,
)
from cfgdrive_virt.exception import ConfigDriveError
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.value import checked_uuid

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True)
class Operation:
    """A hook at work on one instance.

    :param settings: as they were when it began
    :param outcome: what it did, for the log
    :param reason: why, for the log
    """

    host: Host
    uuid: str
    settings: Settings
    drives: InstanceDrives
    outcome: str = "done"
    reason: str = ""

    def drive_lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the instance's ``drive`` lock.

        :raises StoreError: on entry, if the lock file can't be used, or the
            lock isn't free in time
        """
        return stores.lock_of(self.settings, self.uuid)

    def left_alone(self, drive: InstanceDrive, unread: bool = False) -> Drive:
        """Finish without a change of the drive.

        :param unread: whether that is because it can't be read
        """
        what = ", unread" if unread else ""
        self.outcome = f"left alone {drive.location}{what}"
        return Drive(drive.location, built=False)


@contextlib.contextmanager
def operation(host: Host, name: str, uuid: str) -> Iterator[Operation]:
    """Begin a hook, and log how it ends and how long it takes.

    :param name: the hook's
    :param uuid: the instance's
    :raises InvalidRequest: if that isn't a UUID
    :raises InvalidConfiguration: if an option has an invalid value
    """
    uuid = checked_uuid(uuid)
    started = time.monotonic()
    outcome, reason = "", ""
    try:
        settings = host.settings
        begun = Operation(host, uuid, settings, host.drives_of(uuid, settings))
        yield begun
        outcome, reason = begun.outcome, begun.reason
    except ConfigDriveError as error:
        # The caller decides how bad that is.
        outcome, reason = "failed", str(error)
        raise
    except BaseException as error:
        # The text of a foreign exception may hold anything.
        outcome = f"ended by {type(error).__name__}"
        raise
    finally:
        duration = time.monotonic() - started
        LOG.info(
            "Config drive of instance %s: %s: %s in %.3f s%s",
            uuid,
            name,
            outcome,
            duration,
            f": {reason}" if reason else "",
            extra={
                "instance_uuid": uuid,
                "operation": name,
                "outcome": outcome,
                "reason": reason,
                "duration": duration,
            },
        )
