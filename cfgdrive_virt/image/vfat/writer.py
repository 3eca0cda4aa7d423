"""A tree becomes a VFAT image: FAT12 or FAT16 with long names; and back.

The image is as large as its tree needs: no free cluster but what rounding to
4 KiB leaves (QEMU refuses to write to an image, without a cache on a disk
with such sectors, that is no multiple of them).  Clusters are of 512 bytes,
and larger only where FAT16 has too few of them for the tree.

The number of clusters alone tells the width of the FAT.  From 4085 on it is
FAT16 to Linux (fs/fat/inode.c, MAX_FAT12), mtools, dosfstools and fatgen103,
but from 4087 on to Windows (fastfat, FatIndexBitSize) and from 4084 on to
blkid; fatgen103 warns of others that are off by up to 16.  So there are 1 to
4069 clusters of FAT12, or 4101 to 65,509 of FAT16: FAT32 begins at 65,525.  A
tree in between gets some free clusters more.  That makes 2 GiB at most.

Content is stored as often as it appears: files of a FAT can't share clusters.
Dates are UTC in steps of two seconds, from 1980 to 2107; what lies outside
gets the nearest of them.  Paths have 256 UTF-16 units at most, names 255: see
vfat_names for what else is refused.
"""

from __future__ import annotations

import dataclasses
import heapq
import struct
import time
from collections.abc import Collection, Iterator, Mapping

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import stamp
from cfgdrive_virt.image.vfat import names
from cfgdrive_virt.image.vfat.format import (
    ARCHIVE,
    DIRECTORY,
    DOT,
    DOTDOT,
    ENTRY,
    EXTENDED,
    FIRST_FAT16,
    FIRST_FAT32,
    MOST_ENTRIES,
    SIGNATURE,
    SIGNATURE_OFFSET,
    VOLUME,
    BootSector,
)
from cfgdrive_virt.model.drive import (
    BUILDER,
    BUILDER_OFFSETS,
    VFAT,
    DriveImage,
)
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show

_SECTOR = 512
_ALIGNMENT = 4096
#: mtools wants the sectors to be a multiple of a track's.
_TRACK = _ALIGNMENT // _SECTOR
_HEADS = 2
_LARGEST_CLUSTER = 64 * _SECTOR
_DISTANCE = 16
#: What fatgen103 advises for FAT16.
_ROOT_ENTRIES = 512
_MOST_ROOT_ENTRIES = 65_520
_FIXED_DISK, _FIRST_DISK = 0xF8, 0x80
_LABEL_SIZE = 11
#: Over the mark to INT 18h: a BIOS tries what else it can boot from.
_JUMP = bytes((0xEB, BUILDER_OFFSETS[VFAT] + len(BUILDER) - 2, 0x90))
_BOOT_CODE = BUILDER + b"\xcd\x18\xf4\xeb\xfd"
_FIRST_TIMESTAMP = 315_532_800  # 1980-01-01 00:00:00 UTC
_LAST_TIMESTAMP = 4_354_819_198  # 2107-12-31 23:59:58 UTC

_Listing = list[tuple[str, bytes, bytes]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Geometry:
    """Where things are in an image.

    :param width: bits of an entry of the FAT
    :param cluster: bytes of a cluster
    :param clusters: how many there are
    :param fat: sectors of a FAT
    :param root: sectors of the root directory
    :param total: sectors of the image
    """

    width: int
    cluster: int
    clusters: int
    fat: int
    root: int
    total: int


def build(
    tree: MetadataTree,
    *,
    label: str,
    timestamp: int,
    serial: int,
    without: Collection[str] = (),
) -> DriveImage:
    """Return the image of a tree.

    :param label: the volume label, by which readers find the drive: ASCII,
        at most 11 characters
    :param timestamp: of every date in it, in seconds since 1970 (UTC)
    :param serial: the volume's serial number, of 32 bits
    :param without: names of secrets that were left out of the tree
    :raises ImageError: if a name can't be kept to the letter, or the tree is
        too large
    """
    listings = {
        directory: list(names.entries(directory, below))
        for directory, below in _directories(tree).items()
    }
    sizes = {path: _length(path, found) for path, found in listings.items()}
    root = sizes.pop("")
    sizes.update((path, len(data)) for path, data in tree.files.items())
    geometry = _geometry(sizes, root)
    starts, fat = _allocate(sizes, geometry)
    dates = _dates(timestamp)
    volume = label.encode("ascii").ljust(_LABEL_SIZE)
    tables = {
        path: b"".join(
            _entries(path, listing, starts, tree.files, dates, volume)
        )
        for path, listing in listings.items()
    }
    contents = tables | dict(tree.files)
    line = stamp.encode(tree, without)
    parts = [_boot_sector(geometry, serial, volume, line)]
    parts += _filled(fat, geometry.fat * _SECTOR) * 2
    parts += _filled(contents.pop(""), geometry.root * _SECTOR)
    # In the order of their clusters.
    for content in contents.values():
        parts += _filled(content, geometry.cluster)
    parts.append(bytes(geometry.total * _SECTOR - sum(map(len, parts))))
    return DriveImage(VFAT, b"".join(parts))


def _filled(data: bytes, block: int) -> list[bytes]:
    """Return bytes, and the zeroes that make them fill blocks."""
    return [data, bytes(-len(data) % block)]


def _directories(tree: MetadataTree) -> dict[str, list[str]]:
    """Return the names in each directory, the root's path being empty."""
    found: dict[str, list[str]] = {"": []}
    for path in tree.files:
        names.check_path(path)
        above, _, name = path.rpartition("/")
        below = [name]
        while above not in found:
            found[above] = below
            above, _, name = above.rpartition("/")
            below = [name]
        found[above] += below
    return found


def _length(path: str, listing: _Listing) -> int:
    """Return the bytes of a directory."""
    # The root has the label, others themselves and their parent.
    count = 2 if path else 1
    count += sum(len(long) // ENTRY.size + 1 for _, long, _ in listing)
    most = MOST_ENTRIES if path else _MOST_ROOT_ENTRIES
    if count > most:
        raise ImageError(
            f"{show(path) if path else 'the root'} takes {count:,} entries;"
            f" VFAT allows {most:,} there, and a long name takes one for each"
            " 13 characters; use several directories"
        )
    return count * ENTRY.size


def _geometry(sizes: Mapping[str, int], root: int) -> _Geometry:
    """Return the smallest one that holds all.

    :param sizes: bytes of what clusters hold
    :param root: bytes of the root directory
    """
    root_sectors = -(-max(root, _ROOT_ENTRIES * ENTRY.size) // _SECTOR)
    cluster = _SECTOR
    while cluster <= _LARGEST_CLUSTER:
        needed = max(1, sum(-(-size // cluster) for size in sizes.values()))
        for width, least, most in (
            (12, 1, FIRST_FAT16 - _DISTANCE),
            (16, FIRST_FAT16 + _DISTANCE, FIRST_FAT32 - _DISTANCE),
        ):
            if needed <= most:
                found = _fitted(
                    width, cluster, max(needed, least), root_sectors
                )
                if found.clusters <= most:
                    return found
        cluster *= 2
    largest = heapq.nlargest(3, sizes, key=sizes.__getitem__)
    listed = ", ".join(f"{show(path)} ({sizes[path]:,})" for path in largest)
    raise ImageError(
        f"{sum(sizes.values()):,} bytes are too much for VFAT, which has"
        f" {FIRST_FAT32 - _DISTANCE:,} clusters of"
        f" {_LARGEST_CLUSTER:,} bytes; the largest files are {listed}"
    )


def _fitted(width: int, cluster: int, clusters: int, root: int) -> _Geometry:
    """Return the geometry with at least so many clusters.

    What rounding adds may be some clusters more, which the FAT counts too.
    """
    per_cluster = cluster // _SECTOR
    while True:
        fat = -(-(clusters + 2) * width // (8 * _SECTOR))
        before = 1 + 2 * fat + root
        total = before + clusters * per_cluster
        total += -total % _TRACK
        fitting = (total - before) // per_cluster
        if fitting == clusters:
            return _Geometry(width, cluster, clusters, fat, root, total)
        clusters = fitting


def _allocate(
    sizes: Mapping[str, int], geometry: _Geometry
) -> tuple[dict[str, int], bytes]:
    """Return everything's first cluster, and the FAT that says so.

    All is contiguous.  The root, and what is empty, has no cluster: 0.
    """
    starts = {"": 0}
    end_of_chain = (1 << geometry.width) - 1
    # fatgen103, "FAT Data Structure": the medium, and a clean volume.
    links = [end_of_chain ^ 0xFF | _FIXED_DISK, end_of_chain]
    for path, size in sizes.items():
        following = len(links) + -(-size // geometry.cluster)
        starts[path] = len(links) if size else 0
        if size:
            links += range(len(links) + 1, following)
            links.append(end_of_chain)
    if geometry.width == 16:
        return starts, struct.pack(f"<{len(links)}H", *links)
    links += [0] * (len(links) % 2)
    pairs = zip(links[::2], links[1::2], strict=True)
    packed = [(low | high << 12).to_bytes(3, "little") for low, high in pairs]
    return starts, b"".join(packed)


def _boot_sector(
    geometry: _Geometry, serial: int, volume: bytes, line: bytes
) -> bytes:
    fits = geometry.total < 1 << 16
    fields = BootSector(
        jump=_JUMP,
        oem_name=b"MSWIN4.1",
        sector=_SECTOR,
        cluster=geometry.cluster // _SECTOR,
        reserved=1,
        fats=2,
        root_entries=geometry.root * _SECTOR // ENTRY.size,
        total=geometry.total if fits else 0,
        medium=_FIXED_DISK,
        fat=geometry.fat,
        track=_TRACK,
        heads=_HEADS,
        hidden=0,
        large_total=0 if fits else geometry.total,
        drive=_FIRST_DISK,
        flags=0,
        extended=EXTENDED,
        serial=serial,
        label=volume,
        type=b"FAT%-5d" % geometry.width,
    )
    start = fields.pack().ljust(BUILDER_OFFSETS[VFAT], b"\0") + _BOOT_CODE
    start = start.ljust(stamp.OFFSETS[VFAT], b"\0") + line
    return start.ljust(SIGNATURE_OFFSET, b"\0") + SIGNATURE


def _dates(timestamp: int) -> tuple[int, int]:
    """Return time and date as FAT has them, the nearest that it has."""
    known = min(max(timestamp, _FIRST_TIMESTAMP), _LAST_TIMESTAMP)
    year, month, day, hour, minute, second = time.gmtime(known)[:6]
    return (
        hour << 11 | minute << 5 | second // 2,
        year - 1980 << 9 | month << 5 | day,
    )


def _entries(
    directory: str,
    listing: _Listing,
    starts: Mapping[str, int],
    files: Mapping[str, bytes],
    dates: tuple[int, int],
    volume: bytes,
) -> Iterator[bytes]:
    """Yield the bytes of a directory."""

    def entry(short: bytes, kind: int, start: int, size: int = 0) -> bytes:
        made, read_on = dates, dates[1]
        return ENTRY.pack(
            *(short, kind, 0, 0, *made, read_on, 0, *dates, start, size)
        )

    prefix = f"{directory}/" if directory else ""
    if directory:
        above = directory.rpartition("/")[0]
        yield entry(DOT, DIRECTORY, starts[directory])
        yield entry(DOTDOT, DIRECTORY, starts[above])
    else:
        yield entry(volume, VOLUME, 0)
    for name, long, short in listing:
        path = prefix + name
        content = files.get(path)
        yield long
        if content is None:
            yield entry(short, DIRECTORY, starts[path])
        else:
            yield entry(short, ARCHIVE, starts[path], len(content))
