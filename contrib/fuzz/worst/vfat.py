"""VFAT: FAT16, of clusters that are as small as the size allows."""

from __future__ import annotations

import dataclasses
import struct

from fuzz.worst.drive import MIB, Drive, Node, tree_of


class Fat:
    """A FAT16 image; a file's clusters may be in reverse order."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.links: list[int] = [0xFFF8, 0xFFFF]
        self.clusters: list[bytes] = []
        self.size = 512

    def build(self, files: dict[str, bytes], stamp: bytes) -> bytes:
        """Return the bytes of the image."""
        tree = tree_of(self.drive, files)
        total = sum(map(len, files.values())) + 96 * len(files)
        total += 32 * self.drive.deleted + MIB
        full = sum(map(bool, files.values())) + self.drive.directories
        while total // self.size + full > 60_000:
            self.size *= 2
            if self.size == 65_536:
                break
        root = self._entries(tree, 0, 0)
        self._chain(bytes(self.size * max(0, 4200 - len(self.clusters))))
        fat = struct.pack(f"<{len(self.links)}H", *self.links)
        sectors = -(-len(fat) // 512)
        total = 1 + sectors + len(root) // 512
        total += len(self.clusters) * self.size // 512
        boot = struct.pack(
            "<3s8sHBHBHHBHHHIIBBBI11s8s",
            *(b"\xeb\x3c\x90", b"MSWIN4.1", 512, self.size // 512, 1, 1),
            *(len(root) // 32, 0, 0xF8, sectors, 8, 2, 0, total, 128, 0, 41),
            *(1, b"config-2   ", b"FAT16   "),
        )
        boot = boot.ljust(96, b"\0") + stamp
        boot = boot.ljust(510, b"\0") + b"\x55\xaa"
        fat = fat.ljust(sectors * 512, b"\0")
        return b"".join((boot, fat, root, *self.clusters))

    def _chain(self, content: bytes) -> int:
        count = -(-len(content) // self.size)
        if not count:
            return 0
        content = content.ljust(count * self.size, b"\0")
        first = len(self.links)
        if self.drive.fragmented:
            self.links += [0xFFFF, *range(first, first + count - 1)]
            self.clusters += [
                content[n * self.size : (n + 1) * self.size]
                for n in reversed(range(count))
            ]
            return first + count - 1
        self.links += [*range(first + 1, first + count), 0xFFFF]
        self.clusters += [content]
        # One piece for all its clusters.
        self.clusters += [b""] * (count - 1)
        return first

    def _entries(self, node: Node, itself: int, above: int) -> bytes:
        made = []
        if itself:
            for dots, cluster in ((b".", itself), (b"..", above)):
                made.append(self._entry(dots.ljust(11), 16, cluster, 0))
        else:
            made.append(self._entry(b"config-2".ljust(11), 8, 0, 0))
        deleted = 0 if itself or "deleted" in node else self.drive.deleted
        for number, (name, below) in enumerate(node.items()):
            short = b"F%010d" % number
            made.append(_long(name, short))
            if isinstance(below, dict):
                cluster = self._reserve(below)
                made.append(self._entry(short, 16, cluster, 0))
                size = self._size_of(below)
                content = self._entries(below, cluster, itself)
                self._fill(cluster, content.ljust(size, b"\0"))
            else:
                cluster = self._chain(below)
                made.append(self._entry(short, 32, cluster, len(below)))
        if deleted:
            made.append(self._deleted(deleted))
        data = b"".join(made)
        return (
            data if itself else data.ljust(-(-len(data) // 512) * 512, b"\0")
        )

    def _deleted(self, count: int) -> bytes:
        """Return directories of 60,000 deleted entries each."""
        made = []
        for number in range(0, count, 60_000):
            content = (b"\xe5".ljust(32, b"x")) * min(60_000, count - number)
            first = self._chain(bytes(64) + content)
            dots = self._entry(b".".ljust(11), 16, first, 0)
            dots += self._entry(b"..".ljust(11), 16, 0, 0)
            self._fill(first, (dots + content).ljust(64 + len(content)))
            short = b"D%010d" % number
            made.append(self._entry(short, 16, first, 0))
        return b"".join(made)

    def _size_of(self, node: Node) -> int:
        count = 2 + sum(1 + len(_long(name, b"")) // 32 for name in node)
        return -(-count * 32 // self.size) * self.size

    def _reserve(self, node: Node) -> int:
        fragmented = self.drive.fragmented
        self.drive = dataclasses.replace(self.drive, fragmented=False)
        first = self._chain(bytes(self._size_of(node)))
        self.drive = dataclasses.replace(self.drive, fragmented=fragmented)
        return first

    def _fill(self, first: int, content: bytes) -> None:
        whole = -(-len(content) // self.size) * self.size
        self.clusters[first - 2] = content.ljust(whole, b"\0")

    @staticmethod
    def _entry(short: bytes, kind: int, cluster: int, size: int) -> bytes:
        return struct.pack(
            "<11sBBBHHHHHHHI", short, kind, *[0] * 8, cluster, size
        )


def _long(name: str, short: bytes) -> bytes:
    text = name.encode("utf-16-le")
    count = -(-len(text) // 26)
    if len(text) % 26:
        text = (text + b"\0\0").ljust(count * 26, b"\xff")
    total = 0
    for byte in short:
        total = ((total >> 1 | total << 7) + byte) & 0xFF
    made = []
    for number in range(count, 0, -1):
        part = text[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        made.append(
            struct.pack(
                "<B10sBBB12sH4s",
                *(order, part[:10], 15, 0, total, part[10:22], 0, part[22:]),
            )
        )
    return b"".join(made)
