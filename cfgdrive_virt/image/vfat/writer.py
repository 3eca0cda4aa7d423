"""A tree becomes a VFAT image: FAT12 or FAT16 with long names.

The image is as large as its tree needs: the only free clusters come from
rounding to 4 KiB (on a disk with sectors of 4 KiB and without a cache, QEMU
refuses to write to an image whose size isn't a multiple of them).  Clusters
have 512 bytes; they are larger only if FAT16 has too few for the tree.

The number of clusters alone determines the width of the FAT.  FAT16 begins at
4085 clusters for Linux (fs/fat/inode.c, MAX_FAT12), mtools, dosfstools and
fatgen103, but at 4087 for Windows (fastfat, FatIndexBitSize) and at 4084 for
blkid; fatgen103 warns of others that are off by up to 16.  So an image has 1
to 4069 clusters of FAT12, or 4101 to 65,509 of FAT16, because FAT32 begins at
65,525.  A tree in between gets additional free clusters.  The maximum is
2 GiB.

Equal contents are stored repeatedly: files can't share clusters.  Dates are
UTC in steps of two seconds, from 1980 to 2107; other dates become the nearest
of these.  Paths have at most 256 UTF-16 units, names 255; see names.py for
other limits.
"""

from __future__ import annotations

import dataclasses
import functools
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
#: mtools requires that the sectors are a multiple of a track's.
_TRACK = _ALIGNMENT // _SECTOR
_HEADS = 2
_LARGEST_CLUSTER = 64 * _SECTOR
_DISTANCE = 16
#: fatgen103's recommendation for FAT16.
_ROOT_ENTRIES = 512
_FIXED_DISK, _FIRST_DISK = 0xF8, 0x80
_LABEL_SIZE = 11
#: Jump past the builder to INT 18h: the BIOS tries the next boot device.
_JUMP = bytes((0xEB, BUILDER_OFFSETS[VFAT] + len(BUILDER) - 2, 0x90))
_BOOT_CODE = BUILDER + b"\xcd\x18\xf4\xeb\xfd"
_FIRST_TIMESTAMP = 315_532_800  # 1980-01-01 00:00:00 UTC
_LAST_TIMESTAMP = 4_354_819_198  # 2107-12-31 23:59:58 UTC

#: Characters of all paths of a tree whose names are remembered as entries.
_SHORT = 16 * 1024

#: Of each name the entries of the long one, and the short one.
_Listing = tuple[tuple[str, bytes, bytes], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Geometry:
    """The layout of an image.

    :param width: bits per entry of the FAT
    :param cluster: bytes per cluster
    :param clusters: number of clusters
    :param fat: sectors per FAT
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
    :param timestamp: for all dates, in seconds since 1970 (UTC)
    :param serial: the volume's serial number, of 32 bits
    :param without: names of the secrets that were left out of the tree
    :raises ImageError: if a name can't be stored exactly, or the tree is too
        large
    """
    paths = tuple(tree.files)
    # Most drives of a process have the same few sets of paths.
    short = sum(map(len, paths)) <= _SHORT
    listings = _remembered(paths) if short else _listings(paths)
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
    """Return bytes, and the zeros that fill their last block."""
    return [data, bytes(-len(data) % block)]


def _listings(paths: Collection[str]) -> Mapping[str, _Listing]:
    """Return the listing of each directory; the root's path is empty.

    :raises ImageError: if a name can't be stored exactly
    """
    return {
        directory: tuple(names.entries(directory, below))
        for directory, below in _directories(paths).items()
    }


_remembered = functools.lru_cache(maxsize=32)(_listings)


def _directories(paths: Collection[str]) -> dict[str, list[str]]:
    """Return the names in each directory; the root's path is empty."""
    found: dict[str, list[str]] = {"": []}
    for path in paths:
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
    """Return the size of a directory, in bytes."""
    # The root has the label; others have '.' and '..'.
    count = 2 if path else 1
    count += sum(len(long) // ENTRY.size + 1 for _, long, _ in listing)
    # A name takes 21 at most: of the 65,520 that a root may have, and the
    # 65,536 of others, a tree's MAX_ENTRIES take two thirds.
    return count * ENTRY.size


def _geometry(sizes: Mapping[str, int], root: int) -> _Geometry:
    """Return the smallest geometry that holds everything.

    :param sizes: bytes of each file and directory, except the root
    :param root: bytes of the root directory
    """
    root_sectors = -(-max(root, _ROOT_ENTRIES * ENTRY.size) // _SECTOR)
    cluster = _SECTOR
    while cluster <= _LARGEST_CLUSTER:
        needed = max(1, sum(-(-size // cluster) for size in sizes.values()))
        for width, minimum, maximum in (
            (12, 1, FIRST_FAT16 - _DISTANCE),
            (16, FIRST_FAT16 + _DISTANCE, FIRST_FAT32 - _DISTANCE),
        ):
            if needed <= maximum:
                found = _fitted(
                    width, cluster, max(needed, minimum), root_sectors
                )
                if found.clusters <= maximum:
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
    """Return the geometry with at least this number of clusters.

    Rounding may add some clusters, for which the FAT needs entries, too.
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
    """Return the first cluster of each path, and the FAT.

    Everything is contiguous.  The root and empty files have no cluster: 0.
    """
    starts = {"": 0}
    end_of_chain = (1 << geometry.width) - 1
    # fatgen103, "FAT Data Structure": the medium, and the flags of a clean
    # volume.
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
    """Return time and date in FAT's format, or the nearest possible ones."""
    nearest = min(max(timestamp, _FIRST_TIMESTAMP), _LAST_TIMESTAMP)
    year, month, day, hour, minute, second = time.gmtime(nearest)[:6]
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
        created, accessed = dates, dates[1]
        return ENTRY.pack(
            *(short, kind, 0, 0, *created, accessed, 0, *dates, start, size)
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
