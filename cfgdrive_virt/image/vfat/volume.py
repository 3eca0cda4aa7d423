"""An image becomes a volume: checked geometry and FAT, and cluster chains.

FAT32 and impossible geometries are refused.
"""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Iterator, Sequence

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image.vfat.format import (
    ENTRY,
    EXTENDED,
    FIRST_FAT16,
    FIRST_FAT32,
    SIGNATURE,
    SIGNATURE_OFFSET,
    BootSector,
)
from cfgdrive_virt.model.value import show

_BOOT_SECTOR = 512
_JUMPS = (0xEB, 0xE9)
_SECTORS = (512, 1024, 2048, 4096)
_LARGEST_CLUSTER = 65_536


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A volume with checked geometry, and the owners of its clusters.

    :param cluster: bytes per cluster
    :param clusters: number of clusters
    :param root: the root directory's bytes
    :param start: offset of cluster 2, in bytes
    :param links: the FAT: the successor of each cluster
    :param label: the boot sector's label
    :param owners: the paths of the clusters that were read so far
    """

    data: memoryview
    cluster: int
    clusters: int
    root: bytes
    start: int
    links: Sequence[int]
    label: bytes
    owners: dict[int, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes) -> Volume:
        """Return the volume of an image.

        :raises ImageError: if it isn't FAT12 or FAT16, or is truncated
        """
        boot = BootSector.unpack(data)
        start, clusters = _geometry(boot, len(data))
        root = (boot.reserved + boot.fats * boot.fat) * boot.sector
        size = boot.fat * boot.sector
        # A FAT may be larger than its entries are.
        used = min(size, (clusters + 2) * 2)
        copies = [
            _links(data[at : at + used], clusters)
            for at in range(boot.reserved * boot.sector, root, size)
        ]
        return cls(
            memoryview(data),
            boot.sector * boot.cluster,
            clusters,
            data[root : root + boot.root_entries * ENTRY.size],
            start,
            _agreed(copies),
            boot.label if boot.extended == EXTENDED else b"",
        )

    def content(self, path: str, first: int, size: int | None = None) -> bytes:
        """Return the bytes of a file or directory.

        :param first: the first cluster; 0 if there is none
        :param size: of a file; None for all bytes of its clusters
        :raises ImageError: if a cluster doesn't exist, or has another owner,
            or if there are too many or too few for the size
        """
        chain = self._chain(path, first) if first else []
        whole = len(chain) * self.cluster
        if size is None:
            size = whole
        if not 0 <= whole - size < self.cluster:
            raise damaged(
                f"{show(path)} has clusters of {whole:,} bytes, but a size of"
                f" {size:,} bytes"
            )
        if chain == list(range(first, first + len(chain))):
            # All in one piece, as on a drive that no guest has changed.
            start = self.start + (first - 2) * self.cluster
            return bytes(self.data[start : start + size])
        # None twice in memory: a file may be as large as its image.
        with io.BytesIO() as content:
            for start, end in self._pieces(chain):
                left = size - content.tell()
                content.write(self.data[start : min(end, start + left)])
            return content.getvalue()

    def _pieces(self, chain: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield start and end of each run of clusters, in bytes."""
        begin = 0
        for number in range(1, len(chain) + 1):
            if number == len(chain) or chain[number] != chain[number - 1] + 1:
                start = self.start + (chain[begin] - 2) * self.cluster
                yield start, start + (number - begin) * self.cluster
                begin = number

    def _chain(self, path: str, first: int) -> list[int]:
        end_of_chain = 0xFF8 if self.clusters < FIRST_FAT16 else 0xFFF8
        chain: list[int] = []
        cluster = first
        while not chain or cluster < end_of_chain:
            if not 2 <= cluster < self.clusters + 2:
                after = f" after {chain[-1]}" if chain else ""
                raise damaged(
                    f"{show(path)} has cluster {cluster}{after}, outside the"
                    f" range of 2 to {self.clusters + 1}"
                )
            if cluster in self.owners:
                owner = self.owners[cluster]
                also = (
                    " twice"
                    if owner == path
                    else f", which belongs to {show(owner)}"
                )
                raise damaged(f"{show(path)} has cluster {cluster}{also}")
            self.owners[cluster] = path
            chain.append(cluster)
            cluster = self.links[cluster]
        return chain


def recognizes(data: bytes) -> bool:
    """Tell whether an image has a FAT boot sector, of any width."""
    return (
        len(data) >= _BOOT_SECTOR
        and data[SIGNATURE_OFFSET : SIGNATURE_OFFSET + 2] == SIGNATURE
        and data[0] in _JUMPS
        and int.from_bytes(data[11:13], "little") in _SECTORS
        and data[16] > 0
    )


def damaged(what: str) -> ImageError:
    """Return the error for a damaged image."""
    return ImageError(f"damaged VFAT image: {what}")


def _geometry(boot: BootSector, size: int) -> tuple[int, int]:
    """Return the offset of cluster 2, and the number of clusters.

    :param size: of the image, in bytes
    """
    if not boot.fat:
        raise ImageError(
            "not a supported VFAT image: it looks like FAT32; only FAT12 and"
            " FAT16 are supported"
        )
    cluster = boot.sector * boot.cluster
    if cluster & cluster - 1 or not 0 < cluster <= _LARGEST_CLUSTER:
        raise damaged(f"clusters can't have {cluster:,} bytes")
    if not boot.reserved or boot.fats > 2 or not boot.root_entries:
        raise damaged(
            f"it can't have {boot.reserved} reserved sectors, {boot.fats}"
            f" FATs and {boot.root_entries:,} entries in its root directory"
        )
    root = -(-boot.root_entries * ENTRY.size // boot.sector)
    before = boot.reserved + boot.fats * boot.fat + root
    total = boot.total or boot.large_total
    clusters = (total - before) // boot.cluster
    if clusters < 1:
        raise damaged(f"its {total:,} sectors have no room for a cluster")
    if size < total * boot.sector:
        raise ImageError(
            f"can't read the VFAT image: it is truncated to {size:,} of its"
            f" {total * boot.sector:,} bytes"
        )
    if clusters >= FIRST_FAT32:
        raise damaged(f"{clusters:,} clusters are too many for FAT16")
    return before * boot.sector, clusters


def _links(fat: bytes, clusters: int) -> Sequence[int]:
    """Return the entries of a FAT; the first two have no cluster."""
    count = clusters + 2
    width = 12 if clusters < FIRST_FAT16 else 16
    if len(fat) * 8 < count * width:
        raise damaged(
            f"a FAT of {len(fat):,} bytes is too small for {clusters:,}"
            " clusters"
        )
    if width == 16:
        return struct.unpack_from(f"<{count}H", fat)
    links: list[int] = []
    for at in range(0, -(-count // 2) * 3, 3):
        pair = int.from_bytes(fat[at : at + 3], "little")
        links += (pair & 0xFFF, pair >> 12)
    return links[:count]


def _agreed(copies: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return the FAT, if all its copies are equal.

    If they differ, readers choose different ones, and the right one is
    unknown.  The first two entries have flags that may differ.
    """
    first = copies[0]
    for other in copies[1:]:
        if other[2:] != first[2:]:
            cluster = next(
                number
                for number in range(2, len(first))
                if first[number] != other[number]
            )
            raise damaged(f"its FATs differ at cluster {cluster}")
    return first
