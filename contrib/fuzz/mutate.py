"""Mutations of bytes of any format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Literal

#: Numbers at the limits of what fields hold, and of what formats allow.
NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 18, 19, 28, 31, 32, 33, 34, 63, 64, 65,
    127, 128, 129, 254, 255, 256, 257, 511, 512, 513, 1023, 1024, 2047, 2048,
    2049, 4084, 4085, 4086, 4087, 4095, 4096, 0xFF0, 0xFF6, 0xFF7, 0xFF8,
    0xFFF, 0x7FFF, 0x8000, 0x8001, 0xFFF0, 0xFFF6, 0xFFF7, 0xFFF8, 0xFFFE,
    0xFFFF, 0x10000, 2**24 - 1, 2**24, 2**28, 2**30, 2**31 - 1, 2**31,
    2**31 + 1, 2**32 - 2048, 2**32 - 512, 2**32 - 2, 2**32 - 1, 2**63,
    2**64 - 1,
)  # fmt: skip
_SIZES = (1, 2, 2, 4, 4, 4, 8)
_BLOCKS = (1, 2, 4, 8, 16, 32, 32, 64, 512, 2048)

_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")

#: Changes bytes in place; the other input is one to take from.
Mutation = Callable[[bytearray, Random, bytes], None]


def flip(data: bytearray, chance: Random, _other: bytes) -> None:
    """Flip one bit."""
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def byte(data: bytearray, chance: Random, _other: bytes) -> None:
    """Set one byte."""
    data[chance.randrange(len(data))] = chance.randrange(256)


def number(data: bytearray, chance: Random, _other: bytes) -> None:
    """Put a number, in either byte order or in both, anywhere."""
    put_number(data, chance.randrange(len(data)), chance)


def add(data: bytearray, chance: Random, _other: bytes) -> None:
    """Add a little to a number."""
    size = chance.choice(_SIZES)
    order = chance.choice(_ORDERS)
    at = chance.randrange(len(data))
    value = int.from_bytes(data[at : at + size], order)
    value = (value + chance.randint(-4, 4)) % (1 << 8 * size)
    put(data, at, value.to_bytes(size, order))


def copy(data: bytearray, chance: Random, _other: bytes) -> None:
    """Put a piece over another one."""
    source, size = _piece(data, chance)
    put(data, chance.randrange(len(data)), bytes(data[source : source + size]))


def swap(data: bytearray, chance: Random, _other: bytes) -> None:
    """Exchange two pieces."""
    one, size = _piece(data, chance)
    two = chance.randrange(len(data))
    first, second = (
        bytes(data[one : one + size]),
        bytes(data[two : two + size]),
    )
    put(data, one, second)
    put(data, two, first)


def delete(data: bytearray, chance: Random, _other: bytes) -> None:
    """Delete a piece."""
    at, size = _piece(data, chance)
    del data[at : at + size]


def insert(data: bytearray, chance: Random, _other: bytes) -> None:
    """Insert noise, or a copy of a piece."""
    at, size = _piece(data, chance)
    piece = data[at : at + size]
    if chance.random() < 0.5:
        piece = bytearray(chance.randbytes(min(size, 64)))
    where = chance.randrange(len(data) + 1)
    data[where:where] = piece


def repeat(data: bytearray, chance: Random, _other: bytes) -> None:
    """Repeat a piece several times."""
    at, size = _piece(data, chance)
    piece = data[at : at + size]
    times = min(1 << chance.randrange(10), 65_536 // max(1, len(piece)))
    data[at:at] = piece * times


def blank(data: bytearray, chance: Random, _other: bytes) -> None:
    """Fill a piece with one byte."""
    at, size = _piece(data, chance)
    fill = chance.choice((b"\0", b"\xff", b" ", b"\xe5", chance.randbytes(1)))
    put(data, at, fill * size)


def splice(data: bytearray, chance: Random, other: bytes) -> None:
    """Go on with another input somewhere, or put a piece of it in."""
    if not other:
        return
    at = chance.randrange(len(data))
    if chance.random() < 0.3:
        data[at:] = other[at:]
        return
    source, size = _piece(other, chance)
    put(data, at, other[source : source + size])


def truncate(data: bytearray, chance: Random, _other: bytes) -> None:
    """Cut the end off."""
    del data[chance.randrange(len(data)) :]


def extend(data: bytearray, chance: Random, _other: bytes) -> None:
    """Append zeros, noise, or the beginning again."""
    size = chance.choice(_BLOCKS)
    data += chance.choice((bytes(size), chance.randbytes(size), data[:size]))


IN_PLACE: tuple[Mutation, ...] = (
    flip, flip, byte, number, number, add, copy, swap, blank, splice,
)  # fmt: skip
OF_SIZE: tuple[Mutation, ...] = (delete, insert, repeat, truncate, extend)


def mutate(
    data: bytearray,
    chance: Random,
    pool: Sequence[bytes],
    mutations: Sequence[Mutation],
    most: int = 4,
) -> None:
    """Apply some mutations, few more often than many."""
    for _ in range(1 + int(chance.random() ** 2 * most)):
        if data:
            chance.choice(mutations)(data, chance, chance.choice(pool))


def put(data: bytearray, at: int, raw: bytes) -> None:
    """Overwrite bytes; the size stays."""
    raw = raw[: max(0, len(data) - at)]
    data[at : at + len(raw)] = raw


def put_number(
    data: bytearray, at: int, chance: Random, known: Sequence[int] = ()
) -> None:
    """Put a number that may be interesting at an offset.

    :param known: numbers that have a meaning in this input
    """
    size = chance.choice(_SIZES)
    value = some_number(chance, known) % (1 << 8 * size)
    if chance.random() < 0.7:
        put(data, at, value.to_bytes(size, chance.choice(_ORDERS)))
    else:
        put_both(data, at, size, value)


def put_both(data: bytearray, at: int, size: int, value: int) -> None:
    """Put a number in both byte orders, as ISO9660 does."""
    value %= 1 << 8 * size
    little, big = value.to_bytes(size, "little"), value.to_bytes(size, "big")
    put(data, at, little + big)


def some_number(chance: Random, known: Sequence[int] = ()) -> int:
    """Return a number at some limit, or near one that has a meaning."""
    if known and chance.random() < 0.6:
        return max(0, chance.choice(known) + chance.choice((0, 0, 0, 1, -1)))
    if chance.random() < 0.8:
        return chance.choice(NUMBERS)
    return chance.getrandbits(chance.choice((4, 8, 16, 32)))


def _piece(data: bytes | bytearray, chance: Random) -> tuple[int, int]:
    """Return where some piece begins, and its size."""
    size = chance.choice(_BLOCKS)
    at = chance.randrange(len(data)) if data else 0
    # The structures of images are aligned.
    if size >= 32 and chance.random() < 0.7:
        at -= at % size
    return at, min(size, len(data) - at)
