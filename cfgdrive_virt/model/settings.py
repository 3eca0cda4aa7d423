"""What the options say, as one frozen value; :mod:`cfgdrive_virt.settings`
reads it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from cfgdrive_virt.model.drive import Monitor


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The values of the options that a call works with.

    :param config_drive_format: None if the operator did not set it
    :param cache_modes: by type of disk source
    :param machine_types: by architecture
    :param instances_path_shared: None: decide by the file system type
    :param one_address: None: decide by the image's reader
    :param max_drive_size: in bytes
    :param rbd_connect_timeout: in seconds, as are rbd_operation_timeout
        and rbd_destroy_interval
    :param rbd_monitors: empty: ask the cluster
    :param one_shot_secrets: names of a request's fields
    :param lock_timeout: in seconds
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
    one_address: bool | None
    max_drive_size: int
    live_migration: str
    instances_path_shared: bool | None
    verify_drive: bool
    rbd_pool: str
    rbd_ceph_conf: str
    rbd_user: str | None
    rbd_secret_uuid: str | None
    rbd_connect_timeout: int
    rbd_operation_timeout: int
    rbd_destroy_retries: int
    rbd_destroy_interval: int
    rbd_monitors: tuple[Monitor, ...]
    one_shot_secrets: tuple[str, ...]
    lock_timeout: int

    @property
    def in_rbd(self) -> bool:
        """Tell whether drives are kept in Ceph."""
        return self.images_type == "rbd"
