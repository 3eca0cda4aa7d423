"""A request and the settings become a tree, and a tree an image.

What the settings add to a request: static vendor data, the domain of host
names, the limit on a drive's size.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from cfgdrive_virt import image
from cfgdrive_virt.exception import (
    ImageError,
    InvalidConfiguration,
    InvalidRequest,
    Problem,
)
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.drive import VFAT, DriveImage
from cfgdrive_virt.model.request import RenderedRequest, Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.tree import MetadataTree


def tree_of(
    request: Request, settings: Settings, random_seed: bytes
) -> MetadataTree:
    """Return all that an instance's drive holds.

    :param random_seed: for a request that brings none
    :raises InvalidConfiguration: if the static vendor data can't be used
    :raises InvalidRequest: if there are no rendered files to build of
    :raises ImageError: if a rendered one has an impossible path
    """
    if isinstance(request, RenderedRequest):
        if not request.files:
            problem = Problem("files", "", "must be there to build a drive")
            raise InvalidRequest([problem])
        return MetadataTree(request.files)
    return build_tree(
        request,
        random_seed=request.random_seed or random_seed,
        vendor_data=_static_vendor_data(settings),
        vendor_data_static=settings.vendordata_static,
        dhcp_domain=settings.dhcp_domain,
        skip_versions=settings.skip_versions,
    )


def image_of(
    tree: MetadataTree,
    image_format: str,
    settings: Settings,
    *,
    uuid: str,
    timestamp: int,
    without: Collection[str] = (),
) -> DriveImage:
    """Return the image of an instance's tree.

    A volume's serial number, where the format has one, is the beginning of
    the instance's UUID.

    :param without: names of secrets that were left out of the tree
    :raises ImageError: if it would be larger than ``[cfgdrive_virt]
        max_drive_size``, or the format can't hold it
    """
    files = tree.files.values()
    # Before it is built: VFAT holds every copy, ISO9660 one of each.
    held = files if image_format == VFAT else set(files)
    _check_size(tree, sum(map(len, held)), settings.max_drive_size)
    built = image.build(
        image_format,
        tree,
        timestamp=timestamp,
        serial=int(uuid[:8], 16),
        without=without,
    )
    _check_size(tree, len(built.data), settings.max_drive_size)
    if settings.verify_drive and image.read(built.data).tree != tree:
        raise ImageError(
            f"the {image_format} drive, read back, isn't what went in; it is"
            " put nowhere"
        )
    return built


def _static_vendor_data(settings: Settings) -> Any:
    path = settings.vendordata_jsonfile_path
    if not path or not settings.vendordata_static:
        return None
    lead = f"[api] vendordata_jsonfile_path={path}"
    try:
        with open(path, "rb") as file:
            data = file.read(settings.max_drive_size + 1)
    except OSError as error:
        raise InvalidConfiguration(
            f"{lead} can't be read: {error.strerror}"
        ) from error
    if len(data) > settings.max_drive_size:
        raise InvalidConfiguration(
            f"{lead} is larger than [cfgdrive_virt] max_drive_size allows a"
            f" drive, {settings.max_drive_size:,} bytes"
        )
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        # Its words say where; the error itself holds all of the file.
        raise InvalidConfiguration(f"{lead} is no JSON: {error}") from None
    try:
        return rules.vendor_data(document)
    except ValueError as error:
        raise InvalidConfiguration(f"{lead}: it {error}") from error


def _check_size(tree: MetadataTree, size: int, limit: int) -> None:
    if size <= limit:
        return
    by_size = sorted(
        tree.files, key=lambda path: len(tree.files[path]), reverse=True
    )
    biggest = ", ".join(
        f"{path} ({len(tree.files[path]):,} bytes)" for path in by_size[:3]
    )
    raise ImageError(
        f"the drive would be {size:,} bytes, and [cfgdrive_virt]"
        f" max_drive_size allows {limit:,}; the biggest: {biggest}"
    )
