"""A small compute service on libvirt.

No other package imports libvirt's Python binding.
"""

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
