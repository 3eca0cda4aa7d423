"""VFAT images that can be changed anywhere."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import vfat
from cfgdrive_virt.model.tree import MetadataTree

SECTOR = 512
FILES = {
    "openstack/latest/meta_data.json": b'{"uuid": 1}',
    "openstack/latest/user_data": b"x" * 1500,
    "openstack/content/0000": b"0" * 512,
    "empty": b"",
    "z": b"y" * 1100,
}


def built(files: Mapping[str, bytes] | None = None) -> bytes:
    tree = MetadataTree(FILES if files is None else files)
    return vfat.build(tree, label="config-2", timestamp=0, serial=0).data


class Disk:
    """A FAT that can be changed anywhere."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def number(self, offset: int, size: int = 2) -> int:
        return int.from_bytes(self.data[offset : offset + size], "little")

    def set(self, offset: int, value: int, size: int = 2) -> None:
        self.data[offset : offset + size] = value.to_bytes(size, "little")

    @property
    def fat(self) -> int:
        return self.number(22) * SECTOR

    @property
    def root(self) -> int:
        return SECTOR + 2 * self.fat

    @property
    def first(self) -> int:
        return self.root + self.number(17) * 32

    def clusters(self) -> int:
        total = self.number(19) or self.number(32, 4)
        return (total * SECTOR - self.first) // SECTOR

    def link(self, cluster: int, value: int, copies: int = 2) -> None:
        """Say what follows a cluster of 12 bits, in both FATs or the first."""
        for copy in range(copies):
            at = SECTOR + copy * self.fat + cluster * 3 // 2
            old = self.number(at)
            shift = cluster % 2 * 4
            self.set(at, old & ~(0xFFF << shift) | value << shift)

    def offset(self, cluster: int) -> int:
        return self.first + (cluster - 2) * SECTOR

    def entry(self, short: bytes) -> int:
        """Return where the one entry with a short name is."""
        at = self.data.find(short.ljust(11), self.root)
        assert at >= 0
        assert at % 32 == 0
        return at

    def cluster(self, short: bytes) -> int:
        return self.number(self.entry(short) + 26)

    def rename(self, short: bytes, name: str) -> None:
        """Change a file's long name, which is of 13 units at most."""
        text = name.encode("utf-16-le", "surrogatepass")
        text = (text + b"\0\0").ljust(26, b"\xff")[:26]
        at = self.entry(short) - 32
        assert self.data[at] == 0x41
        self.data[at + 1 : at + 11] = text[:10]
        self.data[at + 14 : at + 26] = text[10:22]
        self.data[at + 28 : at + 32] = text[22:]

    def read(self) -> dict[str, bytes]:
        return dict(vfat.read(bytes(self.data)).tree.files)

    def refused(self) -> str:
        with pytest.raises(ImageError) as caught:
            self.read()
        return str(caught.value)


def without(*paths: str) -> dict[str, bytes]:
    return {path: FILES[path] for path in FILES if path not in paths}
