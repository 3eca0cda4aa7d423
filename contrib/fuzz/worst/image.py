"""A drive becomes an image."""

from __future__ import annotations

import hashlib
import struct

from fuzz.worst.drive import LARGEST, Drive, files_of
from fuzz.worst.iso9660 import Iso
from fuzz.worst.vfat import Fat


def image_of(drive: Drive) -> bytes | None:
    """Return a drive's bytes; None if it has more than 64 MiB."""
    if drive.size * drive.distinct > LARGEST or drive.blob > LARGEST:
        return None
    files = files_of(drive)
    stored = files.values()
    held = stored if drive.vfat else {id(one): one for one in stored}.values()
    if sum(map(len, held)) > LARGEST:
        return None
    stamp = b""
    if drive.stamp:
        line = f"CFGDRIVE_VIRT 1 sha256={fingerprint(files)}\n"
        stamp = line.encode()
    try:
        built = (Fat if drive.vfat else Iso)(drive).build(files, stamp)
    except struct.error:
        # More clusters or entries than FAT16 has.
        return None
    return built if len(built) <= LARGEST else None


def fingerprint(files: dict[str, bytes]) -> str:
    """Return what the stamp of a drive with these files says."""
    digest = hashlib.sha256()
    for path in sorted(files):
        name = path.encode()
        digest.update(b"%d %d " % (len(name), len(files[path])))
        digest.update(name)
        digest.update(files[path])
    return digest.hexdigest()
