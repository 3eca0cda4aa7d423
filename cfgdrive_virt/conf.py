"""The options, under the names and in the groups that nova.conf has them.

An existing nova.conf works as it is: what is nova's keeps nova's name,
meaning and default, and options that are not known here are no error.  Where
nova has registered its options already, those are used.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg, types

from cfgdrive_virt.exception import InvalidConfiguration
from cfgdrive_virt.model.drive import ISO9660, VFAT

LOG = logging.getLogger(__name__)

_MIB = 1024 * 1024

_DEFAULT_OPTS = [
    cfg.StrOpt(
        "state_path",
        default="/var/lib/nova",
        help="Directory that holds the compute service's state.",
    ),
    cfg.StrOpt(
        "instances_path",
        default="$state_path/instances",
        sample_default="$state_path/instances",
        help="Directory that holds a directory for every instance; a drive"
        " in a file is <instances_path>/<uuid>/disk.config.  It must exist.",
    ),
    cfg.BoolOpt(
        "force_config_drive",
        default=False,
        help="Give every instance a config drive, asked for or not.  An"
        " instance that has been launched before keeps what it has: it may"
        " be using the metadata service.",
    ),
    cfg.StrOpt(
        "config_drive_format",
        choices=(
            (ISO9660, "ISO9660 with Rock Ridge and Joliet, on a cdrom"),
            (VFAT, "VFAT, on a writable disk"),
        ),
        sample_default=ISO9660,
        help="File system of the drive.  Not set: the policy decides, and"
        " says why.",
    ),
]

_API_OPTS = [
    cfg.StrOpt(
        "config_drive_skip_versions",
        default="1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15"
        " 2008-02-01 2008-09-01",
        help="Versions of the ec2 tree to leave out, separated by spaces.",
    ),
    cfg.StrOpt(
        "dhcp_domain",
        default="novalocal",
        help="Domain added to an instance's host name.  Empty: none.",
    ),
    cfg.ListOpt(
        "vendordata_providers",
        item_type=types.String(choices=["StaticJSON", "DynamicJSON"]),
        default=["StaticJSON"],
        help="Where vendor data comes from.  StaticJSON: the file that"
        " vendordata_jsonfile_path names.  DynamicJSON: what the compute"
        " service collected and put into the request's vendor_data2.",
    ),
    cfg.StrOpt(
        "vendordata_jsonfile_path",
        help="JSON file with the static vendor data.  It is read for every"
        " drive that is built.  Not set: an empty object.",
    ),
]

_LIBVIRT_OPTS = [
    cfg.StrOpt(
        "virt_type",
        default="kvm",
        choices=("kvm", "lxc", "qemu", "parallels"),
        help="Type of the domains.  Config drives need kvm or qemu.",
    ),
    cfg.StrOpt(
        "images_type",
        default="default",
        choices=("raw", "flat", "qcow2", "lvm", "rbd", "ploop", "default"),
        help="Where disks are kept.  rbd: in Ceph volumes; every other type"
        " keeps config drives in files.",
    ),
    cfg.StrOpt(
        "images_rbd_pool",
        default="rbd",
        help="Ceph pool that holds the volumes, for images_type rbd.",
    ),
    cfg.StrOpt(
        "images_rbd_ceph_conf",
        default="",
        help="Path of the Ceph configuration.  Empty: librados' own default.",
    ),
    cfg.StrOpt("rbd_user", help="Ceph client name, without 'client.'."),
    cfg.StrOpt(
        "rbd_secret_uuid",
        help="UUID of the libvirt secret that holds rbd_user's key.",
    ),
    cfg.IntOpt(
        "rbd_connect_timeout",
        default=5,
        help="Seconds to wait for the Ceph cluster when connecting.",
    ),
    cfg.ListOpt(
        "disk_cachemodes",
        default=[],
        help="Cache modes by type of disk source, such as"
        " file=directsync,network=writeback.  A file without one gets none"
        " where the file system can do O_DIRECT, else writeback.",
    ),
    cfg.StrOpt(
        "hw_disk_discard",
        choices=("ignore", "unmap"),
        help="Discard mode of the disks.",
    ),
    cfg.ListOpt(
        "hw_machine_type",
        help="Machine types by architecture, such as x86_64=q35.  An image's"
        " hw_machine_type outranks it.",
    ),
    cfg.StrOpt(
        "disk_prefix",
        help="Prefix of target device names, such as vd, in place of the"
        " bus' own.",
    ),
]

_OWN_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "max_drive_size",
        default=64,
        min=1,
        max=4095,
        help="Largest drive that is built, and largest content that goes into"
        " one, in MiB.  64 is what nova allows a"
        " VFAT drive; cloudbase-init reads an ISO on a raw disk up to 128.",
    ),
]

#: Our own group.
GROUP = "cfgdrive_virt"

_OPTS: tuple[tuple[str | None, list[cfg.Opt]], ...] = (
    (None, _DEFAULT_OPTS),
    ("api", _API_OPTS),
    ("libvirt", _LIBVIRT_OPTS),
    (GROUP, _OWN_OPTS),
)

_CACHE_MODES = (
    "default", "none", "writethrough", "writeback", "directsync", "unsafe",
)  # fmt: skip


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group, for oslo-config-generator."""
    return [(group, list(opts)) for group, opts in _OPTS]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options; those that nova registered already stay nova's.

    In a process that has both, nova's come first: nova itself takes no
    option that somebody else registered under its name.
    """
    for group, opts in _OPTS:
        for opt in opts:
            try:
                conf.register_opt(opt, group=group)
            except cfg.DuplicateOptError:
                # Nova's, with nova's own help: same name, same meaning.
                continue


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the options say now.

    :param config_drive_format: None where nobody set it
    :param cache_modes: by type of disk source
    :param machine_types: by architecture
    :param max_drive_size: in bytes
    """

    instances_path: Path
    force_config_drive: bool
    config_drive_format: str | None
    skip_versions: frozenset[str]
    dhcp_domain: str
    vendordata_static: bool
    vendordata_jsonfile_path: str | None
    virt_type: str
    images_type: str
    cache_modes: Mapping[str, str]
    discard: str | None
    machine_types: Mapping[str, str]
    disk_prefix: str | None
    max_drive_size: int


def read_settings(conf: cfg.ConfigOpts) -> Settings:
    """Return the options' values.

    :raises InvalidConfiguration: if one has a value that it can't have
    """
    try:
        return Settings(
            instances_path=_directory(conf.instances_path),
            force_config_drive=conf.force_config_drive,
            config_drive_format=_set_by_operator(conf, "config_drive_format"),
            skip_versions=frozenset(
                conf.api.config_drive_skip_versions.split()
            ),
            dhcp_domain=conf.api.dhcp_domain or "",
            vendordata_static="StaticJSON" in conf.api.vendordata_providers,
            vendordata_jsonfile_path=conf.api.vendordata_jsonfile_path,
            virt_type=conf.libvirt.virt_type,
            images_type=conf.libvirt.images_type,
            cache_modes=_cache_modes(conf.libvirt.disk_cachemodes),
            discard=conf.libvirt.hw_disk_discard,
            machine_types=_pairs(conf.libvirt.hw_machine_type or ()),
            disk_prefix=conf.libvirt.disk_prefix or None,
            max_drive_size=conf[GROUP].max_drive_size * _MIB,
        )
    except cfg.NoSuchOptError as error:
        raise InvalidConfiguration(
            "[DEFAULT] instances_path, or state_path, refers with $ to an"
            " option that isn't known here; write its value out"
        ) from error
    except (cfg.Error, ValueError) as error:
        # Where oslo found it is told in terms of its own classes.
        text = re.sub(r" from LocationInfo\(.*?\)(?= is)", "", str(error))
        raise InvalidConfiguration(f"configuration: {text}") from error


def _directory(path: str) -> Path:
    """Refuse what can't stand in libvirt's XML, or would mean this place."""
    if not path.startswith("/") or not path.isprintable():
        raise ValueError(
            f"[DEFAULT] instances_path={path!a} must be an absolute path of"
            " printable characters"
        )
    return Path(path)


def _set_by_operator(conf: cfg.ConfigOpts, name: str) -> Any:
    """Return an option's value, None if it is but the default.

    Nova's config_drive_format has a default, ours has none: in both cases
    only an operator's own word binds the policy.
    """
    value = conf[name]
    location = conf.get_location(name)
    defaults = (cfg.Locations.opt_default, cfg.Locations.set_default)
    if location is None or location.location in defaults:
        return None
    return value


def _pairs(items: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for item in items:
        key, _, value = item.partition("=")
        if value:
            pairs[key.strip()] = value.strip()
        else:
            LOG.warning("%a is ignored: it is no NAME=VALUE", item)
    return pairs


def _cache_modes(items: Sequence[str]) -> dict[str, str]:
    modes = _pairs(items)
    for source, mode in tuple(modes.items()):
        if mode not in _CACHE_MODES:
            # As nova: a nova.conf that works there has to work here.
            LOG.warning(
                "[libvirt] disk_cachemodes %s=%s is ignored; known modes: %s",
                source,
                mode,
                ", ".join(_CACHE_MODES),
            )
            del modes[source]
    return modes
