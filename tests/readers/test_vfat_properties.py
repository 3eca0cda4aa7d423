"""Whatever a tree or a request holds, VFAT's readers see that, or it isn't.

The names of our own trees are plain; that any name within the limits is kept
to the letter is what the image promises to whoever adds one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import vfat
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model.tree import MetadataTree

from . import instances, readers, strategies

Reader = Callable[[Path], dict[str, bytes]]


def image_of(files: dict[str, bytes]) -> bytes:
    tree = MetadataTree(files)
    return vfat.build(
        tree, label="config-2", timestamp=instances.TIMESTAMP, serial=1
    ).data


def ours(image: Path) -> dict[str, bytes]:
    return dict(vfat.read(image.read_bytes()).tree.files)


def read_back(data: bytes, *through: Reader) -> list[dict[str, bytes]]:
    """Return what each reader finds in an image that fsck.fat is fine with."""
    # Not tmp_path: hypothesis would share it between examples.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "disk.config")
        path.write_bytes(data)
        assert readers.fsck_fat(path) == []
        return [reader(path) for reader in through]


@settings(strategies.PROPERTY, max_examples=150)
@given(
    strategies.vfat_trees(strategies.vfat_names.filter(strategies.survives_7z))
)
def test_7z_and_we_find_every_name_to_the_letter(
    files: dict[str, bytes],
) -> None:
    for found in read_back(image_of(files), readers.seven_zip, ours):
        assert found == files


@settings(strategies.PROPERTY, max_examples=150)
@given(
    strategies.vfat_trees(
        strategies.vfat_names.filter(strategies.survives_mtools)
    )
)
def test_mtools_and_we_find_every_name_to_the_letter(
    files: dict[str, bytes],
) -> None:
    for found in read_back(image_of(files), readers.mtools, ours):
        assert found == files


@settings(strategies.PROPERTY, max_examples=60)
@given(strategies.vfat_trees())
def test_equal_trees_make_equal_images(files: dict[str, bytes]) -> None:
    backwards = dict(reversed(files.items()))

    assert image_of(files) == image_of(backwards)


@settings(strategies.PROPERTY, max_examples=15)
@given(
    st.lists(
        strategies.vfat_names.filter(strategies.survives_7z),
        min_size=5,
        max_size=10,
        unique=True,
    ),
    st.sampled_from(["", "x/"]),
)
def test_a_crowded_directory_is_read_whole(
    names: list[str], directory: str
) -> None:
    files = strategies.fit_together(
        {
            f"{directory}{number}{name}": name.encode()
            for number in range(40)
            for name in names
            if strategies.fits_vfat(f"{number}{name}")
        }
    )
    for found in read_back(image_of(files), readers.seven_zip, ours):
        assert found == files


@settings(strategies.PROPERTY, max_examples=200)
@given(
    st.dictionaries(
        st.text("aAb./\0\n*;\\é€😀 \uffffx~1", max_size=260),
        st.just(b"x"),
        max_size=4,
    )
)
def test_any_path_is_refused_or_kept(files: dict[str, bytes]) -> None:
    try:
        data = image_of(files)
    except ImageError:
        return
    through = [ours]
    if all(
        len(part.encode()) < 256 for path in files for part in path.split("/")
    ):
        through.append(readers.seven_zip)
    for found in read_back(data, *through):
        assert found == files


@settings(strategies.PROPERTY, max_examples=100)
@given(strategies.vfat_names, strategies.vfat_names)
def test_two_names_are_refused_or_are_two_to_mtools(
    one: str, other: str
) -> None:
    files = {one: b"1", other: b"2"}
    try:
        data = image_of(files)
    except ImageError:
        return
    if all(map(strategies.survives_mtools, files)):
        assert read_back(data, readers.mtools) == [files]


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["write", "delete", "rename"]),
        st.integers(0, 99),
        st.sampled_from(["a", "B", "c.TXT", "Long Name.text", "user_data"])
        | st.from_regex("[a-zA-Z0-9_]{1,20}(\\.[a-z]{1,4})?", fullmatch=True),
        st.binary(max_size=2000),
    ),
    max_size=6,
)


@settings(strategies.PROPERTY, max_examples=40)
@given(st.booleans(), _CHANGES)
def test_we_read_what_mtools_changed_as_mtools_does(
    from_mkfs: bool, changes: list[tuple[str, int, str, bytes]]
) -> None:
    names = {"meta_data.json", "LATEST", "0000"}
    files = {f"d/{name}": name.encode() * 99 for name in names}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "disk.config")
        if from_mkfs:
            readers.mkfs_vfat(path, 1 << 20, files)
        else:
            # Some clusters for what is to come.
            path.write_bytes(image_of(files | {"z": bytes(20_000)}))
            readers.run("mdel", "-i", str(path), "::z")
        for kind, number, name, content in changes:
            known = sorted(readers.mtools(path))
            old = known[number % len(known)] if known else None
            taken = {other.lower() for other in known}
            if kind == "write":
                readers.mcopy_to(path, f"d/{name}", content)
            elif kind == "delete" and old:
                readers.run("mdel", "-i", str(path), f"::{old}")
            elif old and f"d/{name}".lower() not in taken:
                new = f"::d/{name}"
                readers.run("mren", "-i", str(path), f"::{old}", new)

        assert readers.fsck_fat(path) == []
        assert ours(path) == readers.mtools(path)


@pytest.mark.parametrize("name", list(instances.REQUESTS))
def test_every_path_of_our_own_is_one_that_vfat_can_hold(name: str) -> None:
    files = dict(instances.tree(name).files)

    assert all(
        strategies.fits_vfat(part)
        for path in files
        for part in path.split("/")
    )
    assert strategies.fit_together(files) == files


@settings(strategies.PROPERTY, max_examples=80)
@given(strategies.requests())
def test_any_request_makes_a_drive_that_is_read_back_whole(
    request: ConfigDriveRequest,
) -> None:
    assert request.random_seed is not None
    tree = build_tree(request, random_seed=request.random_seed)
    data = image_of(dict(tree.files))

    for found in read_back(data, readers.mtools, readers.seven_zip, ours):
        assert found == dict(tree.files)
