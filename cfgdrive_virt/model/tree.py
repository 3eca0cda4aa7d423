"""The tree of a config drive: paths to bytes."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import types
from collections.abc import Collection, Mapping
from typing import Any

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.model.value import show

#: Files and directories of a tree.  A drive has some 80, and one more for
#: each injected file, of which nova allows 5 by default.
MAX_ENTRIES = 2048
#: Bytes of all paths in UTF-8, directories' too.  On a drive they have 35
#: bytes on average; VFAT allows 256 characters, ISO9660 eight names of 64
#: bytes.
MAX_PATH_BYTES = 1024 * 1024
#: Characters of all paths of a tree whose check is remembered: a drive has
#: some 2,000.
_SHORT = 16 * 1024


class Paths:
    """The files and directories of a tree, counted as they are found."""

    def __init__(self) -> None:
        self._count = self._bytes = 0

    def add(self, path: str) -> None:
        """Count a file or a directory.

        :raises ImageError: if it is one too many
        """
        self._count += 1
        self._bytes += len(path.encode(errors="surrogatepass"))
        if self._count > MAX_ENTRIES:
            raise ImageError(
                f"more than {MAX_ENTRIES:,} files and directories; a drive"
                " can't have so many, use fewer"
            )
        if self._bytes > MAX_PATH_BYTES:
            raise ImageError(
                f"the paths have more than {MAX_PATH_BYTES:,} bytes in all; a"
                " drive can't have so many, use shorter ones"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class MetadataTree:
    """Files by path, such as ``openstack/latest/meta_data.json``.

    Paths are relative, separated by ``/``, in sorted order.

    :param cache: what ``metadata.json_file`` has found out about the files
    :raises ImageError: if a path could lead out of the tree, or is both a
        file and a directory, or if there are more than MAX_ENTRIES, or their
        paths are longer than MAX_PATH_BYTES
    """

    files: Mapping[str, bytes] = dataclasses.field(repr=False)
    cache: dict[object, Any] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        paths = tuple(self.files)
        # Most trees of a process have the same few sets of paths.
        short = sum(map(len, paths)) <= _SHORT
        order = _remembered(paths) if short else _checked(paths)
        ordered = {path: self.files[path] for path in order}
        object.__setattr__(self, "files", types.MappingProxyType(ordered))

    def __len__(self) -> int:
        return len(self.files)

    def below(self, prefixes: tuple[str, ...]) -> MetadataTree:
        """Return the files whose paths begin with one of these."""
        if all(path.startswith(prefixes) for path in self.files):
            return self
        return MetadataTree(
            {
                path: content
                for path, content in self.files.items()
                if path.startswith(prefixes)
            }
        )

    @property
    def fingerprint(self) -> str:
        """Return a SHA-256 sum in hex that identifies the tree.

        It covers secrets, so it belongs where the tree itself may be read.
        """
        digest = hashlib.sha256()
        for path, content in self.files.items():
            name = path.encode()
            digest.update(b"%d %d " % (len(name), len(content)))
            digest.update(name)
            digest.update(content)
        return digest.hexdigest()


def _checked(paths: Collection[str]) -> tuple[str, ...]:
    """Return the paths of a tree in order.

    :raises ImageError: as :class:`MetadataTree`
    """
    found = Paths()
    directories: set[str] = set()
    for path in paths:
        found.add(path)
        parts = path.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise ImageError(
                f"{show(path)} cannot be a path on a drive: it must be"
                " relative, without '.', '..', an empty name or NUL"
            )
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise ImageError(
                f"{show(path)} cannot be a path on a drive: it must be"
                " Unicode, without lone surrogates"
            ) from error
        above = path.rpartition("/")[0]
        # A known directory's parents are known: deep trees stay cheap.
        while above and above not in directories:
            found.add(above)
            directories.add(above)
            above = above.rpartition("/")[0]
    for path in sorted(directories & set(paths)):
        raise ImageError(f"{show(path)} is both a file and a directory")
    return tuple(sorted(paths))


_remembered = functools.lru_cache(maxsize=64)(_checked)
