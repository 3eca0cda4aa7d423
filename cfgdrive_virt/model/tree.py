"""The tree of a config drive: paths to bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import types
from collections.abc import Mapping

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.model.value import show


@dataclasses.dataclass(frozen=True, slots=True)
class MetadataTree:
    """Files by path, such as ``openstack/latest/meta_data.json``.

    Paths are relative, separated by ``/``, in sorted order.

    :raises ImageError: if a path could lead out of the tree, or is both a
        file and a directory
    """

    files: Mapping[str, bytes] = dataclasses.field(repr=False)

    def __post_init__(self) -> None:
        directories: set[str] = set()
        for path in self.files:
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
                directories.add(above)
                above = above.rpartition("/")[0]
        for path in sorted(directories & set(self.files)):
            raise ImageError(f"{show(path)} is both a file and a directory")
        ordered = {path: self.files[path] for path in sorted(self.files)}
        object.__setattr__(self, "files", types.MappingProxyType(ordered))

    def __len__(self) -> int:
        return len(self.files)

    def below(self, prefixes: tuple[str, ...]) -> MetadataTree:
        """Return the files whose paths begin with one of these."""
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
