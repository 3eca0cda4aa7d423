"""Parse the directory records of an ISO9660 image.

Its name is that of Rock Ridge, of Joliet or the plain one.  Features that a
config drive doesn't need are refused: symbolic links, devices, relocated
directories, sparse, compressed, multi-extent and interleaved files, extended
attributes, volume sets.  So are contradictory records.
"""

from __future__ import annotations

import contextlib
import dataclasses
import stat
from collections.abc import Callable, Iterator

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.model.value import show

#: The names of the '.' and '..' records (ECMA-119, 6.8.2.2).
SELF, PARENT = b"\0", b"\1"

_DIRECTORY, _ASSOCIATED, _MULTI_EXTENT = 0x02, 0x04, 0x80
#: The identifiers of RRIP 1.09, 1.10 and 1.12.
_ROCK_RIDGE = (b"RRIP_1991A", b"IEEE_P1282", b"IEEE_1282")
#: Linux' limit for names.
_NAME_BYTES = 255
#: Linux' limit for continuation areas.
_AREAS = 32
#: Minimum lengths of the entries that are parsed.
_MIN_LENGTHS = {b"CE": 28, b"ER": 8, b"NM": 5, b"PX": 12, b"SP": 7}
_REFUSED = {
    b"CL": "relocated directories",
    b"PN": "devices",
    b"RE": "relocated directories",
    b"SF": "sparse files",
    b"SL": "symbolic links",
    b"ZF": "compressed files",
}

#: Returns the bytes of a continuation area, by sector, offset and length.
Follow = Callable[[int, int, int], memoryview]


@contextlib.contextmanager
def at(where: str) -> Iterator[None]:
    """Prefix an ImageError with its place in the image."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from error


def both(data: memoryview, offset: int, size: int) -> int:
    """Return a number of ``size`` bytes that is stored in both byte orders.

    :raises ImageError: if they differ
    """
    middle = offset + size
    little = int.from_bytes(data[offset:middle], "little")
    big = int.from_bytes(data[middle : middle + size], "big")
    if little != big:
        raise ImageError(
            f"byte {offset} says {little:,} in one byte order and {big:,} in"
            " the other"
        )
    return little


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """The directory record of a file or directory (ECMA-119, 9.1).

    :param name: the raw name
    :param location: of its content, in sectors
    :param length: of its content, in bytes
    :param system_use: the entries of extensions
    """

    name: bytes
    location: int
    length: int
    is_directory: bool
    system_use: memoryview


def parse(data: memoryview) -> Record:
    """Parse the bytes of a record.

    :raises ImageError: if it is damaged, or uses an unsupported feature
    """
    name_length = data[32] if len(data) > 33 else 0
    end = 33 + name_length
    if not name_length or end > len(data):
        raise ImageError(
            f"a record of {len(data)} bytes can't have a name of"
            f" {name_length} bytes"
        )
    if data[1] or data[26] or data[27] or both(data, 28, 2) != 1:
        raise ImageError(
            "extended attributes, interleaved files and volume sets are not"
            " supported"
        )
    if data[25] & (_ASSOCIATED | _MULTI_EXTENT):
        raise ImageError("associated and multi-extent files are not supported")
    return Record(
        name=bytes(data[33:end]),
        location=both(data, 2, 4),
        length=both(data, 10, 4),
        is_directory=bool(data[25] & _DIRECTORY),
        # A byte follows a name of even length (ECMA-119, 9.1.12).
        system_use=data[end + (name_length + 1) % 2 :],
    )


def plain_name(record: Record) -> str:
    """Return the plain name without its version.

    ECMA-119, 7.5.1: a dot precedes the extension, even an empty one.
    """
    name = _decoded(record.name, "utf-8")
    return _checked(name.removesuffix(";1").removesuffix("."))


def joliet_name(record: Record) -> str:
    """Return the Joliet name (Joliet's specification, 2.2.4)."""
    return _checked(_decoded(record.name, "utf-16-be").removesuffix(";1"))


def rock_ridge_name(record: Record, skipped: int, follow: Follow) -> str:
    """Return the Rock Ridge name (RRIP, 4.1.4), or else the plain one.

    :param skipped: bytes before the record's entries
    """
    raw = b""
    continues = True
    for kind, entry in _entries(record.system_use[skipped:], follow):
        if kind in _REFUSED:
            raise ImageError(f"{_REFUSED[kind]} are not supported")
        if kind == b"PX":
            _check_mode(both(entry, 4, 4), record)
        elif kind == b"NM":
            if not continues or entry[4] & ~1:
                raise ImageError(
                    "it has two names, or one that refers to no file"
                )
            raw += entry[5:]
            continues = bool(entry[4] & 1)
        if len(raw) > _NAME_BYTES:
            raise ImageError(f"its name is longer than {_NAME_BYTES} bytes")
    if raw and continues:
        raise ImageError("its name is incomplete")
    return _checked(_decoded(raw, "utf-8")) if raw else plain_name(record)


def rock_ridge_skipped(root: Record, follow: Follow) -> int | None:
    """Return the number of bytes before entries; None without Rock Ridge.

    :param root: the '.' record of the root directory, which lists the volume's
        extensions (SUSP, 5.3 and 5.5)
    """
    area = root.system_use
    if bytes(area[:6]) != b"SP\x07\x01\xbe\xef":
        return None
    uses = {
        bytes(entry[8 : 8 + entry[4]])
        for kind, entry in _entries(area, follow)
        if kind == b"ER"
    }
    return area[6] if uses.intersection(_ROCK_RIDGE) else None


def _entries(
    area: memoryview, follow: Follow
) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and bytes of the entries in system use (SUSP, 4)."""
    for _ in range(_AREAS):
        following = None
        while len(area) >= 4:
            kind, length = bytes(area[:2]), area[2]
            if not _MIN_LENGTHS.get(kind, 4) <= length <= len(area):
                raise ImageError(
                    f"its entry {show(kind.decode('latin-1'))} can't have"
                    f" {length} bytes: {len(area)} are left"
                )
            entry, area = area[:length], area[length:]
            if kind == b"ST":
                break
            if kind == b"CE":
                following = [both(entry, place, 4) for place in (4, 12, 20)]
            yield kind, entry
        if following is None:
            return
        sector, offset, length = following
        area = follow(sector, offset, length)
    raise ImageError(f"its entries continue in more than {_AREAS} areas")


def _check_mode(mode: int, record: Record) -> None:
    """Refuse a mode (RRIP, 4.1.1) that contradicts the record's type."""
    if stat.S_ISLNK(mode):
        raise ImageError("symbolic links are not supported")
    fits = stat.S_ISDIR if record.is_directory else stat.S_ISREG
    if not fits(mode):
        kind = "directory" if record.is_directory else "file"
        raise ImageError(f"its mode, {mode:o}, is not that of a {kind}")


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise ImageError(
            f"its name is not valid {encoding.upper()}"
        ) from error


def _checked(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ImageError(f"{show(name)} is not a valid name")
    return name
