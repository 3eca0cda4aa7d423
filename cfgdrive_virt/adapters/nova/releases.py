"""Which releases of nova are known, and what differs between them.

Imports as little of nova as it can: of a release that isn't known, nobody
knows what there is.
"""

from __future__ import annotations

import logging
import re
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
            "cfgdrive_virt supports nova %d to %d, but this is nova %s:"
            " install a cfgdrive_virt that supports it, or set [DEFAULT]"
            " compute_driver=libvirt.LibvirtDriver",
            OLDEST,
            NEWEST,
            _FOUND,
        )
        raise SystemExit(1)


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
