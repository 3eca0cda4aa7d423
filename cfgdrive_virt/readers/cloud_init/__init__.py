"""cloud-init: its data source ConfigDrive, and its network renderers.

The demands are those of release 26.2; where 22.4 differs, they say so.  Which
renderer a guest has is its distribution's choice, so the reader cloud-init
has the demands of all.
"""

from __future__ import annotations

from cfgdrive_virt.readers.cloud_init import (
    data_source,
    eni,
    netplan,
    network_data,
    network_manager,
    networkd,
    sysconfig,
)
from cfgdrive_virt.readers.reader import Reader

_COMMON = (*data_source.DEMANDS, *network_data.DEMANDS)
_RENDERERS = {
    "eni": ("of older Debian, and Alpine", eni.DEMANDS),
    "netplan": ("of Ubuntu", netplan.DEMANDS),
    "networkd": ("of systems with systemd-networkd only", networkd.DEMANDS),
    "network-manager": ("of newer Fedora and RHEL", network_manager.DEMANDS),
    "sysconfig": ("of RHEL and its kin", sysconfig.DEMANDS),
}

CLOUD_INIT = Reader(
    "cloud-init",
    "cloud-init with any of its network renderers",
    (
        *_COMMON,
        *(demand for _, demands in _RENDERERS.values() for demand in demands),
    ),
)
READERS = (
    CLOUD_INIT,
    *(
        Reader(
            f"cloud-init-{name}",
            f"cloud-init with the network renderer {name}, {whose}",
            (*_COMMON, *demands),
        )
        for name, (whose, demands) in _RENDERERS.items()
    ),
)
