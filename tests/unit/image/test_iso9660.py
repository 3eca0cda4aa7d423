"""Images that are damaged, or made to do damage.

What becomes of whole ones is for other people's readers: tests/readers.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model.tree import MetadataTree

FILES = {
    "openstack/latest/meta_data.json": b'{"uuid": 1}',
    "openstack/latest/user_data": b"x" * 5000,
    "z": b"y" * 3000,
}
SECTOR = 2048


@pytest.fixture(scope="module")
def image() -> bytes:
    return iso9660.build(MetadataTree(FILES), timestamp=0).data


def records(data: bytes, volume: int) -> Iterator[int]:
    """Yield where a volume's root directory has its entries."""
    root = volume * SECTOR + 156
    extent, size = struct.unpack_from("<I4xI", data, root + 2)
    offset = extent * SECTOR
    while offset < extent * SECTOR + size and data[offset]:
        if data[offset + 32] > 1:
            yield offset
        offset += data[offset]


def set_both(data: bytearray, offset: int, value: int) -> None:
    """Set a number in both byte orders, as ISO9660 has them."""
    struct.pack_into("<I", data, offset, value)
    struct.pack_into(">I", data, offset + 4, value)


def test_an_image_is_read_as_it_was_built(image: bytes) -> None:
    assert dict(iso9660.read(image).files) == FILES
    assert iso9660.label(image) == "config-2"


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\0" * 100_000, b"PK\3\4" * 50_000, b"\xff" * 100_000],
    ids=["empty", "nul", "zeroes", "zip", "ones"],
)
def test_garbage_is_no_image(data: bytes) -> None:
    with pytest.raises(ImageError, match="not a whole ISO9660 image"):
        iso9660.read(data)
    iso9660.label(data)


def test_a_truncated_image_is_refused_wherever_it_ends(image: bytes) -> None:
    accepted = []
    for length in range(0, len(image), SECTOR):
        try:
            iso9660.read(image[:length])
        except ImageError:
            continue
        accepted.append(length // SECTOR)
    assert accepted == []


@pytest.mark.parametrize("missing", [1, SECTOR, 5 * SECTOR])
def test_a_truncated_image_is_told_how_much_is_missing(
    image: bytes, missing: int
) -> None:
    with pytest.raises(ImageError) as caught:
        iso9660.read(image[:-missing])
    assert str(caught.value) == (
        f"not a whole ISO9660 image: it has {len(image) - missing:,} of its"
        f" {len(image):,} bytes"
    )


def test_what_follows_an_image_does_no_harm(image: bytes) -> None:
    # As on a device that is larger than its volume.
    assert dict(iso9660.read(image + b"\xff" * 5000).files) == FILES


def test_a_file_that_claims_to_be_larger_than_the_image_is_not(
    image: bytes,
) -> None:
    data = bytearray(image)
    for volume in (16, 17):
        for record in records(data, volume):
            if not data[record + 25] & 2:
                set_both(data, record + 10, 0xFFFFF000)
    try:
        tree = iso9660.read(bytes(data))
    except ImageError:
        return
    assert sum(map(len, tree.files.values())) < len(image)


def test_directories_that_hold_themselves_are_refused(image: bytes) -> None:
    data = bytearray(image)
    for volume in (16, 17):
        root = volume * SECTOR + 156
        extent, size = struct.unpack_from("<I4xI", data, root + 2)
        for record in records(data, volume):
            if data[record + 25] & 2:
                set_both(data, record + 2, extent)
                set_both(data, record + 10, size)
    with pytest.raises(ImageError):
        iso9660.read(bytes(data))


@pytest.mark.parametrize(
    ("name", "hostile"),
    [
        (b"user_data", b"../../../"),
        (b"user_data", b"/etc/pass"),
        (b"openstack", b"../../../"),
        (b"openstack", b"..\0\0\0\0\0\0\0"),
        (b"user_data", b"..\0\0\0\0\0\0\0"),
        (b"meta_data.json", b"../../x/y.json"),
        (b"user_data", b"\xff\xfe\xfd_data"),
    ],
)
def test_names_that_lead_out_of_the_tree_are_refused(
    image: bytes, name: bytes, hostile: bytes
) -> None:
    assert name in image
    with pytest.raises(ImageError):
        iso9660.read(image.replace(name, hostile))


def test_any_damage_is_an_error_of_ours_or_none(image: bytes) -> None:
    chance = random.Random(0)
    used = [offset for offset, byte in enumerate(image) if byte]
    for _ in range(800):
        data = bytearray(image)
        for _ in range(chance.choice((1, 2, 8, 40))):
            offset = chance.choice(used) + chance.randrange(3)
            data[offset % len(data)] = chance.choice((0, 1, 255, 47, 46))
        try:
            iso9660.read(bytes(data))
        except ImageError:
            continue
