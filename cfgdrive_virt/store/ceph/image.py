"""The content of a volume: the bytes of a drive, and our builder."""

from __future__ import annotations

import calendar
import dataclasses
from collections.abc import Iterator

import rbd

#: Metadata key of the volumes that we built; the value is a version.
BUILDER_KEY = "cfgdrive_virt"
_BUILDER_VERSION = "1"

#: A volume's data are in objects of 2**order bytes; a volume of one object can
#: be rewritten atomically.  From Ceph's default to librbd's maximum.
_ORDERS = range(22, 26)

#: In bytes.  QEMU aborts, by an assertion in block/rbd.c, if a volume's size
#: isn't a multiple of it.
_SECTOR = 512

#: Blocks of zeros of this size are not written: unwritten parts read as zeros.
_STEP = 64 * 1024
_MAX_TRANSFER = 4 * 1024 * 1024

#: No exclusive lock: a second writer would wait for it forever.
FEATURES = rbd.RBD_FEATURE_LAYERING


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """The properties of a volume.

    :param identifier: RBD's image id, which a rename keeps
    :param size: in bytes
    :param created: in seconds since 1970
    :param users: the clients that have it open, in words
    """

    identifier: str = ""
    size: int = 0
    created: float = 0.0
    ours: bool = False
    users: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()


def look_at(image: rbd.Image) -> Look:
    """Return the properties of an open volume."""
    return Look(
        image.id(),
        image.size(),
        calendar.timegm(image.create_timestamp().utctimetuple()),
        is_built_here(image),
        tuple(map(_in_words, image.watchers_list())),
        tuple(snap["name"] for snap in image.list_snaps()),
    )


def in_sectors(size: int) -> int:
    """Return the size of the volume for this number of bytes."""
    return size + -size % _SECTOR


def order_for(size: int) -> int:
    """Return the object order for a volume of this size."""
    return min(max((size - 1).bit_length(), _ORDERS[0]), _ORDERS[-1])


def is_built_here(image: rbd.Image) -> bool:
    """Tell whether a volume carries our builder."""
    try:
        image.metadata_get(BUILDER_KEY)
    except KeyError:
        return False
    return True


def read(image: rbd.Image) -> bytes:
    """Return the content of a volume."""
    size = image.size()
    if 0 < size <= image.stat()["obj_size"]:
        # In one read, as another host may write it meanwhile.
        return bytes(image.read(0, size))
    return b"".join(
        image.read(at, min(_MAX_TRANSFER, size - at))
        for at in range(0, size, _MAX_TRANSFER)
    )


def objects(image: rbd.Image) -> tuple[str, str]:
    """Return the data object and the header object of a small volume."""
    prefix = image.stat()["block_name_prefix"]
    return f"{prefix}.{0:016x}", f"rbd_header.{image.id()}"


def fill(image: rbd.Image, data: bytes) -> None:
    """Write a drive into a new volume, and set its builder."""
    image.metadata_set(BUILDER_KEY, _BUILDER_VERSION)
    for start, end in _extents(data):
        image.write(data[start:end], start)
    image.flush()


def rewrite(image: rbd.Image, data: bytes) -> bool:
    """Overwrite the drive in a volume; return False if that isn't possible.

    One write into one object is atomic: during the write, or after the writer
    was killed, readers see the old drive or the new one.  It isn't possible if
    a client may hold an exclusive lock, as with Ceph's default features, or if
    a snapshot would keep the old content.
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
    # To the end of the volume, so that no old data remain.
    image.write(data.ljust(size, b"\0"), 0)
    image.flush()
    return True


def _extents(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of the parts that aren't zeros."""
    zeros = bytes(_STEP)
    start = None
    for at in range(0, len(data), _STEP):
        step = data[at : at + _STEP]
        if start is not None and (
            step == zeros or at - start >= _MAX_TRANSFER
        ):
            yield start, at
            start = None
        if start is None and step != zeros:
            start = at
    if start is not None:
        yield start, len(data)


def _in_words(watcher: dict[str, object]) -> str:
    """Describe a watcher: its address is HOST:PORT/NONCE."""
    address = str(watcher["addr"]).rpartition(":")[0].strip("[]")
    return f"host {address} (client.{watcher['id']})"
