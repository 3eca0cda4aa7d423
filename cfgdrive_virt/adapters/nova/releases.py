"""The supported releases of nova, and the differences between them.

This module imports as little of nova as possible, as an unsupported release
may lack any other module.
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

#: Major versions: 29 is 2024.1, 34 is 2026.2.
OLDEST, NEWEST = 29, 34

_FOUND = str(version.version_string())
_NUMBERS = tuple(map(int, re.findall(r"[0-9]+", _FOUND)[:2]))


def copies_isos() -> bool:
    """Tell whether nova itself copies an ISO drive before a live migration.

    It does so by ssh, if the destination has config_drive_format = iso9660.
    Since 30.1 it does not, and the guest reads zeros.
    """
    return _NUMBERS <= (30, 0) and CONF.config_drive_format == ISO9660


def check() -> None:
    """Refuse to start with an unsupported release of nova.

    :raises SystemExit: after logging the reason
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
    """nova's RemoteFilesystem, but it does not copy drives that we fetch.

    :param of: nova's RemoteFilesystem
    :param fetched: UUIDs of the instances whose drives our hooks fetch
    """

    def __init__(self, of: Any, fetched: Container[str]) -> None:
        self._of = of
        self._fetched = fetched

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)

    def copy_file(self, src: str, *args: Any, **kwargs: Any) -> None:
        """Copy a file, such as ``host:/var/lib/nova/instances/uuid/disk``.

        Do nothing for a drive that our hooks fetch.
        """
        *_, uuid, name = src.split("/")
        if name != NAME or uuid not in self._fetched:
            self._of.copy_file(src, *args, **kwargs)
