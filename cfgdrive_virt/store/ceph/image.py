"""What is in a volume: the bytes of a drive, and the mark that it is ours."""

from __future__ import annotations

import calendar
import dataclasses
from collections.abc import Iterator

import rbd

#: Key of the metadata that mark a volume as ours; the value is a version.
BUILDER_KEY = "cfgdrive_virt"
_BUILDER_VERSION = "1"

#: A volume's data are in objects of 2**order bytes; one that fits into one
#: object can be rewritten at once.  Ceph's default, librbd's most.
_ORDERS = range(22, 26)

#: Bytes.  QEMU ends itself, by an assertion in its block/rbd.c, over a volume
#: that isn't whole sectors.
_SECTOR = 512

#: Runs of zeros are told in these steps and left out: they read as zeros.
_STEP = 64 * 1024
_MOST_AT_ONCE = 4 * 1024 * 1024

#: Of two writers of a volume with an exclusive lock, one would wait for ever.
FEATURES = rbd.RBD_FEATURE_LAYERING


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What a volume tells of itself.

    :param identifier: of the image, whatever its name
    :param size: in bytes
    :param created: in seconds since 1970
    :param users: who has it open, in words
    """

    identifier: str = ""
    size: int = 0
    created: float = 0.0
    ours: bool = False
    users: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()


def look_at(image: rbd.Image) -> Look:
    """Return what a volume that is open tells of itself."""
    return Look(
        image.id(),
        image.size(),
        calendar.timegm(image.create_timestamp().utctimetuple()),
        is_built_here(image),
        tuple(map(_in_words, image.watchers_list())),
        tuple(snap["name"] for snap in image.list_snaps()),
    )


def in_sectors(size: int) -> int:
    """Return the size of the volume that holds so many bytes."""
    return size + -size % _SECTOR


def order_for(size: int) -> int:
    """Return the order of objects for a volume of a size."""
    return min(max((size - 1).bit_length(), _ORDERS[0]), _ORDERS[-1])


def is_built_here(image: rbd.Image) -> bool:
    """Tell whether a volume bears our mark."""
    try:
        image.metadata_get(BUILDER_KEY)
    except KeyError:
        return False
    return True


def read(image: rbd.Image) -> bytes:
    """Return all that a volume holds."""
    size = image.size()
    if 0 < size <= image.stat()["obj_size"]:
        # At once, as another host may write it.
        return bytes(image.read(0, size))
    return b"".join(
        image.read(at, min(_MOST_AT_ONCE, size - at))
        for at in range(0, size, _MOST_AT_ONCE)
    )


def objects(image: rbd.Image) -> tuple[str, str]:
    """Return the objects of a volume whose data fit into one."""
    prefix = image.stat()["block_name_prefix"]
    return f"{prefix}.{0:016x}", f"rbd_header.{image.id()}"


def fill(image: rbd.Image, data: bytes) -> None:
    """Write a drive into a new volume, and mark it."""
    image.metadata_set(BUILDER_KEY, _BUILDER_VERSION)
    for start, end in _extents(data):
        image.write(data[start:end], start)
    image.flush()


def rewrite(image: rbd.Image, data: bytes) -> bool:
    """Write a drive into a volume that has one; tell whether it can be.

    By one write into one object, which is atomic: whoever reads meanwhile, or
    finds it after a writer was killed, has the old drive or the new one.  Not
    where somebody may hold an exclusive lock, as with Ceph's default features,
    nor where a snapshot would keep the old content.
    """
    size = max(image.size(), in_sectors(len(data)))
    if (
        image.features() != FEATURES
        or size > image.stat()["obj_size"]
        or list(image.list_snaps())
    ):
        return False
    if size > image.size():
        image.resize(size)
    if not is_built_here(image):
        image.metadata_set(BUILDER_KEY, _BUILDER_VERSION)
    # To its end, so that nothing of the old one is left.
    image.write(data.ljust(size, b"\0"), 0)
    image.flush()
    return True


def _extents(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where there is more than zeros: starts and ends."""
    zeros = bytes(_STEP)
    start = None
    for at in range(0, len(data), _STEP):
        step = data[at : at + _STEP]
        if start is not None and (
            step == zeros or at - start >= _MOST_AT_ONCE
        ):
            yield start, at
            start = None
        if start is None and step != zeros:
            start = at
    if start is not None:
        yield start, len(data)


def _in_words(watcher: dict[str, object]) -> str:
    """Return who holds a volume open: address:port/nonce, and a number."""
    address = str(watcher["addr"]).rpartition(":")[0].strip("[]")
    return f"host {address} (client.{watcher['id']})"
