"""What ISO9660 drives of one shape have in common.

Where a file's records and dates stand depends only on the drive's paths, on
which files share content, and on which are empty: its shape.  A template
holds these places and the bytes between them; it has no content of any drive,
and no number that depends on one.  Another drive of the shape is those bytes
with its own dates, extents and lengths, and its contents behind them; and an
image that consists of them is read without a look at its records.
"""

from __future__ import annotations

import collections
import dataclasses
import struct
import time
from collections.abc import Iterator, Sequence

from cfgdrive_virt.image import stamp
from cfgdrive_virt.image.iso9660.reader import MAX_SHARED, SECTOR
from cfgdrive_virt.model.drive import ISO9660, Contents
from cfgdrive_virt.model.tree import MetadataTree

#: The volume label; then of each file its path, the number of its content in
#: the order of first appearance, and whether it is empty.
Shape = tuple[str, tuple[tuple[str, int, bool], ...]]

#: How many templates are kept, and how large one may be in bytes.  The drives
#: of a service have some ten shapes; a template takes about 100 KiB.
MAX_KEPT, MAX_SIZE = 32, 512 * 1024

_DATE = 7
#: Offsets in a volume descriptor of its dates in digits, and how many stand
#: there side by side: ECMA-119, 8.4.26 to 8.4.29, without the expiration date.
_LONG_DATES = ((813, 2), (864, 1))
#: The number of sectors of a volume (8.4.8), its root directory (8.4.18).
_SPACE, _ROOT = 80, 156


def shape_of(tree: MetadataTree, label: str) -> tuple[Shape, list[bytes]]:
    """Return a tree's shape, and its contents, each once."""
    numbers: dict[bytes, int] = {}
    files = tuple(
        (path, numbers.setdefault(content, len(numbers)), not content)
        for path, content in tree.files.items()
    )
    return (label, files), list(numbers)


@dataclasses.dataclass(frozen=True, slots=True)
class Dates:
    """A moment as ISO9660 writes it: short in records, long in volumes.

    :param timestamp: in seconds since 1970 (UTC)
    """

    short: bytes
    long: bytes

    @classmethod
    def of(cls, timestamp: int) -> Dates:
        """Return a moment as the formats of ISO9660 have it."""
        moment = time.gmtime(timestamp)
        # In UTC: the last byte is the distance from it.
        short = struct.pack("6Bb", moment[0] - 1900, *moment[1:6], 0)
        long = time.strftime("%Y%m%d%H%M%S00", moment).encode() + b"\0"
        return cls(short, long)

    @classmethod
    def in_(cls, data: bytes, volume: int) -> Dates:
        """Return what a volume descriptor of an image has."""
        short, long = volume + _ROOT + 18, volume + _LONG_DATES[0][0]
        return cls(data[short : short + _DATE], data[long : long + 17])


_NO_DATES = Dates(bytes(_DATE), bytes(17))


@dataclasses.dataclass(frozen=True, slots=True)
class Places:
    """Where an image of pycdlib's has what differs between drives.

    :param volumes: offsets of the volume descriptors
    :param dates: offsets of the short dates, in order
    :param records: offsets of the files' records, by extent
    """

    volumes: tuple[int, ...]
    dates: tuple[int, ...]
    records: dict[int, tuple[int, ...]]

    @classmethod
    def of(cls, data: memoryview) -> Places:
        """Find the places in an image."""
        volumes = tuple(_volumes(data))
        dates: set[int] = set()
        records: dict[int, list[int]] = {}
        for volume in volumes:
            dates.add(volume + _ROOT + 18)
            for record in _records(data, volume + _ROOT):
                dates.update(_dates(data, record))
                if not _is_directory(data, record):
                    extent, _ = _extent(data, record)
                    records.setdefault(extent, []).append(record)
        return cls(
            volumes,
            tuple(sorted(dates)),
            {extent: tuple(found) for extent, found in records.items()},
        )

    def set_dates(self, data: memoryview, dates: Dates) -> None:
        """Set all dates of an image; pycdlib's are those of its clock."""
        for offset in self.dates:
            data[offset : offset + _DATE] = dates.short
        _set_volume_dates(data, self.volumes, dates)


@dataclasses.dataclass(frozen=True, slots=True)
class Template:
    """All that drives of one shape have in common.

    :param shape: theirs
    :param volumes: offsets of the volume descriptors
    :param parts: what stands between the short dates
    :param contents: numbers of the contents that aren't empty, as they follow
        each other in an image, each with the offsets of its files' records
    :param first: sector of the first content
    :param sectors: of a drive without its contents
    """

    shape: Shape
    volumes: tuple[int, ...]
    parts: tuple[bytes, ...]
    contents: tuple[tuple[int, tuple[int, ...]], ...]
    first: int
    sectors: int

    @classmethod
    def of(
        cls,
        shape: Shape,
        data: memoryview,
        places: Places,
        contents: Sequence[bytes],
    ) -> Template:
        """Return the template of an image, and of all others of its shape.

        :param data: without a stamp
        :param contents: of the image's files, each once, by number
        """
        numbers = {content: number for number, content in enumerate(contents)}
        by_size = {len(content): n for content, n in numbers.items()}
        sizes = collections.Counter(map(len, contents))
        order = []
        filled = 0
        first = len(data) // SECTOR
        for extent, records in sorted(places.records.items()):
            _, size = _extent(data, records[0])
            if not size:
                continue
            first = min(first, extent)
            start = extent * SECTOR
            # Large ones, whose copies would take memory, have sizes of their
            # own.
            if sizes[size] == 1:
                number = by_size[size]
            else:
                number = numbers[bytes(data[start : start + size])]
            order.append((number, records))
            filled += _sectors(size)
        header = bytearray(data[: first * SECTOR])
        for _, records in order:
            for record in records:
                header[record + 2 : record + 18] = bytes(16)
        with memoryview(header) as view:
            _set_volume_dates(view, places.volumes, _NO_DATES)
        for volume in places.volumes:
            header[volume + _SPACE : volume + _SPACE + 8] = bytes(8)
        starts = [0, *(offset + _DATE for offset in places.dates)]
        ends = [*places.dates, len(header)]
        return cls(
            shape,
            places.volumes,
            tuple(
                bytes(header[start:end])
                for start, end in zip(starts, ends, strict=True)
            ),
            tuple(order),
            first,
            len(data) // SECTOR - filled,
        )

    def image(
        self, contents: Sequence[bytes], dates: Dates, line: bytes
    ) -> bytes:
        """Return the image of a drive.

        :param contents: of its files, each once, by number
        :param line: its stamp
        """
        sizes = [len(contents[number]) for number, _ in self.contents]
        header, sectors = self._header(dates, sizes)
        start = stamp.OFFSETS[ISO9660]
        header[start : start + len(line)] = line
        pieces: list[bytes | bytearray] = [header]
        for number, _ in self.contents:
            content = contents[number]
            pieces.append(content)
            if padding := -len(content) % SECTOR:
                pieces.append(bytes(padding))
        written = self.first + sum(map(_sectors, sizes))
        pieces.append(bytes((sectors - written) * SECTOR))
        return b"".join(pieces)

    def contents_of(self, data: bytes) -> list[bytes] | None:
        """Return the contents of an image of this shape, by number.

        None if it has another shape.  A guest may have written the image:
        what isn't equal to the header of such an image is another shape.
        """
        extent = self.first
        sizes = []
        shared = 0
        for _, records in self.contents:
            if len(data) < (extent + 1) * SECTOR:
                return None
            found, size = _extent(data, records[0])
            if found != extent or not size:
                return None
            sizes.append(size)
            shared += size * (len(records) // len(self.volumes) - 1)
            extent += _sectors(size)
        if len(data) < extent * SECTOR or shared > MAX_SHARED:
            return None
        header, sectors = self._header(Dates.in_(data, self.volumes[0]), sizes)
        start = stamp.OFFSETS[ISO9660]
        end = start + stamp.SIZE
        header[start:end] = data[start:end]
        if sectors * SECTOR > len(data) or data[: len(header)] != header:
            return None
        contents = [b""] * len(self.shape[1])
        extent = self.first
        for (number, _), size in zip(self.contents, sizes, strict=True):
            start = extent * SECTOR
            contents[number] = data[start : start + size]
            extent += _sectors(size)
        return contents

    def _header(
        self, dates: Dates, sizes: Sequence[int]
    ) -> tuple[bytearray, int]:
        """Return a drive's header without its stamp, and its sectors in all.

        :param sizes: of the contents in the image, in their order there
        """
        header = bytearray(dates.short.join(self.parts))
        extent = self.first
        for (_, records), size in zip(self.contents, sizes, strict=True):
            both = _both(extent) + _both(size)
            for record in records:
                header[record + 2 : record + 18] = both
            extent += _sectors(size)
        sectors = self.sectors + extent - self.first
        with memoryview(header) as view:
            _set_volume_dates(view, self.volumes, dates)
        for volume in self.volumes:
            header[volume + _SPACE : volume + _SPACE + 8] = _both(sectors)
        return header, sectors


class Templates:
    """The templates that a process keeps, the newest ones, by shape.

    The table is replaced, never changed: other threads and forked processes
    see one or the other, and there is no lock that a fork could leave taken.
    """

    def __init__(self) -> None:
        self.kept: dict[Shape, Template | None] = {}

    def get(self, shape: Shape) -> Template | None:
        """Return the template of a shape; None if it isn't kept."""
        return self.kept.get(shape)

    def knows(self, shape: Shape) -> bool:
        """Tell whether a drive of a shape was built."""
        return shape in self.kept

    @property
    def is_full(self) -> bool:
        """Tell whether another template would take the place of one."""
        return len(self.kept) >= MAX_KEPT

    def keep(self, template: Template) -> None:
        """Keep a template; of one that is too large, only its shape."""
        large = template.first * SECTOR > MAX_SIZE
        newest = list(self.kept.items())[1 - MAX_KEPT :]
        self.kept = {
            **dict(newest),
            template.shape: None if large else template,
        }

    def read(self, data: bytes) -> Contents | None:
        """Return the contents of an image; None if its shape isn't kept."""
        for template in self.kept.values():
            found = template.contents_of(data) if template else None
            if template is None or found is None:
                continue
            label, files = template.shape
            return Contents(
                format=ISO9660,
                label=label,
                ours=True,
                tree=MetadataTree(
                    {path: found[number] for path, number, _ in files}
                ),
                stamp=stamp.decode(data, ISO9660),
            )
        return None


#: Of this process.
TEMPLATES = Templates()


def _set_volume_dates(
    data: memoryview, volumes: tuple[int, ...], dates: Dates
) -> None:
    for volume in volumes:
        for offset, count in _LONG_DATES:
            start = volume + offset
            end = start + count * len(dates.long)
            data[start:end] = dates.long * count


def _both(number: int) -> bytes:
    """Return a number in both orders of its bytes: ECMA-119, 7.3.3."""
    return number.to_bytes(4, "little") + number.to_bytes(4, "big")


def _sectors(size: int) -> int:
    return -(-size // SECTOR)


def _volumes(data: memoryview) -> Iterator[int]:
    for offset in range(16 * SECTOR, len(data), SECTOR):
        if data[offset] == 255:
            break
        yield offset


def _extent(data: bytes | memoryview, record: int) -> tuple[int, int]:
    """Return first sector and bytes of a file or directory."""
    extent, size = struct.unpack_from("<I4xI", data, record + 2)
    return extent, size


def _is_directory(data: memoryview, record: int) -> bool:
    return bool(data[record + 25] & 2)


def _records(data: memoryview, directory: int) -> Iterator[int]:
    """Yield the offset of every record below a directory's own."""
    extent, size = _extent(data, directory)
    offset = extent * SECTOR
    end = offset + size
    count = 0
    while offset < end:
        length = data[offset]
        if not length:
            # Records don't cross sectors: the rest of this sector is empty.
            offset += SECTOR - offset % SECTOR
            continue
        yield offset
        # The first two records are the directory itself and its parent.
        if count > 1 and _is_directory(data, offset):
            yield from _records(data, offset)
        count += 1
        offset += length


def _dates(data: memoryview, record: int) -> Iterator[int]:
    """Yield the offset of every short date of a record."""
    yield record + 18
    name = data[record + 32]
    start = record + 33 + name + (name + 1) % 2
    yield from _rock_ridge_dates(data, start, record + data[record])


def _rock_ridge_dates(
    data: memoryview, offset: int, end: int
) -> Iterator[int]:
    while offset + 4 <= end and data[offset + 2] >= 4:
        signature, length = bytes(data[offset : offset + 2]), data[offset + 2]
        if signature == b"TF":
            # RRIP 4.1.6: five bytes of header, then dates of seven bytes.
            yield from range(offset + 5, offset + length - _DATE + 1, _DATE)
        elif signature == b"CE":
            # SUSP 5.1: entries continue in another sector.
            sector, start, size = struct.unpack_from(
                "<I4xI4xI", data, offset + 4
            )
            there = sector * SECTOR + start
            yield from _rock_ridge_dates(data, there, there + size)
        offset += length
