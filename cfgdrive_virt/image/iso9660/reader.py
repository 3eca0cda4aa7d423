"""An ISO9660 image of any writer becomes a tree.

As in Linux, names are those of Rock Ridge if the volume has them, else of
Joliet, else the plain ones.  Path tables, boot records and UDF are ignored:
the directories are sufficient.

An image may be damaged or hostile.  Contents are read once each, and together
must not exceed the image's size; the number of files and directories, the
length of their paths, and all else that they consist of is limited for any
image.  That limits time and memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import stamp
from cfgdrive_virt.image.iso9660.record import (
    PARENT,
    SELF,
    Record,
    at,
    both,
    joliet_name,
    parse,
    plain_name,
    rock_ridge_name,
    rock_ridge_skipped,
)
from cfgdrive_virt.model.drive import (
    HEAD_SIZE,
    ISO9660,
    Contents,
    is_built_here,
)
from cfgdrive_virt.model.tree import MAX_ENTRIES, MetadataTree, Paths
from cfgdrive_virt.model.value import show

SECTOR = 2048
#: ECMA-119, 6.8.2.1: deeper directories would have to be relocated.
DIRECTORIES = 7
#: Bytes of files whose content another file has, too.  A drive has 21 copies
#: of 48 KiB of user data, and equal injected files.
MAX_SHARED = 64 * 1024 * 1024

_SIGNATURE = b"CD001"
_FIRST_DESCRIPTOR = 16
_PRIMARY, _SUPPLEMENTARY, _TERMINATOR = 1, 2, 255
#: Joliet's specification, 2.1.2: UCS-2 levels 1, 2 and 3.
_JOLIET = (b"%/@", b"%/C", b"%/E")
#: Bytes of all directories: a directory has at least a sector, and a record at
#: most 255 bytes.
_MAX_DIRECTORIES = MAX_ENTRIES * (SECTOR + 256)
#: Bytes of all continuation areas.  Of most records, all entries fit into the
#: record.
_MAX_AREAS = MAX_ENTRIES * 128


def recognizes(data: bytes) -> bool:
    """Tell whether an image has the signature of ISO9660."""
    start = _FIRST_DESCRIPTOR * SECTOR + 1
    return data[start : start + len(_SIGNATURE)] == _SIGNATURE


def read(data: bytes) -> Contents:
    """Return the contents of an image.

    :raises ImageError: if it isn't an ISO9660 image, is damaged, or uses an
        unsupported feature; the error says where
    """
    with at("can't read the ISO9660 image"):
        primary, joliet = _descriptors(memoryview(data))
        volume = _Volume(data, primary)
        name_of: Callable[[Record], str] = plain_name
        skipped = volume.skipped()
        if skipped is not None:
            name_of = functools.partial(
                rock_ridge_name,
                skipped=skipped,
                follow=volume.area,
            )
        elif joliet is not None:
            name_of = joliet_name
            volume = _Volume(data, joliet)
        return Contents(
            format=ISO9660,
            label=bytes(primary[40:72]).decode("ascii", "replace").rstrip(),
            ours=is_built_here(data[:HEAD_SIZE]),
            tree=MetadataTree(dict(volume.files(name_of))),
            stamp=stamp.decode(data, ISO9660),
        )


class _Allowance:
    """The remaining bytes of a limit."""

    def __init__(self, left: int, rule: str) -> None:
        self._left = left
        self._rule = rule

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ImageError(self._rule)


class _Volume:
    """A directory tree: the primary one, or Joliet's."""

    def __init__(self, data: bytes, descriptor: memoryview) -> None:
        with at("a volume descriptor"):
            block = both(descriptor, 128, 2)
            size = both(descriptor, 80, 4) * SECTOR
        if block != SECTOR:
            raise ImageError(
                f"its blocks have {block:,} bytes; only {SECTOR:,} bytes are"
                " supported"
            )
        if len(data) < size:
            raise ImageError(
                f"it is truncated to {len(data):,} of its {size:,} bytes"
            )
        self._data = memoryview(data)[:size]
        self._structures = _Allowance(
            size, "directories overlap: together they exceed the image's size"
        )
        self._directories = _Allowance(
            _MAX_DIRECTORIES,
            f"the directories have more than {_MAX_DIRECTORIES:,} bytes",
        )
        self._areas = _Allowance(
            _MAX_AREAS,
            f"the continuation areas have more than {_MAX_AREAS:,} bytes",
        )
        self._distinct = _Allowance(
            size, "files overlap: together they exceed the image's size"
        )
        self._shared = _Allowance(
            MAX_SHARED, f"files share more than {MAX_SHARED:,} bytes"
        )
        self._paths = Paths()
        self._contents: dict[tuple[int, int], bytes] = {}
        with at("the root directory"):
            self._root = parse(descriptor[156:190])

    def skipped(self) -> int | None:
        """Return rock_ridge_skipped of the root; None without Rock Ridge."""
        where = _where("")
        place, raw = next(self._records(where, self._root))
        with at(f"{where}, {place}"):
            dot = parse(raw)
            return rock_ridge_skipped(dot, self.area)

    def files(
        self, name_of: Callable[[Record], str]
    ) -> Iterator[tuple[str, bytes]]:
        """Yield path and content; files share equal extents in memory."""
        pending = [("", self._root)]
        seen = {self._root.location}
        while pending:
            directory, itself = pending.pop()
            for place, path, record in self._below(directory, itself, name_of):
                if not record.is_directory:
                    with at(f"{show(path)}, {place}"):
                        content = self._content(record)
                    yield path, content
                    continue
                if record.location in seen:
                    raise ImageError(
                        f"{show(path)}, {place}: the directory in sector"
                        f" {record.location:,} appears twice"
                    )
                seen.add(record.location)
                pending.append((path, record))

    def area(self, sector: int, offset: int, length: int) -> memoryview:
        """Return a continuation area of a record's entries (SUSP, 5.1)."""
        start = sector * SECTOR + offset
        if offset + length > SECTOR or start + length > len(self._data):
            raise ImageError(
                f"its entries continue for {length:,} bytes at byte {offset:,}"
                f" of sector {sector:,}, beyond the sector or the image"
            )
        self._structures.take(length)
        self._areas.take(length)
        return self._data[start : start + length]

    def _below(
        self,
        directory: str,
        itself: Record,
        name_of: Callable[[Record], str],
    ) -> Iterator[tuple[str, str, Record]]:
        """Yield place, path and record of each file and subdirectory."""
        where = _where(directory)
        names: set[str] = set()
        with at(where):
            if directory.count("/") >= DIRECTORIES:
                raise ImageError(
                    f"it is nested deeper than the {DIRECTORIES} directories"
                    " that ISO9660 allows"
                )
            length = len(self._extent(itself))
            self._structures.take(length)
            self._directories.take(length)
        records = self._records(where, itself)
        for number, (place, raw) in enumerate(records):
            with at(f"{where}, {place}"):
                record = parse(raw)
                if number < 2:
                    _check_first(number, record, itself)
                    continue
                name = name_of(record)
                if name in names:
                    raise ImageError(f"{show(name)} appears twice")
                names.add(name)
                path = f"{directory}/{name}".lstrip("/")
                self._paths.add(path)
            yield place, path, record

    def _records(
        self, where: str, directory: Record
    ) -> Iterator[tuple[str, memoryview]]:
        """Yield place and bytes of each record of a directory."""
        with at(where):
            data = self._extent(directory)
            if not data or len(data) % SECTOR or not data[0]:
                raise ImageError(
                    f"its {len(data):,} bytes are not a directory"
                )
        for start in range(0, len(data), SECTOR):
            sector = data[start : start + SECTOR]
            offset = 0
            place = f"sector {directory.location + start // SECTOR:,}"
            while offset < SECTOR and sector[offset]:
                end = offset + sector[offset]
                if end > SECTOR:
                    raise ImageError(
                        f"{where}, {place}, byte {offset}: the record exceeds"
                        " the sector"
                    )
                yield f"{place}, byte {offset}", sector[offset:end]
                offset = end
            # ECMA-119, 6.8.1.1: the rest of a sector is zeros.
            if bytes(sector[offset:]).strip(b"\0"):
                raise ImageError(
                    f"{where}, {place}, byte {offset}: data follows the"
                    " sector's last record"
                )

    def _content(self, record: Record) -> bytes:
        data = self._extent(record)
        key = (record.location, record.length)
        if key in self._contents:
            self._shared.take(len(data))
        else:
            self._distinct.take(len(data))
            self._contents[key] = bytes(data)
        return self._contents[key]

    def _extent(self, record: Record) -> memoryview:
        start = record.location * SECTOR
        end = start + record.length
        if record.length and end > len(self._data):
            raise ImageError(
                f"its {record.length:,} bytes from sector"
                f" {record.location:,} end beyond the volume, which has"
                f" {len(self._data) // SECTOR:,} sectors"
            )
        return self._data[start:end]


def _descriptors(data: memoryview) -> tuple[memoryview, memoryview | None]:
    """Return the volume descriptors, primary and Joliet (ECMA-119, 8)."""
    primary = joliet = None
    for sector in range(_FIRST_DESCRIPTOR, len(data) // SECTOR):
        descriptor = data[sector * SECTOR : (sector + 1) * SECTOR]
        if descriptor[1:6] != _SIGNATURE:
            raise ImageError(f"sector {sector} is not a volume descriptor")
        kind = descriptor[0]
        if kind == _TERMINATOR:
            break
        if kind == _PRIMARY and primary is None:
            primary = descriptor
        elif kind == _SUPPLEMENTARY and bytes(descriptor[88:91]) in _JOLIET:
            joliet = descriptor
    else:
        raise ImageError(
            f"its volume descriptors don't end within its {len(data):,} bytes"
        )
    if primary is None:
        raise ImageError("it has no primary volume descriptor")
    return primary, joliet


def _check_first(number: int, record: Record, directory: Record) -> None:
    """Refuse a directory that doesn't begin with '.' and '..'."""
    expected = (SELF, PARENT)[number]
    if record.name != expected or not record.is_directory:
        raise ImageError("the '.' or '..' record is missing")
    if number == 0 and record.location != directory.location:
        raise ImageError(
            f"the '.' record points to sector {record.location:,}, not"
            f" {directory.location:,}"
        )


def _where(directory: str) -> str:
    return show(directory) if directory else "the root directory"
