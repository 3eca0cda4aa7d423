"""What FAT12 and FAT16 are made of, for those who write and read them.

Source: Microsoft's FAT specification 1.03, called fatgen103 below.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

SIGNATURE = b"\x55\xaa"
SIGNATURE_OFFSET = 510
#: This value says that serial number, label and type are there.
EXTENDED = 0x29

_BOOT = struct.Struct("<3s8sHBHBHHBHHHIIBBBI11s8s")

#: Name, attributes, case, tenths, time, date (made), date (read), cluster's
#: high half, time, date (written), cluster, size.
ENTRY = struct.Struct("<11sBBBHHHHHHHI")
#: Ordinal, characters, attributes, type, checksum, characters, 0, characters.
LONG_ENTRY = struct.Struct("<B10sBBB12sH4s")
#: Bytes of UTF-16 in one entry of a long name, and the bit of the last one.
LONG_BYTES = 26
LONG_LAST = 0x40

VOLUME, DIRECTORY, ARCHIVE, LONG_NAME = 0x08, 0x10, 0x20, 0x0F
DOT, DOTDOT = b".".ljust(11), b"..".ljust(11)
#: A directory has 2 MiB at most: Linux has FAT_MAX_DIR_ENTRIES.
MOST_ENTRIES = 65_536

#: FAT16 begins here; with fewer clusters it is FAT12.  FAT32 begins there.
FIRST_FAT16 = 4085
FIRST_FAT32 = 65_525

#: Windows counts 260 UTF-16 units with the drive (``D:\``) and the end (NUL).
MOST_PATH_UNITS = 256
#: What no name has: fatgen103; and what UTF-16 can't hold alone.
FORBIDDEN = re.compile('[\x00-\x1f"*/:<>?\\\\|\ud800-\udfff]')


class BootSector(NamedTuple):
    """Its fields in their order: fatgen103, "Boot Sector and BPB".

    :param sector: bytes of a sector
    :param cluster: sectors of a cluster
    :param reserved: sectors before the first FAT, with this one
    :param fat: sectors of a FAT
    :param hidden: sectors before the volume
    :param total: sectors of the volume; 0 if ``large_total`` has them
    """

    jump: bytes
    oem_name: bytes
    sector: int
    cluster: int
    reserved: int
    fats: int
    root_entries: int
    total: int
    medium: int
    fat: int
    track: int
    heads: int
    hidden: int
    large_total: int
    drive: int
    flags: int
    extended: int
    serial: int
    label: bytes
    type: bytes

    def pack(self) -> bytes:
        """Return the bytes of the fields, with which the sector begins."""
        return _BOOT.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> BootSector:
        """Return the fields with which an image begins."""
        return cls._make(_BOOT.unpack_from(data))


def units(text: str) -> int:
    """Return how long a text is in UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def checksum(short_name: bytes) -> int:
    """Return what ties a long name to its short one of 11 bytes."""
    total = 0
    for byte in short_name:
        total = ((total >> 1 | total << 7) + byte) & 0xFF
    return total
