"""Who reads a drive in the guest, and what is lost on the way.

The table of readers, and which of them an image suggests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cfgdrive_virt.readers import cloud_init, glean
from cfgdrive_virt.readers.afterburn import AFTERBURN
from cfgdrive_virt.readers.cirros import CIRROS
from cfgdrive_virt.readers.cloudbase_init import CLOUDBASE_INIT
from cfgdrive_virt.readers.ignition import IGNITION
from cfgdrive_virt.readers.nuageinit import NUAGEINIT
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader
from cfgdrive_virt.readers.talos import TALOS

__all__ = ["READERS", "Content", "Demand", "Loss", "Reader", "likely"]

#: By name; the first one is the default.
READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        *cloud_init.READERS,
        CLOUDBASE_INIT,
        IGNITION,
        AFTERBURN,
        TALOS,
        CIRROS,
        NUAGEINIT,
        *glean.READERS,
    )
}

_DEFAULT = ("cloud-init",)
_WINDOWS = ("cloudbase-init",)
# Official images have nuageinit, which is in the base system, and loses most.
# cloud-init is a port; warnings for what an image lacks would only be noise.
_FREEBSD = ("nuageinit",)
_COREOS = ("ignition", "afterburn")
_NETPLAN = ("cloud-init-netplan",)
# Up to RHEL 8 and SLES 15 with files of sysconfig, later of NetworkManager.
_SYSCONFIG = ("cloud-init-sysconfig", "cloud-init-network-manager")
_NETWORKD = ("cloud-init-networkd",)

_BY_TYPE = {"windows": _WINDOWS, "freebsd": _FREEBSD}
#: Names of Glance's documentation, and of libosinfo, without versions.
_BY_DISTRIBUTION = {
    "win": _WINDOWS,
    "windows": _WINDOWS,
    "freebsd": _FREEBSD,
    "coreos": _COREOS,
    "fcos": _COREOS,
    "fedora-coreos": _COREOS,
    "flatcar": _COREOS,
    "rhcos": _COREOS,
    "talos": ("talos",),
    "cirros": ("cirros",),
    "debian": _NETPLAN,
    "ubuntu": _NETPLAN,
    "almalinux": _SYSCONFIG,
    "centos": _SYSCONFIG,
    "fedora": _SYSCONFIG,
    "ol": _SYSCONFIG,
    "opensuse": _SYSCONFIG,
    "oraclelinux": _SYSCONFIG,
    "rhel": _SYSCONFIG,
    "rocky": _SYSCONFIG,
    "sled": _SYSCONFIG,
    "sles": _SYSCONFIG,
    "suse": _SYSCONFIG,
    "alpine": ("cloud-init-eni",),
    "alpinelinux": ("cloud-init-eni",),
    "arch": _NETWORKD,
    "archlinux": _NETWORKD,
    "photon": _NETWORKD,
}
#: What precedes a version, in libosinfo's short ids: rhel8.0, win2k22.
_NAME = re.compile("[a-z-]*")
#: Characters of a property that are looked at.
_LONGEST = 64


def likely(image_properties: Mapping[str, str]) -> tuple[Reader, ...]:
    """Return the readers that an image has, by its properties.

    :param image_properties: Glance's, of which os_type and os_distro are used;
        a tenant may have written them
    """
    names = _by_distribution(_word(image_properties, "os_distro"))
    if names is None:
        found = _word(image_properties, "os_type")
        names = _BY_TYPE.get(found, _DEFAULT)
    return tuple(READERS[name] for name in names)


def _by_distribution(word: str) -> tuple[str, ...] | None:
    """Return names of readers; fedora-coreos-stable is fedora-coreos."""
    found = _NAME.match(word)
    name = found.group() if found else ""
    while name and name not in _BY_DISTRIBUTION:
        name = name.rpartition("-")[0]
    return _BY_DISTRIBUTION.get(name)


def _word(properties: Mapping[str, str], name: str) -> str:
    found = properties.get(name)
    text = found[:_LONGEST] if isinstance(found, str) else ""
    return text.strip().lower()
