"""Mutations of the structures of ISO9660 images.

The structures are found without the product's reader, and in damaged images
too, as far as these still point to something.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from fuzz import mutate
from fuzz.mutate import put, put_both, some_number

SECTOR = 2048
_FIRST = 16 * SECTOR
_MOST_RECORDS = 300
#: Offset and size of a descriptor's numbers in both byte orders, and of its
#: other fields that readers look at.
_DESCRIPTOR_PAIRS = ((80, 4), (120, 2), (124, 2), (128, 2), (132, 4))
_DESCRIPTOR_FIELDS = (
    (0, 1), (1, 5), (6, 1), (7, 1), (40, 32), (88, 3), (140, 4), (148, 4),
    (156, 34), (190, 128), (574, 128), (813, 17), (881, 1), (883, 100),
)  # fmt: skip
_RECORD_PAIRS = ((2, 4), (10, 4), (28, 2))
_RECORD_BYTES = (0, 1, 18, 25, 26, 27, 32, 33)
_KINDS = (
    b"CE", b"NM", b"PX", b"ER", b"SP", b"ST", b"PN", b"SL", b"CL", b"RE",
    b"PL", b"SF", b"ZF", b"TF", b"RR", b"ES", b"AA", b"\0\0",
)  # fmt: skip
_MODES = (
    0o100644, 0o40755, 0o120777, 0o60600, 0o20600, 0o10600, 0o140600, 0, 0o644,
    2**32 - 1,
)  # fmt: skip
_NAMES = (
    b"", b".", b"..", b"\0", b"\1", b"/", b"a/b", b"a\0", b"../x", b"\xff",
    b"A;1", b";1", b"A.;1", b"META.JSO;1", b"\0/\0a", b"\xd8\0\xd8\0",
    b"\0A\0;\x001", b"\x1b[1m", b"\r\n", b"\xe2\x80\xae", b"n" * 200,
)  # fmt: skip
_EXTENSIONS = (b"RRIP_1991A", b"IEEE_P1282", b"IEEE_1282", b"XXXX_1991A")


@dataclass(frozen=True, slots=True)
class _Found:
    """Where an image has its structures.

    :param records: of directories, with those in the volume descriptors
    :param entries: of Rock Ridge and SUSP
    :param known: numbers of sectors and sizes that the image uses
    """

    descriptors: tuple[int, ...]
    records: tuple[int, ...]
    entries: tuple[int, ...]
    known: tuple[int, ...]


@functools.lru_cache(maxsize=512)
def _find(data: bytes) -> _Found:
    descriptors = []
    for at in range(_FIRST, min(len(data), _FIRST + 16 * SECTOR), SECTOR):
        if data[at + 1 : at + 6] != b"CD001":
            break
        descriptors.append(at)
    roots = [at + 156 for at in descriptors if data[at] in (1, 2)]
    records: dict[int, None] = dict.fromkeys(roots)
    seen: set[int] = set()
    pending = list(roots)
    while pending and len(records) < _MOST_RECORDS:
        at = pending.pop()
        for record in _records(data, *_extent(data, at)):
            records[record] = None
            sector = _extent(data, record)[0]
            if data[record + 25 : record + 26] == b"\2" and sector not in seen:
                seen.add(sector)
                pending.append(record)
    known = {at // SECTOR for at in descriptors} | {len(data) // SECTOR}
    for record in records:
        known.update(_extent(data, record))
    entries = tuple(_entries(data, list(records)))
    return _Found(
        tuple(descriptors), tuple(records), entries, tuple(sorted(known))
    )


def _extent(data: bytes | bytearray, record: int) -> tuple[int, int]:
    sector = int.from_bytes(data[record + 2 : record + 6], "little")
    return sector, int.from_bytes(data[record + 10 : record + 14], "little")


def _records(data: bytes, sector: int, size: int) -> Iterator[int]:
    end = min(sector * SECTOR + size, len(data))
    for start in range(sector * SECTOR, end, SECTOR):
        at = start
        while at < min(start + SECTOR, len(data)) and data[at]:
            yield at
            at += data[at]


def _entries(data: bytes, records: list[int]) -> Iterator[int]:
    for record in records:
        length, name = data[record : record + 1], data[record + 32 :][:1]
        if not length or not name:
            continue
        at = record + 33 + name[0] + (name[0] + 1) % 2
        areas = [(at, record + length[0])]
        for start, end in areas:
            at = start
            while at + 4 <= min(end, len(data)) and data[at + 2] >= 4:
                yield at
                if data[at : at + 2] == b"CE" and len(areas) < 4:
                    sector, offset, size = (
                        int.from_bytes(data[at + n : at + n + 4], "little")
                        for n in (4, 12, 20)
                    )
                    place = sector * SECTOR + offset
                    areas.append((place, min(place + size, place + SECTOR)))
                at += data[at + 2]


def mutate_structures(data: bytes, chance: Random) -> bytes:
    """Return an image with some of its structures changed."""
    found = _find(data)
    if not found.records:
        return data
    changed = bytearray(data)
    for _ in range(1 + int(chance.random() ** 2 * 3)):
        # What a damaged image points to may not be there.
        with contextlib.suppress(IndexError):
            chance.choice(_MUTATIONS)(changed, chance, found)
    return bytes(changed)


def _descriptor(data: bytearray, chance: Random, found: _Found) -> None:
    at = chance.choice(found.descriptors)
    if chance.random() < 0.5:
        offset, size = chance.choice(_DESCRIPTOR_PAIRS)
        put_both(data, at + offset, size, some_number(chance, found.known))
        return
    offset, size = chance.choice(_DESCRIPTOR_FIELDS)
    other = chance.choice(found.descriptors)
    raw = chance.choice(
        (
            bytes(data[other + offset : other + offset + size]),
            bytes(size),
            chance.randbytes(size),
            bytes((chance.choice((0, 1, 2, 3, 255)),)),
            chance.choice((b"%/@", b"%/C", b"%/E", b"CD001", b"BEA01")),
        )
    )
    put(data, at + offset, raw)


def _descriptors(data: bytearray, chance: Random, found: _Found) -> None:
    """Copy a descriptor over another sector, or the terminator away."""
    source = chance.choice(found.descriptors)
    target = chance.choice(
        (*found.descriptors, found.descriptors[-1] + SECTOR)
    )
    put(data, target, bytes(data[source : source + SECTOR]))


def _number(data: bytearray, chance: Random, found: _Found) -> None:
    """Set a record's location or size, in both byte orders alike."""
    at = chance.choice(found.records)
    offset, size = chance.choice(_RECORD_PAIRS[:2])
    value = some_number(chance, found.known)
    if offset == 10 and chance.random() < 0.4:
        value = value * SECTOR
    put_both(data, at + offset, size, value)


def _odd_pair(data: bytearray, chance: Random, found: _Found) -> None:
    """Set a number in one byte order."""
    at = chance.choice(found.records)
    offset, size = chance.choice(_RECORD_PAIRS)
    value = some_number(chance, found.known) % (1 << 8 * size)
    put(data, at + offset, value.to_bytes(size, "little"))


def _field(data: bytearray, chance: Random, found: _Found) -> None:
    at = chance.choice(found.records) + chance.choice(_RECORD_BYTES)
    bit = 1 << chance.randrange(8)
    value = chance.choice((0, 1, 2, 4, 34, 255, bit, data[at] ^ bit))
    put(data, at, bytes((value,)))


def _alias(data: bytearray, chance: Random, found: _Found) -> None:
    """Point a record to what another one has."""
    one, other = chance.choice(found.records), chance.choice(found.records)
    size = chance.choice((8, 16, 16, 24))
    put(data, one + 2, bytes(data[other + 2 : other + 2 + size]))


def _replace(data: bytearray, chance: Random, found: _Found) -> None:
    """Put a record in another one's place."""
    one, other = chance.choice(found.records), chance.choice(found.records)
    put(data, one, bytes(data[other : other + data[other]]))


def _insert(data: bytearray, chance: Random, found: _Found) -> None:
    """Insert a record before another one, or take one out."""
    at, other = chance.choice(found.records), chance.choice(found.records)
    if at < found.descriptors[-1] + SECTOR:
        return
    record = bytes(data[other : other + data[other]])
    end = at - at % SECTOR + SECTOR
    rest = bytes(data[at:end])
    if chance.random() < 0.3:
        rest = rest[data[at] :].ljust(len(rest), b"\0")
        put(data, at, rest)
        return
    renamed = bytearray(record)
    # Another name in plain, or in Joliet.
    if len(renamed) > 34:
        renamed[33 + chance.randrange(2)] ^= 1 << chance.randrange(4)
    put(data, at, (bytes(renamed) + rest)[: len(rest)])


def _name(data: bytearray, chance: Random, found: _Found) -> None:
    at = chance.choice(found.records)
    length = data[at + 32] if at + 32 < len(data) else 0
    raw = chance.choice(_NAMES)
    if chance.random() < 0.5:
        raw = raw[:length].ljust(length, chance.choice((b"\0", b"x")))
    put(data, at + 32, bytes((len(raw),)))
    put(data, at + 33, raw)


def _entry(data: bytearray, chance: Random, found: _Found) -> None:
    """Change an entry of Rock Ridge."""
    if not found.entries:
        return
    at = chance.choice(found.entries)
    kind = bytes(data[at : at + 2])
    what = chance.randrange(6)
    if what == 0:
        put(data, at, chance.choice(_KINDS))
    elif what == 1:
        length = chance.choice((0, 3, 4, 5, 7, 12, 28, 36, 255, data[at + 2]))
        length = max(0, min(255, length + chance.choice((0, 0, 1, -1))))
        put(data, at + 2, bytes((length,)))
    elif what == 2:
        put(data, at + 3, chance.randbytes(1))
    elif kind == b"NM":
        put(data, at + 4, bytes((chance.choice((0, 1, 2, 4, 8, 0x20)),)))
        size = max(0, data[at + 2] - 5)
        if chance.random() < 0.7:
            put(data, at + 5, chance.choice(_NAMES)[:size])
    elif kind == b"PX":
        put_both(data, at + 4, 4, chance.choice(_MODES))
    elif kind == b"CE":
        offset = chance.choice((4, 12, 20))
        put_both(data, at + offset, 4, some_number(chance, found.known))
    elif kind == b"ER":
        put(data, at + 8, chance.choice(_EXTENSIONS))
    else:
        mutate.put_number(data, at + 4, chance, found.known)


def _continue(data: bytearray, chance: Random, found: _Found) -> None:
    """Turn an entry into one that goes on elsewhere, maybe in itself."""
    if not found.entries:
        return
    at = chance.choice(found.entries)
    there = chance.choice((at, *found.entries, chance.randrange(len(data))))
    size = chance.choice((28, 4, 0, SECTOR - there % SECTOR, 2048, 56))
    put(data, at, b"CE\x1c\1")
    for offset, value in ((4, there // SECTOR), (12, there % SECTOR)):
        put_both(data, at + offset, 4, value)
    put_both(data, at + 20, 4, size)


def _swap_entries(data: bytearray, chance: Random, found: _Found) -> None:
    if not found.entries:
        return
    one, other = chance.choice(found.entries), chance.choice(found.entries)
    size = data[other + 2] if other + 2 < len(data) else 0
    put(data, one, bytes(data[other : other + size]))


def _chain(data: bytearray, chance: Random, found: _Found) -> None:
    """Append a chain of continuation areas, and have an entry lead there."""
    if not found.entries or len(data) > 1 << 20:
        return
    links = chance.choice((2, 31, 32, 33, 70))
    first = len(data) // SECTOR
    data += bytes(-len(data) % SECTOR + SECTOR)
    at = chance.choice(found.entries)
    for link in range(links):
        put(data, at, b"CE\x1c\1")
        for offset, value in ((4, first), (12, link * 28), (20, 28)):
            put_both(data, at + offset, 4, value)
        at = first * SECTOR + link * 28
    put(data, at, chance.choice((b"NM\x06\1\0x", b"ST\4\1", bytes(28))))
    _fit(data, found)


def _crowd(data: bytearray, chance: Random, found: _Found) -> None:
    """Append a directory of very many records for a directory to have."""
    if len(data) > 1 << 20 or chance.random() < 0.9:
        return
    directories = [at for at in found.records if data[at + 25] & 2]
    files = [at for at in found.records if not data[at + 25] & 2]
    if not directories or not files:
        return
    at = chance.choice(directories)
    old = _extent(data, at)[0] * SECTOR
    dots = bytes(data[old : old + 512])
    first = dots[0]
    dots = dots[: first + dots[first]]
    like = chance.choice(files)
    shared = bytes(data[like : like + 33])
    sectors = chance.choice((2, 8, 64, 400))
    place = len(data) // SECTOR
    number = 0
    data += bytes(-len(data) % SECTOR)
    for _ in range(sectors):
        block = bytearray(b"" if number else dots)
        while len(block) < SECTOR - 40:
            name = b"%05d" % number
            record = shared[:32] + bytes((len(name),)) + name
            block += bytes((len(record),)) + record[1:]
            number += 1
        data += block.ljust(SECTOR, b"\0")
    put_both(data, at + 2, 4, place)
    put_both(data, at + 10, 4, sectors * SECTOR)
    put_both(data, place * SECTOR + 2, 4, place)
    put_both(data, place * SECTOR + 10, 4, sectors * SECTOR)
    _fit(data, found)


def _fit(data: bytearray, found: _Found) -> None:
    """Say in the descriptors how large the image is now."""
    for at in found.descriptors:
        put_both(data, at + 80, 4, len(data) // SECTOR)


_MUTATIONS: tuple[Callable[[bytearray, Random, _Found], None], ...] = (
    _descriptor, _descriptors, _number, _number, _odd_pair, _field, _alias,
    _alias, _replace, _insert, _insert, _name, _entry, _entry, _entry,
    _continue, _swap_entries, _chain, _crowd,
)  # fmt: skip
