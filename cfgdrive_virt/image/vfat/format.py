"""The on-disk structures of FAT12 and FAT16, for writer and reader.

Source: Microsoft's FAT specification 1.03, called fatgen103 below.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

SIGNATURE = b"\x55\xaa"
SIGNATURE_OFFSET = 510
#: Extended boot signature: serial number, label and type are present.
EXTENDED = 0x29

_BOOT = struct.Struct("<3s8sHBHBHHBHHHIIBBBI11s8s")

#: Name, attributes, case, creation (tenths, time, date), access date, high
#: half of the cluster, write time and date, cluster, size.
ENTRY = struct.Struct("<11sBBBHHHHHHHI")
#: Ordinal, characters, attributes, type, checksum, characters, 0, characters.
LONG_ENTRY = struct.Struct("<B10sBBB12sH4s")
#: Bytes of UTF-16 in a long name's entry, and the flag of the last entry.
LONG_BYTES = 26
LONG_LAST = 0x40

VOLUME, DIRECTORY, ARCHIVE, LONG_NAME = 0x08, 0x10, 0x20, 0x0F
DOT, DOTDOT = b".".ljust(11), b"..".ljust(11)
#: A directory has at most 2 MiB: Linux' FAT_MAX_DIR_ENTRIES.
MAX_ENTRIES = 65_536

#: The smallest numbers of clusters of FAT16 and FAT32.
FIRST_FAT16 = 4085
FIRST_FAT32 = 65_525

#: Windows' limit is 260 UTF-16 units with the drive (``D:\``) and a NUL.
MAX_PATH_UNITS = 256
#: Not allowed in names: by fatgen103, and lone surrogates.
FORBIDDEN = re.compile('[\x00-\x1f"*/:<>?\\\\|\ud800-\udfff]')


class BootSector(NamedTuple):
    """The fields in their order: fatgen103, "Boot Sector and BPB".

    :param sector: bytes per sector
    :param cluster: sectors per cluster
    :param reserved: sectors before the first FAT, including this one
    :param fat: sectors per FAT
    :param hidden: sectors before the volume
    :param total: sectors of the volume; 0 if they are in ``large_total``
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
        """Return the fields as the first bytes of the boot sector."""
        return _BOOT.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> BootSector:
        """Return the fields at the beginning of an image."""
        return cls._make(_BOOT.unpack_from(data))


def units(text: str) -> int:
    """Return the length of a string in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def checksum(short_name: bytes) -> int:
    """Return the checksum of a short name, for its long name's entries."""
    total = 0
    for byte in short_name:
        total = ((total >> 1 | total << 7) + byte) & 0xFF
    return total
