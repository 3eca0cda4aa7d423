"""A tree becomes the bytes of a file system, and back."""

from __future__ import annotations

from collections.abc import Collection

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import iso9660, vfat
from cfgdrive_virt.model.drive import ISO9660, VFAT, Contents, DriveImage
from cfgdrive_virt.model.tree import MetadataTree

__all__ = ["build", "read", "remember"]


def build(
    image_format: str,
    tree: MetadataTree,
    *,
    label: str,
    timestamp: int,
    serial: int,
    without: Collection[str] = (),
) -> DriveImage:
    """Return the image of a tree.

    :param image_format: ``iso9660`` or ``vfat``
    :param label: the volume label: ASCII, at most 11 characters
    :param timestamp: of every date in it, in seconds since 1970 (UTC)
    :param serial: the volume's serial number, of 32 bits, where the format
        has one
    :param without: names of secrets that were left out of the tree
    :raises ImageError: if the format cannot hold the tree unchanged
    """
    if image_format == VFAT:
        return vfat.build(
            tree,
            label=label,
            timestamp=timestamp,
            serial=serial,
            without=without,
        )
    if image_format == ISO9660:
        return iso9660.build(
            tree, label=label, timestamp=timestamp, without=without
        )
    raise ImageError(
        f"config drive format {image_format!r} is not supported; use"
        f" {ISO9660} or {VFAT}"
    )


def read(data: bytes) -> Contents:
    """Return the contents of an image of either format.

    The image may be hostile: its size bounds the time and memory that reading
    it takes.

    :raises ImageError: if it has neither format, or is damaged: saying where
    """
    # A file of VFAT may lie where ISO9660 begins, but not the reverse.
    if vfat.recognizes(data):
        return vfat.read(data)
    if iso9660.recognizes(data):
        return iso9660.read(data)
    raise ImageError(
        f"neither an ISO9660 nor a VFAT image ({len(data):,} bytes)"
    )


def remember(contents: Contents) -> None:
    """Make the reading of further drives like this one fast.

    :param contents: of a drive as it would be built now
    """
    if contents.format == ISO9660:
        iso9660.remember(contents.tree, contents.label)
