"""Mutations of the structures of VFAT images.

The structures are found without the product's reader, and in damaged images
too, as far as these still point to something.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from fuzz.mutate import put, some_number

_ENTRY = 32
_SECTOR = 512
_MOST_ENTRIES = 400
#: Offset and size of the boot sector's fields.
_BOOT_FIELDS = (
    (0, 1), (11, 2), (13, 1), (14, 2), (16, 1), (17, 2), (19, 2), (21, 1),
    (22, 2), (24, 2), (28, 4), (32, 4), (36, 1), (38, 1), (39, 4), (43, 4),
    (54, 4), (510, 2),
)  # fmt: skip
_ENTRY_FIELDS = (
    (0, 1), (0, 11), (8, 3), (11, 1), (12, 1), (13, 1), (14, 2), (16, 2),
    (20, 2), (22, 2), (24, 2), (26, 2), (28, 4),
)  # fmt: skip
_ATTRIBUTES = (0, 1, 2, 4, 8, 0x0F, 0x10, 0x18, 0x1F, 0x20, 0x30, 0x3F, 0xFF)
_NAMES = (
    b".          ", b"..         ", b"           ", b"\0          ",
    b"\xe5          ", b"\x05ABC    TXT", b"A/B     TXT", b"A       /  ",
    b"a\x00b        ", b"META_D~1JSO", b"CON        ", b"\xff" * 11,
    b"\x81\x82\x83     \xe1\xe2\xe3", b" A         ",
)  # fmt: skip
_CHARACTERS = (
    0, 0xFFFF, 0x20, 0x2E, 0x2F, 0x2A, 0x1F, 0xD800, 0xDC00, 0xDBFF, 0x202E,
    0xFEFF, 0x41, 0xE9,
)  # fmt: skip
_LONG_CHARACTERS = (*range(1, 11, 2), *range(14, 26, 2), 28, 30)
_MANY = (64, 512, 4000, 12_000, 60_000)
_ROOT_ENTRIES = 16
_LONG_NAME = b"A" * 11


@dataclass(frozen=True, slots=True)
class _Found:
    """Where an image has its structures.

    :param fats: the offset of each FAT
    :param width: bits of a FAT's entry
    :param long: the entries that are parts of long names
    :param known: numbers of clusters and sizes that the image uses
    """

    fats: tuple[int, ...]
    width: int
    clusters: int
    entries: tuple[int, ...]
    long: tuple[int, ...]
    known: tuple[int, ...]


@functools.lru_cache(maxsize=512)
def _find(data: bytes) -> _Found | None:
    if len(data) < 512:
        return None
    sector, cluster, reserved, fats, roots, total = struct.unpack_from(
        "<HBHBHH", data, 11
    )
    fat, large = struct.unpack_from("<H8xI", data, 22)
    if not sector or not cluster or not 0 < fats < 8:
        return None
    starts = [(reserved + fat * copy) * sector for copy in range(fats)]
    root = (reserved + fat * fats) * sector
    first = root + roots * _ENTRY
    clusters = ((total or large) * sector - first) // (sector * cluster)
    width = 12 if clusters < 4085 else 16
    if not 0 < clusters < 70_000 or first > len(data):
        return None
    entries: list[int] = []
    pending = [(root, first)]
    seen = set()
    known = {clusters, clusters + 1, clusters + 2, 0xFF8, 0xFFF, 0xFFFF}
    while pending and len(entries) < _MOST_ENTRIES:
        start, end = pending.pop()
        for at in _entries(data, start, end):
            entries.append(at)
            low, size = struct.unpack_from("<HI", data, at + 26)
            if data[at + 11] == 0x0F:
                continue
            known.update((low, size))
            if data[at + 11] & 0x10 and low >= 2 and low not in seen:
                seen.add(low)
                place = first + (low - 2) * sector * cluster
                pending.append((place, place + sector * cluster))
    long = tuple(at for at in entries if data[at + 11] == 0x0F)
    short = tuple(at for at in entries if data[at + 11] != 0x0F)
    return _Found(
        tuple(starts), width, clusters, short, long, tuple(sorted(known))
    )


def _entries(data: bytes, start: int, end: int) -> Iterator[int]:
    for at in range(start, min(end, len(data) - _ENTRY), _ENTRY):
        if not data[at]:
            return
        yield at


def mutate_structures(data: bytes, chance: Random) -> bytes:
    """Return an image with some of its structures changed."""
    if chance.random() < 0.0005:
        return crowd(chance)
    found = _find(data)
    if found is None or not found.entries:
        return data
    changed = bytearray(data)
    for _ in range(1 + int(chance.random() ** 2 * 3)):
        # What a damaged image points to may not be there.
        with contextlib.suppress(IndexError):
            chance.choice(_MUTATIONS)(changed, chance, found)
    return bytes(changed)


def _boot(data: bytearray, chance: Random, _found: _Found) -> None:
    offset, size = chance.choice(_BOOT_FIELDS)
    value = int.from_bytes(data[offset : offset + size], "little")
    changed = chance.choice(
        (
            value + 1,
            value - 1,
            value * 2,
            value // 2,
            value ^ 1 << chance.randrange(8 * size),
            some_number(chance),
        )
    )
    put(data, offset, (changed % (1 << 8 * size)).to_bytes(size, "little"))


def _link(data: bytearray, chance: Random, found: _Found) -> None:
    """Have another cluster follow one, in all FATs or in one."""
    cluster = chance.choice(found.known)
    if chance.random() < 0.4 or cluster > found.clusters + 1:
        cluster = chance.randrange(found.clusters + 2)
    following = some_number(chance, (*found.known, cluster))
    copies = found.fats
    if chance.random() < 0.15:
        copies = (chance.choice(found.fats),)
    for fat in copies:
        _put_link(data, fat, found.width, cluster, following)


def _put_link(
    data: bytearray, fat: int, width: int, cluster: int, following: int
) -> None:
    if width == 16:
        put(
            data, fat + 2 * cluster, (following & 0xFFFF).to_bytes(2, "little")
        )
        return
    at = fat + cluster * 3 // 2
    shift = cluster % 2 * 4
    old = int.from_bytes(data[at : at + 2], "little")
    new = old & ~(0xFFF << shift) | (following & 0xFFF) << shift
    put(data, at, (new & 0xFFFF).to_bytes(2, "little"))


def _chain(data: bytearray, chance: Random, found: _Found) -> None:
    """Link a long run of clusters, and have an entry begin there."""
    length = min(chance.choice((2, 3, 64, 10_000)), found.clusters)
    first = chance.randrange(2, max(3, found.clusters + 3 - length))
    end = chance.choice((0xFFF, 0xFFF, first, 0, 1, 0xFF7))
    if end == 0xFFF and found.width == 16:
        end = 0xFFFF
    for fat in found.fats:
        for cluster in range(first, first + length - 1):
            _put_link(data, fat, found.width, cluster, cluster + 1)
        _put_link(data, fat, found.width, first + length - 1, end)
    at = chance.choice(found.entries)
    size = chance.choice((0, length * 512, length * 512 - 1, length * 2048))
    put(data, at + 26, struct.pack("<HI", first & 0xFFFF, size))


def _field(data: bytearray, chance: Random, found: _Found) -> None:
    at = chance.choice(found.entries)
    offset, size = chance.choice(_ENTRY_FIELDS)
    other = chance.choice(found.entries)
    raw = bytes(data[other + offset : other + offset + size])
    if chance.random() < 0.6:
        value = some_number(chance, found.known) % (1 << 8 * size)
        raw = value.to_bytes(size, "little")
    if offset == 11:
        raw = bytes((chance.choice(_ATTRIBUTES),))
    put(data, at + offset, raw)


def _name(data: bytearray, chance: Random, found: _Found) -> None:
    """Rename an entry, most often with the checksum of its long name."""
    at = chance.choice(found.entries)
    own = bytes(data[at : at + 11])
    some = (chance.choice(_NAMES), own, chance.randbytes(11))
    name = bytearray(chance.choice(some))
    if chance.random() < 0.5:
        name[chance.randrange(11)] = chance.choice(b"\0 .AZaz~/\x05\xe5\x80")
    put(data, at, bytes(name))
    if chance.random() < 0.7:
        part = at - _ENTRY
        while part in found.long:
            put(data, part + 13, bytes((_checksum(name),)))
            part -= _ENTRY


def _long(data: bytearray, chance: Random, found: _Found) -> None:
    """Change a part of a long name: number, kind, sum or a character."""
    if not found.long:
        return
    at = chance.choice(found.long)
    what = chance.randrange(6)
    if what == 0:
        number = chance.choice((0, 1, 2, 20, 21, 63, 0x40, 0x41, 0x54, 0xE5))
        put(data, at, bytes((number,)))
    elif what == 1:
        put(data, at + 11, bytes((chance.choice(_ATTRIBUTES),)))
    elif what == 2:
        put(data, at + chance.choice((12, 13, 26)), chance.randbytes(1))
    else:
        for _ in range(chance.choice((1, 1, 2, 13))):
            place = at + chance.choice(_LONG_CHARACTERS)
            put(data, place, chance.choice(_CHARACTERS).to_bytes(2, "little"))


def _swap(data: bytearray, chance: Random, found: _Found) -> None:
    """Put an entry in another one's place, or exchange two."""
    some = (*found.entries, *found.long)
    one, other = chance.choice(some), chance.choice(some)
    size = _ENTRY * chance.choice((1, 1, 2, 3))
    first = bytes(data[one : one + size])
    put(data, one, bytes(data[other : other + size]))
    if chance.random() < 0.5:
        put(data, other, first)


def _drop(data: bytearray, chance: Random, found: _Found) -> None:
    at = chance.choice((*found.entries, *found.long))
    put(data, at, chance.choice((b"\xe5", b"\0", b"\x05", b".")))


def _alias(data: bytearray, chance: Random, found: _Found) -> None:
    """Point an entry to what another one has."""
    one, other = chance.choice(found.entries), chance.choice(found.entries)
    put(data, one + 26, bytes(data[other + 26 : other + 32]))


def _empty(data: bytearray, chance: Random, found: _Found) -> None:
    """Turn entries into empty files, or into directories."""
    for _ in range(chance.choice((1, 3))):
        at = chance.choice(found.entries)
        put(data, at + 11, bytes((chance.choice((0x20, 0x10)),)))
        if chance.random() < 0.7:
            put(data, at + 26, bytes(6))


def _checksum(short: bytes | bytearray) -> int:
    total = 0
    for byte in short:
        total = ((total >> 1 | total << 7) + byte) & 0xFF
    return total


def crowd(chance: Random) -> bytes:
    """Return an image of very many empty files in a deep directory."""
    depth = chance.choice((0, 1, 15, 18))
    count = chance.choice(_MANY)
    # The root, directories in each other, and the clusters of the last one.
    blocks = [bytearray(_ROOT_ENTRIES * _ENTRY)]
    for number in range(depth + 1):
        _put_entry(blocks[-1], _LONG_NAME, 0x10, 2 + number)
        block = bytearray(_SECTOR)
        _put_entry(block, b".".ljust(11), 0x10, 2 + number)
        _put_entry(block, b"..".ljust(11), 0x10, 1 + number if number else 0)
        blocks.append(block)
    crowded = blocks.pop()
    crowded += bytes(-count * _ENTRY % _SECTOR + count * _ENTRY)
    for number in range(count):
        _put_entry(crowded, b"%-11d" % number, 0x20, 0, 2 + number)
    clusters = depth + len(crowded) // _SECTOR
    links = [0xFFF8, *[0xFFFF] * (depth + 1), *range(depth + 3, clusters + 2)]
    links.append(0xFFFF)
    fat = _packed(links, 12 if clusters < 4085 else 16)
    total = 1 + len(fat) // _SECTOR + _ROOT_ENTRIES * _ENTRY // _SECTOR
    boot = bytearray(_SECTOR)
    boot[:3] = b"\xeb\x3c\x90"
    struct.pack_into(
        *("<HBHBHHBH", boot, 11, _SECTOR, 1, 1, 1, _ROOT_ENTRIES),
        *(total + clusters, 0xF8, len(fat) // _SECTOR),
    )
    boot[510:] = b"\x55\xaa"
    return b"".join((boot, fat, *blocks, crowded))


def _packed(links: list[int], width: int) -> bytes:
    """Return a FAT, in whole sectors."""
    if width == 16:
        fat = struct.pack(f"<{len(links)}H", *links)
    else:
        pairs = zip(links[::2], [*links[1::2], 0], strict=False)
        fat = b"".join(
            (low & 0xFFF | (high & 0xFFF) << 12).to_bytes(3, "little")
            for low, high in pairs
        )
    return fat + bytes(-len(fat) % _SECTOR)


def _put_entry(
    block: bytearray, name: bytes, kind: int, cluster: int, number: int = -1
) -> None:
    """Write an entry at a number, or at the first one that is unused."""
    if number < 0:
        number = next(
            at for at in range(0, len(block), _ENTRY) if not block[at]
        )
        number //= _ENTRY
    raw = name[:11] + bytes((kind,)) + bytes(14)
    put(block, number * _ENTRY, raw + struct.pack("<HI", cluster, 0))


_MUTATIONS: tuple[Callable[[bytearray, Random, _Found], None], ...] = (
    _boot, _boot, _link, _link, _link, _chain, _field, _field, _field, _name,
    _name, _long, _long, _long, _swap, _swap, _drop, _alias, _alias, _empty,
)  # fmt: skip
