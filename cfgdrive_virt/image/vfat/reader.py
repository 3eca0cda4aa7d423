"""A VFAT image of any writer becomes its label and tree.

The reader supports FAT12 and FAT16, also images of stock nova's mkfs.vfat and
images that a guest has changed.  Names are those that Linux shows: the long
name, if it belongs to the short one, else the short name, in code page 437
(Linux' default), with the case from Windows NT's two bits.

The writer may be hostile, so any damage raises an ImageError that says where.
Each cluster belongs to one file only, which limits contents by the image's
size; the number of files and directories, the length of their paths, and the
entries of directories are limited for any image.  Chains have the length of
their file, both FATs are equal, and paths are no longer than those of our
writer.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import stamp
from cfgdrive_virt.image.vfat.format import (
    DIRECTORY,
    DOT,
    DOTDOT,
    ENTRY,
    FORBIDDEN,
    LONG_LAST,
    LONG_NAME,
    MAX_ENTRIES,
    MAX_PATH_UNITS,
    VOLUME,
    checksum,
    units,
)
from cfgdrive_virt.image.vfat.volume import Volume, damaged, recognizes
from cfgdrive_virt.model.drive import BUILDER, BUILDER_OFFSETS, VFAT, Contents
from cfgdrive_virt.model.tree import MetadataTree, Paths
from cfgdrive_virt.model.value import show

_UNUSED, _DELETED, _KANJI = 0x00, 0xE5, 0x05
_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10
_CODE_PAGE = "cp437"
_NO_LABEL = b"NO NAME    "
#: Used entries of all directories, deleted ones too: as many as two of the
#: largest directories have.
_MAX_USED = 2 * MAX_ENTRIES
#: Parts of a long name, at most 255 characters: a guest may write more.
_MOST_PARTS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """A directory entry of a file or directory."""

    short: bytes
    name: str
    is_directory: bool
    cluster: int
    size: int


def read(data: bytes) -> Contents:
    """Return the contents of an image.

    The label is that of the root directory, or else of the boot sector, as in
    blkid.

    :raises ImageError: if it isn't a FAT12 or FAT16 image, or is damaged
    """
    if not recognizes(data):
        raise ImageError("not a VFAT image: it has no FAT boot sector")
    volume = Volume.of(data)
    return Contents(
        VFAT,
        label=_label(volume),
        ours=data.startswith(BUILDER, BUILDER_OFFSETS[VFAT]),
        tree=MetadataTree(_files(volume)),
        stamp=stamp.decode(data, VFAT),
    )


def _label(volume: Volume) -> str:
    label = b"" if volume.label == _NO_LABEL else volume.label
    for raw in _raw_entries(_used(volume.root)):
        is_label = raw[11] != LONG_NAME and raw[11] & (VOLUME | DIRECTORY)
        if is_label == VOLUME and raw[0] != _DELETED:
            label = _unescaped(raw[:11])
            break
    return label.decode(_CODE_PAGE).rstrip(" ")


def _files(volume: Volume) -> dict[str, bytes]:
    """Return the files of a volume, by path."""
    files: dict[str, bytes] = {}
    found = Paths()
    # Path, first cluster, parent's first cluster, used entries.
    pending = [("", 0, 0, _used(volume.root))]
    used = len(pending[0][3])
    while pending:
        directory, itself, above, data = pending.pop()
        names = set()
        for entry in _entries(data):
            if directory and entry.short in (DOT, DOTDOT):
                expected = itself if entry.short == DOT else above
                _check_dots(directory, entry, expected)
                continue
            path = _path(directory, entry.name)
            if entry.name in names:
                raise damaged(f"{show(path)} appears twice")
            names.add(entry.name)
            found.add(path)
            if not entry.is_directory:
                files[path] = volume.content(path, entry.cluster, entry.size)
                continue
            content = volume.content(path, entry.cluster)
            _check_directory(path, entry, content)
            pending.append((path, entry.cluster, itself, _used(content)))
            used += len(pending[-1][3])
            if used > _MAX_USED * ENTRY.size:
                raise damaged(
                    f"its directories have more than {_MAX_USED:,} entries"
                )
    return files


def _used(directory: bytes) -> bytes:
    """Return a directory's entries up to the first unused one."""
    end = directory[:: ENTRY.size].find(_UNUSED)
    return directory if end < 0 else directory[: end * ENTRY.size]


def _check_dots(directory: str, entry: _Entry, expected: int) -> None:
    if entry.cluster != expected:
        raise damaged(
            f"{show(entry.name)} in {show(directory)} has cluster"
            f" {entry.cluster}, not {expected}"
        )


def _check_directory(path: str, entry: _Entry, content: bytes) -> None:
    if not content:
        raise damaged(f"the directory {show(path)} has no cluster")
    if entry.size:
        raise damaged(
            f"the directory {show(path)} has a size of {entry.size:,} bytes,"
            " not 0"
        )
    if len(content) > MAX_ENTRIES * ENTRY.size:
        raise damaged(
            f"the directory {show(path)} has {len(content):,} bytes, more than"
            f" {MAX_ENTRIES * ENTRY.size:,}"
        )


def _path(directory: str, name: str) -> str:
    path = f"{directory}/{name}" if directory else name
    found = FORBIDDEN.search(name)
    if found or name in ("", ".", ".."):
        raise damaged(f"{show(path)} has an invalid name")
    if units(path) > MAX_PATH_UNITS:
        raise damaged(
            f"{show(path)} is longer than {MAX_PATH_UNITS} UTF-16 units"
        )
    return path


def _raw_entries(data: bytes) -> Iterator[bytes]:
    """Yield a directory's used entries."""
    for at in range(0, len(data), ENTRY.size):
        yield data[at : at + ENTRY.size]


def _entries(data: bytes) -> Iterator[_Entry]:
    """Yield files and directories, with the names that Linux shows."""
    parts: list[bytes] = []
    for raw in _raw_entries(data):
        if raw[0] != _DELETED and raw[11] == LONG_NAME:
            if raw[0] & LONG_LAST:
                parts.clear()
            parts.append(raw)
            continue
        if raw[0] != _DELETED and not raw[11] & VOLUME:
            short, kind, case, *_, cluster, size = ENTRY.unpack(raw)
            known = _remembered if len(parts) <= _MOST_PARTS else _long_name
            name = known(tuple(parts), short) or _short_name(short, case)
            is_directory = bool(kind & DIRECTORY)
            yield _Entry(short, name, is_directory, cluster, size)
        parts.clear()


def _long_name(parts: Sequence[bytes], short: bytes) -> str:
    """Return the long name before a short one, empty if it has none.

    Its parts are numbered down to 1 and have the checksum of the short name;
    otherwise a system without long names has changed the directory, and the
    parts are ignored.
    """
    numbers = [part[0] & ~LONG_LAST for part in parts]
    if (
        not parts
        or not parts[0][0] & LONG_LAST
        or numbers != list(range(len(parts), 0, -1))
        or {part[13] for part in parts} != {checksum(short)}
    ):
        return ""
    text = b"".join(
        part[1:11] + part[14:26] + part[28:32] for part in reversed(parts)
    )
    # The check of the path finds lone surrogates.
    return text.decode("utf-16-le", "surrogatepass").partition("\0")[0]


# A drive has the same names in most of its directories.
_remembered = functools.lru_cache(maxsize=1024)(_long_name)


def _short_name(short: bytes, case: int) -> str:
    name = _unescaped(short).decode(_CODE_PAGE)
    base, extension = name[:8].rstrip(" "), name[8:].rstrip(" ")
    if case & _LOWER_BASE:
        base = base.lower()
    if case & _LOWER_EXTENSION:
        extension = extension.lower()
    return f"{base}.{extension}" if extension else base


def _unescaped(short: bytes) -> bytes:
    """Return a short name whose first byte, 0xE5, is stored as 0x05."""
    return bytes([_DELETED]) + short[1:] if short[0] == _KANJI else short
