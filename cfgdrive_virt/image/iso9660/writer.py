"""A tree becomes an ISO9660 image with Rock Ridge and Joliet.

Linux reads the names of Rock Ridge, Windows those of Joliet.  Both store names
exactly, so a tree with names that Joliet can't store is refused.  (Some
readers change Joliet's names: 7z drops a trailing dot, libarchive composes
accents.  A config drive's own names are not affected.)  Equal contents are
stored once.  Only this module imports pycdlib; the reader doesn't use it,
because hostile images make it take unlimited time and memory.
"""

from __future__ import annotations

import io
import re
import struct
import time
from collections.abc import Collection

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import stamp
from cfgdrive_virt.image.iso9660.reader import (
    DIRECTORIES,
    MAX_SHARED,
    SECTOR,
)
from cfgdrive_virt.model.drive import BUILDER, ISO9660, DriveImage
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show

#: Joliet's limit is 64 UTF-16 units, but pycdlib counts bytes of UTF-8.
_NAME_BYTES = 64
_JOLIET_FORBIDDEN = re.compile(r"[\x00-\x1f*/:;?\\]")
#: ECMA-119 counts years from 1900 in one byte.
LAST_TIMESTAMP = 5_869_583_999  # 2155-12-31 23:59:59 UTC


def build(
    tree: MetadataTree,
    *,
    label: str,
    timestamp: int,
    without: Collection[str] = (),
) -> DriveImage:
    """Return the image of a tree.

    :param label: the volume label, by which readers find the drive: ASCII
    :param timestamp: for all dates, in seconds since 1970 (UTC)
    :param without: names of the secrets that were left out of the tree
    :raises ImageError: if a name can't be stored exactly
    """
    if not 0 <= timestamp <= LAST_TIMESTAMP:
        raise ImageError(
            f"timestamp must be 0 to {LAST_TIMESTAMP}, not {timestamp}"
        )
    iso = pycdlib.PyCdlib()
    try:
        iso.new(
            interchange_level=3,
            joliet=3,
            rock_ridge="1.09",
            vol_ident=label,
            sys_ident="LINUX",
            pub_ident_str=BUILDER.decode(),
            app_ident_str=BUILDER.decode(),
        )
        _add_all(iso, tree)
        out = io.BytesIO()
        iso.write_fp(out)
    except PyCdlibException as error:
        raise ImageError(
            f"can't build an ISO9660 image of this tree: {error}"
        ) from error
    # In place: a drive may be large.
    with out.getbuffer() as data:
        _set_dates(data, timestamp)
        line = stamp.encode(tree, without)
        start = stamp.OFFSETS[ISO9660]
        data[start : start + len(line)] = line
    return DriveImage(ISO9660, out.getvalue())


def _add_all(iso: pycdlib.PyCdlib, tree: MetadataTree) -> None:
    """Add directories and files; pycdlib computes the layout later."""
    iso_paths = {"": ""}
    taken: set[str] = set()
    stored: dict[bytes, str] = {}
    shared = 0
    for path, content in tree.files.items():
        parts = path.split("/")
        if len(parts) > DIRECTORIES + 1:
            raise ImageError(
                f"{show(path)} is nested {len(parts) - 1} directories deep;"
                f" ISO9660 allows {DIRECTORIES}"
            )
        parent = ""
        for name in parts[:-1]:
            _check_name(path, name)
            below = f"{parent}/{name}".lstrip("/")
            if below not in iso_paths:
                iso_paths[below] = _iso_path(iso_paths[parent], name, taken)
                iso.add_directory(
                    iso_paths[below], rr_name=name, joliet_path=f"/{below}"
                )
            parent = below
        _check_name(path, parts[-1])
        iso_path = _iso_path(iso_paths[parent], parts[-1], taken) + ".;1"
        if content in stored:
            shared += len(content)
            if shared > MAX_SHARED:
                raise ImageError(
                    f"{show(path)} shares content with another file; all that"
                    f" do may have {MAX_SHARED:,} bytes, use fewer or smaller"
                    " ones"
                )
            iso.add_hard_link(
                iso_old_path=stored[content],
                iso_new_path=iso_path,
                rr_name=parts[-1],
            )
            iso.add_hard_link(
                iso_old_path=stored[content], joliet_new_path=f"/{path}"
            )
        else:
            iso.add_fp(
                io.BytesIO(content),
                len(content),
                iso_path,
                rr_name=parts[-1],
                joliet_path=f"/{path}",
            )
            stored[content] = iso_path


def _check_name(path: str, name: str) -> None:
    """Refuse a name that Joliet can't store (its specification, 2.2.4)."""
    length = len(name.encode())
    if length > _NAME_BYTES:
        raise ImageError(
            f"{show(path)}: the name {show(name)} is {length} bytes long in"
            f" UTF-8; ISO9660 drives allow {_NAME_BYTES}"
        )
    if found := _JOLIET_FORBIDDEN.search(name):
        raise ImageError(
            f"{show(path)}: the name {show(name)} contains {show(found[0])},"
            " which Joliet forbids"
        )


def _iso_path(parent: str, name: str, taken: set[str]) -> str:
    """Return an ISO9660 path, for readers without long names."""
    plain = re.sub(r"[^A-Z0-9_]", "_", name.upper())[:24]
    path = f"{parent}/{plain}"
    number = 0
    while path in taken:
        number += 1
        path = f"{parent}/{plain}{number}"
    taken.add(path)
    return path


def _set_dates(data: memoryview, timestamp: int) -> None:
    """Set all dates of an image.

    pycdlib uses the current time and the host's time zone.  ECMA-119 and RRIP
    define the offsets of all dates, so they are set in the bytes.
    """
    moment = time.gmtime(timestamp)
    short = struct.pack("6Bb", moment[0] - 1900, *moment[1:6], 0)
    long = time.strftime("%Y%m%d%H%M%S00", moment).encode() + b"\0"
    for offset in range(16 * SECTOR, len(data), SECTOR):
        kind = data[offset]
        if kind == 255:
            break
        # ECMA-119, 8.4.26 to 8.4.29: creation, modification, expiration
        # (none) and effective date.
        data[offset + 813 : offset + 847] = long * 2
        data[offset + 864 : offset + 881] = long
        root = offset + 156
        data[root + 18 : root + 25] = short
        _set_dates_below(data, root, short)


def _set_dates_below(data: memoryview, directory: int, short: bytes) -> None:
    extent, size = struct.unpack_from("<I4xI", data, directory + 2)
    offset = extent * SECTOR
    end = offset + size
    count = 0
    while offset < end:
        length = data[offset]
        if not length:
            # Records don't cross sectors: the rest of this sector is empty.
            offset += SECTOR - offset % SECTOR
            continue
        data[offset + 18 : offset + 25] = short
        name_length = data[offset + 32]
        system_use = offset + 33 + name_length + (name_length + 1) % 2
        _set_rock_ridge_dates(data, system_use, offset + length, short)
        is_directory = data[offset + 25] & 2
        # The first two records are the directory itself and its parent.
        if is_directory and count > 1:
            _set_dates_below(data, offset, short)
        count += 1
        offset += length


def _set_rock_ridge_dates(
    data: memoryview, offset: int, end: int, short: bytes
) -> None:
    while offset + 4 <= end and data[offset + 2] >= 4:
        signature, length = bytes(data[offset : offset + 2]), data[offset + 2]
        if signature == b"TF":
            # RRIP 4.1.6: five bytes of header, then dates of seven bytes.
            count = (length - 5) // len(short)
            data[offset + 5 : offset + 5 + count * len(short)] = short * count
        elif signature == b"CE":
            # SUSP 5.1: entries continue in another sector.
            sector, start, size = struct.unpack_from(
                "<I4xI4xI", data, offset + 4
            )
            there = sector * SECTOR + start
            _set_rock_ridge_dates(data, there, there + size, short)
        offset += length
