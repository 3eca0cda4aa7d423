"""A tree becomes the bytes of a file system, and back."""

from __future__ import annotations

from collections.abc import Collection

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import iso9660, vfat
from cfgdrive_virt.model.drive import ISO9660, VFAT, Contents, DriveImage
from cfgdrive_virt.model.tree import MetadataTree

__all__ = ["build", "read"]


def build(
    image_format: str,
    tree: MetadataTree,
    *,
    timestamp: int,
    serial: int,
    without: Collection[str] = (),
) -> DriveImage:
    """Return the image of a tree.

    :param image_format: ``iso9660`` or ``vfat``
    :param timestamp: of every date in it, in seconds since 1970 (UTC)
    :param serial: the volume's serial number, of 32 bits, where the format
        has one
    :param without: names of secrets that were left out of the tree
    :raises ImageError: if the format can't hold the tree to the letter
    """
    if image_format == VFAT:
        return vfat.build(
            tree, timestamp=timestamp, serial=serial, without=without
        )
    if image_format == ISO9660:
        return iso9660.build(tree, timestamp=timestamp, without=without)
    raise ImageError(
        f"config drive format {image_format!r} isn't known; {ISO9660} and"
        f" {VFAT} are"
    )


def read(data: bytes) -> Contents:
    """Return what an image of either format holds.

    Whoever wrote the image may be hostile: what it takes in time and memory
    is bounded by its size.

    :raises ImageError: if it is of neither, or is damaged: saying where
    """
    # What a file holds may lie where ISO9660 begins, never where VFAT does.
    if vfat.recognizes(data):
        return vfat.read(data)
    if iso9660.recognizes(data):
        return iso9660.read(data)
    raise ImageError(
        f"neither an ISO9660 nor a VFAT image ({len(data):,} bytes)"
    )
