"""What the readers of both formats have in common."""

from __future__ import annotations

import pytest

from cfgdrive_virt import image
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import iso9660, vfat
from cfgdrive_virt.model.tree import MetadataTree

#: Each format's package, and the format's name in errors.
READERS = {"iso9660": iso9660, "vfat": vfat}
NAMES = {"iso9660": "ISO9660", "vfat": "VFAT"}
FILES = {
    "openstack/latest/meta_data.json": b'{"uuid": 1}',
    "openstack/latest/user_data": b"x" * 5000,
    "openstack/content/0000": b"0" * 512,
    "empty": b"",
    "z": b"y" * 3000,
}


def built(image_format: str) -> bytes:
    tree = MetadataTree(FILES)
    return image.build(
        image_format, tree, label="config-2", timestamp=0, serial=0
    ).data


@pytest.mark.parametrize("image_format", READERS)
def test_an_image_is_read_as_it_was_built(image_format: str) -> None:
    contents = READERS[image_format].read(built(image_format))

    assert contents.format == image_format
    assert contents.label == "config-2"
    assert contents.ours
    assert dict(contents.tree.files) == FILES


@pytest.mark.parametrize(
    ("image_format", "data"),
    [
        pytest.param(image_format, data, id=f"{image_format}-{name}")
        for image_format, more in {
            "iso9660": {"nul": b"\0"},
            "vfat": {
                "boot-record": bytes(510) + b"\x55\xaa",
                "half-a-sector": built("vfat")[:511],
                "no-fats-as-in-ntfs": built("vfat")[:16]
                + bytes(494)
                + b"\x55\xaa",
            },
        }.items()
        for name, data in {
            "empty": b"",
            "zeroes": b"\0" * 100_000,
            "ones": b"\xff" * 100_000,
            "zip": b"PK\3\4" * 50_000,
            **more,
        }.items()
    ],
)
def test_garbage_is_no_image(image_format: str, data: bytes) -> None:
    assert not READERS[image_format].recognizes(data)
    told = {
        "iso9660": "can't read the ISO9660 image",
        "vfat": "not a VFAT image",
    }[image_format]
    with pytest.raises(ImageError, match=told):
        READERS[image_format].read(data)


@pytest.mark.parametrize(
    ("image_format", "missing"),
    [
        ("iso9660", 1),
        ("iso9660", 2048),
        ("iso9660", 5 * 2048),
        ("vfat", 1),
        ("vfat", 512),
        ("vfat", len(built("vfat")) - 512),
    ],
)
def test_a_truncated_image_is_told_how_much_is_missing(
    image_format: str, missing: int
) -> None:
    data = built(image_format)
    short = data[:-missing]

    assert READERS[image_format].recognizes(short)
    with pytest.raises(ImageError) as caught:
        READERS[image_format].read(short)
    assert str(caught.value) == (
        f"can't read the {NAMES[image_format]} image: it is truncated to"
        f" {len(short):,} of its {len(data):,} bytes"
    )
