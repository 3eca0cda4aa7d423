"""ISO9660 images by hand, from any parts: what no tool would write."""

from __future__ import annotations

import stat
import struct

SECTOR = 2048
#: Where the first of the sectors is that a test gives; the root directory.
FIRST = 19

DIRECTORY = 2
SUSP = b"SP\x07\x01\xbe\xef\0"
RRIP = b"ER\x12\x01\x0a\0\0\1RRIP_1991A"
ROCK_RIDGE = SUSP + RRIP


def both(number: int, code: str = "I") -> bytes:
    """Return a number in both byte orders, as ISO9660 has them."""
    return struct.pack(f"<{code}", number) + struct.pack(f">{code}", number)


def record(
    name: bytes,
    sector: int,
    size: int = SECTOR,
    flags: int = 0,
    system_use: bytes = b"",
) -> bytes:
    """Return a directory record (ECMA-119, 9.1)."""
    made = bytearray(32) + bytes((len(name),)) + name
    made += bytes((len(name) + 1) % 2) + system_use
    made += bytes(len(made) % 2)
    made[0] = len(made)
    made[2:18] = both(sector) + both(size)
    made[25] = flags
    made[28:32] = both(1, "H")
    return bytes(made)


def directory(
    sector: int, *records: bytes, parent: int = FIRST, system_use: bytes = b""
) -> bytes:
    """Return the sector of a directory."""
    own = record(b"\0", sector, flags=DIRECTORY, system_use=system_use)
    above = record(b"\1", parent, flags=DIRECTORY)
    return b"".join((own, above, *records)).ljust(SECTOR, b"\0")


def descriptor(
    kind: int, root: int, sectors: int, escape: bytes = b""
) -> bytes:
    """Return a volume descriptor (ECMA-119, 8.4 and 8.5)."""
    made = bytearray(SECTOR)
    made[:7] = bytes((kind,)) + b"CD001\1"
    made[40:72] = b"config-2".ljust(32)
    made[80:88] = both(sectors)
    made[88 : 88 + len(escape)] = escape
    made[120:132] = both(1, "H") + both(1, "H") + both(SECTOR, "H")
    made[156:190] = record(b"\0", root, flags=DIRECTORY)
    return bytes(made)


def image(*sectors: bytes, joliet: int | None = None) -> bytes:
    """Return an image whose sectors from FIRST on are these.

    :param joliet: the sector of Joliet's root directory
    """
    content = b"".join(map(_whole, sectors))
    count = FIRST + len(content) // SECTOR
    primary = descriptor(1, FIRST, count)
    second = (
        descriptor(0, 0, 0)
        if joliet is None
        else descriptor(2, joliet, count, b"%/E")
    )
    last = _whole(b"\xffCD001\1")
    return bytes(16 * SECTOR) + primary + second + last + content


def _whole(data: bytes) -> bytes:
    return data + bytes(-len(data) % SECTOR)


def name(raw: bytes, flags: int = 0) -> bytes:
    """Return Rock Ridge's entry of a name, or of a part of it."""
    return b"NM" + bytes((5 + len(raw), 1, flags)) + raw


def mode(value: int = stat.S_IFREG | 0o444) -> bytes:
    """Return Rock Ridge's entry of a mode, with a link and no owner."""
    return b"PX\x24\1" + both(value) + both(1) + both(0) + both(0)


def continued(sector: int, offset: int, size: int) -> bytes:
    """Return the entry that says where entries go on (SUSP, 5.1)."""
    return b"CE\x1c\1" + both(sector) + both(offset) + both(size)
