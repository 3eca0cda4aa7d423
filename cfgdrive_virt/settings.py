"""The options become one checked value."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg

from cfgdrive_virt.conf import GROUP
from cfgdrive_virt.exception import InvalidConfiguration
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.drive import Monitor
from cfgdrive_virt.model.settings import Settings

LOG = logging.getLogger(__name__)

_MIB = 1024 * 1024

#: Nova's default; replaces values that mean no timeout.
_CONNECT_TIMEOUT = 5

_CACHE_MODES = (
    "default", "none", "writethrough", "writeback", "directsync", "unsafe",
)  # fmt: skip


def read_settings(conf: cfg.ConfigOpts) -> Settings:
    """Return the options' values.

    :raises InvalidConfiguration: if a value is invalid
    """
    own = conf[GROUP]
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
            disk_prefix=_printable("disk_prefix", conf.libvirt.disk_prefix),
            max_drive_size=own.max_drive_size * _MIB,
            live_migration=own.live_migration,
            instances_path_shared={"yes": True, "no": False}.get(
                own.instances_path_shared
            ),
            one_address={"first": True, "all": False}.get(
                own.addresses_per_link
            ),
            verify_drive=own.verify_drive,
            rbd_pool=_pool(conf.libvirt.images_rbd_pool),
            rbd_ceph_conf=conf.libvirt.images_rbd_ceph_conf or "",
            rbd_user=_printable("rbd_user", conf.libvirt.rbd_user),
            rbd_secret_uuid=_secret_uuid(conf.libvirt.rbd_secret_uuid),
            rbd_connect_timeout=_seconds(
                conf.libvirt.rbd_connect_timeout,
                used=conf.libvirt.images_type == "rbd",
            ),
            rbd_operation_timeout=own.rbd_operation_timeout,
            rbd_destroy_retries=conf.libvirt.rbd_destroy_volume_retries,
            rbd_destroy_interval=(
                conf.libvirt.rbd_destroy_volume_retry_interval
            ),
            rbd_monitors=tuple(map(_monitor, own.rbd_monitors)),
            one_shot_secrets=tuple(own.one_shot_secrets),
            lock_timeout=own.lock_timeout,
        )
    except cfg.NoSuchOptError as error:
        raise InvalidConfiguration(
            "[DEFAULT] instances_path or state_path refers with $ to an"
            " unknown option; write its value instead"
        ) from error
    except (cfg.Error, ValueError) as error:
        # oslo.config names the source of a value by its own class.
        text = re.sub(r" from LocationInfo\(.*?\)(?= is)", "", str(error))
        raise InvalidConfiguration(f"configuration: {text}") from error


def _directory(path: str) -> Path:
    """Refuse a relative path, and what libvirt's XML can't contain."""
    if not path.startswith("/") or not path.isprintable():
        raise ValueError(
            f"[DEFAULT] instances_path={path!a} must be an absolute path of"
            " printable characters"
        )
    return Path(path)


def _pool(name: str) -> str:
    if not name or "/" in name or not name.isprintable():
        raise ValueError(
            f"[libvirt] images_rbd_pool={name!a} must be the name of a pool"
        )
    return name


def _printable(name: str, value: str | None) -> str | None:
    """Refuse what libvirt's XML can't contain."""
    if value and not value.isprintable():
        raise ValueError(
            f"[libvirt] {name}={value!a} must consist of printable characters"
        )
    return value or None


def _secret_uuid(value: str | None) -> str | None:
    if not value:
        return None
    try:
        return rules.canonical_uuid(value)
    except ValueError as error:
        raise ValueError(
            f"[libvirt] rbd_secret_uuid={value!a}: {error}"
        ) from error


def _seconds(value: int, *, used: bool) -> int:
    if value >= 1:
        return value
    if used:
        LOG.warning(
            "[libvirt] rbd_connect_timeout=%d would wait forever; using %d",
            value,
            _CONNECT_TIMEOUT,
        )
    return _CONNECT_TIMEOUT


def _monitor(value: str) -> Monitor:
    """Parse HOST:PORT; as in Ceph, IPv6 addresses are in brackets."""
    host, _, port = value.strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not re.fullmatch(r"[0-9A-Za-z.:_%-]+", bare)
        or (":" in bare) != (bare != host)
        or not re.fullmatch(r"[0-9]{1,5}", port)
        or not 0 < int(port) < 65536
    ):
        raise ValueError(
            f"[cfgdrive_virt] rbd_monitors: {value!a} must be HOST:PORT, with"
            " IPv6 addresses in brackets"
        )
    return Monitor(bare, int(port))


def _set_by_operator(conf: cfg.ConfigOpts, name: str) -> Any:
    """Return an option's value; None if it is only the default.

    Nova's config_drive_format has a default, ours has none: in both cases only
    a value that the operator set binds the policy.
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
            LOG.warning("Ignoring %a: expected NAME=VALUE", item)
    return pairs


def _cache_modes(items: Sequence[str]) -> dict[str, str]:
    modes = _pairs(items)
    for source, mode in tuple(modes.items()):
        if mode not in _CACHE_MODES:
            # Nova ignores them, too: its nova.conf must work here.
            LOG.warning(
                "Ignoring [libvirt] disk_cachemodes %s=%s; valid modes: %s",
                source,
                mode,
                ", ".join(_CACHE_MODES),
            )
            del modes[source]
    return modes
