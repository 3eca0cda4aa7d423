"""Which releases of nova are known, and what differs between them.

Imports as little of nova as it can: of a release that isn't known, nobody
knows what there is.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Container
from typing import Any

from nova import version
from nova.conf import CONF

from cfgdrive_virt.model.drive import ISO9660, NAME

LOG = logging.getLogger(__name__)

#: By their first number: 29 is 2024.1, 34 is 2026.2.
OLDEST, NEWEST = 29, 34

_FOUND = str(version.version_string())
_NUMBERS = tuple(map(int, re.findall(r"[0-9]+", _FOUND)[:2]))


def copies_isos() -> bool:
    """Tell whether nova itself copies an ISO before a live migration.

    By ssh, where the destination's option says iso9660; since 30.1 a guest
    reads zeros.
    """
    return _NUMBERS <= (30, 0) and CONF.config_drive_format == ISO9660


def check() -> None:
    """Refuse to start beside a nova that nobody has tried.

    :raises SystemExit: with a line in the log
    """
    if not _NUMBERS or not OLDEST <= _NUMBERS[0] <= NEWEST:
        LOG.critical(
            "cfgdrive_virt knows nova %d to %d, and this is %s: install a"
            " cfgdrive_virt that knows it, or set [DEFAULT]"
            " compute_driver=libvirt.LibvirtDriver",
            OLDEST,
            NEWEST,
            _FOUND,
        )
        raise SystemExit(1)


def is_green() -> bool:
    """Tell whether this nova-compute runs on eventlet: by default, up to 33.

    Not by importing it: 34 refuses that where it runs on threads.
    """
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


class InTurns:
    """An object whose methods run in a native thread, one at a time.

    A disk or a Ceph that takes its time would hold up all green threads,
    nova's heartbeat among them.  In turns, since eventlet's locks don't work
    between native threads; so no method may wait for one of nova's own.
    """

    def __init__(self, of: Any) -> None:
        from eventlet import semaphore, tpool  # noqa: PLC0415

        self._of = of
        self._turn = semaphore.Semaphore(1)
        self._execute = tpool.execute

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        return (
            functools.partial(self._call, found) if callable(found) else found
        )

    def _call(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        with self._turn:
            return self._execute(method, *args, **kwargs)


class RemoteFiles:
    """nova's files on other hosts, less the drives that it needn't copy.

    :param of: nova's RemoteFilesystem
    :param fetched: UUIDs of instances whose drives come another way
    """

    def __init__(self, of: Any, fetched: Container[str]) -> None:
        self._of = of
        self._fetched = fetched

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)

    def copy_file(self, src: str, *args: Any, **kwargs: Any) -> None:
        """Copy a file, such as ``host:/var/lib/nova/instances/uuid/disk``."""
        *_, uuid, name = src.split("/")
        if name != NAME or uuid not in self._fetched:
            self._of.copy_file(src, *args, **kwargs)
