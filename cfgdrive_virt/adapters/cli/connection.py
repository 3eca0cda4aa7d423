"""Connect a command to libvirt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from cfgdrive_virt.adapters import libvirt


@contextlib.contextmanager
def connected(uri: str) -> Iterator[Any]:
    """Open a connection to libvirt; only the command prints its errors.

    :raises DomainError: if libvirt can't be reached
    """
    libvirt.silence()
    with libvirt.connected(uri) as connection:
        yield connection
