"""ISO9660 with plain names, or with Rock Ridge for continuation areas."""

from __future__ import annotations

import struct

from fuzz.worst.drive import Drive, Node, tree_of

_SECTOR = 2048


def _both(number: int, code: str = "I") -> bytes:
    return struct.pack(f"<{code}", number) + struct.pack(f">{code}", number)


def _record(
    name: bytes, sector: int, size: int, flags: int = 0, use: bytes = b""
) -> bytes:
    made = bytearray(33) + name + bytes((len(name) + 1) % 2) + use
    made += bytes(len(made) % 2)
    made[0], made[25], made[32] = len(made), flags, len(name)
    made[2:18] = _both(sector) + _both(size)
    made[28:32] = _both(1, "H")
    return bytes(made)


def _in_sectors(records: list[bytes]) -> bytes:
    sectors, room = [bytearray()], _SECTOR
    for record in records:
        if len(record) > room:
            sectors[-1] += bytes(room)
            sectors.append(bytearray())
            room = _SECTOR
        sectors[-1] += record
        room -= len(record)
    sectors[-1] += bytes(room)
    return b"".join(sectors)


class Iso:
    """An ISO9660 image, built from the leaves to the root."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.data = bytearray(19 * _SECTOR)
        self.extents: dict[int, int] = {}

    def _put(self, content: bytes) -> int:
        sector = len(self.data) // _SECTOR
        self.data += content
        self.data += bytes(-len(content) % _SECTOR)
        return sector

    def build(self, files: dict[str, bytes], stamp: bytes) -> bytes:
        """Return the bytes of the image."""
        root, size = self._directory(tree_of(self.drive, files), top=True)
        count = len(self.data) // _SECTOR
        primary = bytearray(_SECTOR)
        primary[:7] = b"\1CD001\1"
        primary[40:72] = b"config-2".ljust(32)
        primary[80:88] = _both(count)
        primary[120:132] = _both(1, "H") * 2 + _both(_SECTOR, "H")
        primary[156:190] = _record(b"\0", root, size, 2)
        primary[883 : 883 + len(stamp)] = stamp
        self.data[16 * _SECTOR : 17 * _SECTOR] = primary
        self.data[17 * _SECTOR : 17 * _SECTOR + 7] = b"\xffCD001\1"
        return bytes(self.data)

    def _use(self) -> bytes:
        """Return an entry for a continuation area of its own, full of them."""
        size = self.drive.areas // 4 * 4
        if not size:
            return b""
        sector = self._put(b"XX\4\1" * (size // 4))
        return b"CE\x1c\1" + _both(sector) + _both(0) + _both(size)

    def _directory(self, node: Node, *, top: bool = False) -> tuple[int, int]:
        entries = []
        for name, below in node.items():
            if isinstance(below, dict):
                sector, size = self._directory(below)
                entries.append((name, sector, size, 2))
            else:
                if id(below) not in self.extents:
                    self.extents[id(below)] = self._put(below)
                sector = self.extents[id(below)]
                entries.append((name, sector, len(below), 0))
        records = [
            _record(name.encode(), sector, size, flags, self._use())
            for name, sector, size, flags in entries
        ]
        rock_ridge = b""
        if top and self.drive.areas:
            rock_ridge = b"SP\x07\x01\xbe\xef\0ER\x12\x01\x0a\0\0\1RRIP_1991A"
        own = len(_record(b"\0", 0, 0, 2, rock_ridge))
        size = len(_in_sectors([bytes(own), bytes(34), *records]))
        sector = len(self.data) // _SECTOR
        itself = _record(b"\0", sector, size, 2, rock_ridge)
        above = _record(b"\1", sector, size, 2)
        return self._put(_in_sectors([itself, above, *records])), size
