"""A request and the settings become a tree, and a tree an image.

The settings add static vendor data and the domain of hostnames, and limit the
size of a drive.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator
from typing import Any

from cfgdrive_virt import image, readers
from cfgdrive_virt.exception import (
    ImageError,
    InvalidConfiguration,
)
from cfgdrive_virt.metadata import json_file, layout_in, layout_of
from cfgdrive_virt.metadata.layout import Additions
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.drive import VFAT, DriveImage
from cfgdrive_virt.model.request import (
    ConfigDriveRequest,
    RenderedRequest,
    Request,
)
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.tree import MetadataTree


def tree_of(
    request: Request, settings: Settings, random_seed: bytes
) -> MetadataTree:
    """Return all files of an instance's drive.

    :param random_seed: for a request without one
    :raises InvalidConfiguration: if the static vendor data cannot be used
    :raises InvalidRequest: if a rendered request has no files, if one lies
        outside its layout's own paths, or if readers would refuse one
    :raises ImageError: if a rendered file has an impossible path
    """
    layout = layout_of(request)
    if isinstance(request, RenderedRequest):
        return layout.rendered(request)
    return layout.files(request, _additions(request, settings, random_seed))


def left_out(
    request: Request, settings: Settings
) -> Iterator[tuple[str, str]]:
    """Yield what a request has and its drive doesn't: the field, and why.

    :raises InvalidConfiguration: if the static vendor data cannot be used
    """
    if isinstance(request, ConfigDriveRequest):
        additions = _additions(request, settings, b"")
        yield from layout_of(request).left_out(request, additions)


def _additions(
    request: ConfigDriveRequest, settings: Settings, random_seed: bytes
) -> Additions:
    return Additions(
        random_seed=request.random_seed or random_seed,
        vendor_data=_static_vendor_data(settings),
        vendor_data_static=settings.vendordata_static,
        dhcp_domain=settings.dhcp_domain,
        skip_versions=settings.skip_versions,
        one_address=_one_address(request, settings),
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

    The volume's label is that of the tree's layout; its serial number, where
    the format has one, is the beginning of the instance's UUID.

    :param without: names of secrets that were left out of the tree
    :raises ImageError: if the image would be larger than ``[cfgdrive_virt]
        max_drive_size``, the format cannot hold the tree, or its JSON files
        are more than a drive's are read for
    """
    check_json(tree)
    files = tree.files.values()
    # Checked before the build: VFAT holds every copy, ISO9660 one of each.
    held = files if image_format == VFAT else set(files)
    _check_size(tree, sum(map(len, held)), settings.max_drive_size)
    built = image.build(
        image_format,
        tree,
        label=layout_in(tree.files).label,
        timestamp=timestamp,
        serial=int(uuid[:8], 16),
        without=without,
    )
    _check_size(tree, len(built.data), settings.max_drive_size)
    if settings.verify_drive and image.read(built.data).tree != tree:
        raise ImageError(
            f"the new {image_format} drive, read back, does not hold the"
            " files that were written; the drive is discarded"
        )
    return built


def check_json(tree: MetadataTree) -> None:
    """Refuse a tree whose JSON files are more than a drive's are read for.

    :raises ImageError: saying what is too much
    """
    if too_much := json_file.excess(tree):
        raise ImageError(f"the drive can't be built: {too_much}")


def _one_address(request: ConfigDriveRequest, settings: Settings) -> bool:
    if settings.one_address is not None:
        return settings.one_address
    likely = readers.likely(request.image_properties)
    return all(reader.one_address for reader in likely)


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
            f"{lead} cannot be read: {error.strerror}"
        ) from error
    if len(data) > settings.max_drive_size:
        raise InvalidConfiguration(
            f"{lead} is larger than [cfgdrive_virt] max_drive_size allows a"
            f" drive, {settings.max_drive_size:,} bytes"
        )
    try:
        # An editor may have put a mark there; no drive will have it.
        document = json_file.load(data.removeprefix(codecs.BOM_UTF8))
    except ValueError as error:
        # Not chained: its text says where, but it holds all of the file.
        raise InvalidConfiguration(
            f"{lead} is not valid JSON: {error}"
        ) from None
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
    largest = ", ".join(
        f"{path} ({len(tree.files[path]):,} bytes)" for path in by_size[:3]
    )
    raise ImageError(
        f"the drive would be {size:,} bytes; [cfgdrive_virt] max_drive_size"
        f" allows {limit:,}; the largest files: {largest}"
    )
