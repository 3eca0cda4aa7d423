"""One line of log for each operation on an instance's drive.

In words for people, and in attributes of the record for programs:
``instance_uuid`` (which oslo.log knows), ``operation``, ``outcome``,
``reason`` and ``duration`` in seconds.  No secret is in any of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator

from cfgdrive_virt.exception import ConfigDriveError

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True)
class Entry:
    """What there is to say of an operation when it is over."""

    outcome: str = "done"
    reason: str = ""


@contextlib.contextmanager
def operation(name: str, uuid: str) -> Iterator[Entry]:
    """Log how an operation ended, and how long it took.

    :param name: the hook's
    :param uuid: the instance's
    """
    entry = Entry()
    started = time.monotonic()
    try:
        yield entry
    except ConfigDriveError as error:
        # Whoever catches it decides how bad that is.
        entry.outcome, entry.reason = "failed", str(error)
        _write(name, uuid, entry, started)
        raise
    except BaseException as error:
        # What others raise may hold anything.
        entry.outcome = f"ended by {type(error).__name__}"
        entry.reason = ""
        _write(name, uuid, entry, started)
        raise
    _write(name, uuid, entry, started)


def _write(name: str, uuid: str, entry: Entry, started: float) -> None:
    duration = time.monotonic() - started
    LOG.info(
        "Config drive of instance %s: %s: %s in %.3f s%s",
        uuid,
        name,
        entry.outcome,
        duration,
        f": {entry.reason}" if entry.reason else "",
        extra={
            "instance_uuid": uuid,
            "operation": name,
            "outcome": entry.outcome,
            "reason": entry.reason,
            "duration": duration,
        },
    )
