"""A small compute service on libvirt.

No other package imports libvirt's Python binding.  It is loaded when one of
these names is first used.
"""

from typing import TYPE_CHECKING

from cfgdrive_virt import lazy

if TYPE_CHECKING:
    from cfgdrive_virt.adapters.libvirt.block_peek import fetch_from, peek_by
    from cfgdrive_virt.adapters.libvirt.connection import (
        connected,
        instances,
        silence,
    )
    from cfgdrive_virt.adapters.libvirt.medium import LibvirtMedium
    from cfgdrive_virt.adapters.libvirt.service import LibvirtService

__all__ = [
    "LibvirtMedium",
    "LibvirtService",
    "connected",
    "fetch_from",
    "instances",
    "peek_by",
    "silence",
]

if not TYPE_CHECKING:
    __getattr__ = lazy.attributes(
        __name__,
        __all__,
        ("connection", "block_peek", "medium", "service"),
    )


def __dir__() -> list[str]:
    return __all__
