"""ISO9660 images that others wrote, nova's among them, are read whole."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from cfgdrive_virt import image
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.model.drive import ISO9660
from cfgdrive_virt.model.tree import MetadataTree

from . import instances, readers, strategies

#: What nova calls it with.
NOVA = (
    *("genisoimage", "-ldots", "-allow-lowercase", "-allow-multidot"),
    *("-l", "-publisher", "nova", "-quiet", "-J", "-r"),
)
GENISOIMAGE = ("genisoimage", "-quiet")
XORRISO = ("xorriso", "-as", "mkisofs", "-quiet")
WRITERS = {
    "nova": NOVA,
    "genisoimage-rock-ridge": (*GENISOIMAGE, "-R"),
    "genisoimage-joliet": (*GENISOIMAGE, "-J", "-joliet-long"),
    "genisoimage-udf": (*GENISOIMAGE, "-r", "-udf"),
    "xorriso": (*XORRISO, "-J", "-joliet-long", "-r"),
    "xorriso-rock-ridge": XORRISO,
}
#: Of more than instances have: long names, many of them, nothing at all.
ODD = {
    "x" * 200 + "é": b"long",
    **{f"many/file number {n} of them.json": b"%d" % n for n in range(300)},
    "a/b/c/d/e/f/g": b"deep",
    "empty": b"",
    "also empty": b"",
    "upper/CASE": b"x",
    "upper/case": b"y",
    "sector": bytes(2048),
    "a..b. ": b"dots",
}


def written(files: dict[str, bytes], *writer: str) -> bytes:
    """Return the image that a writer makes of files, in a directory."""
    with tempfile.TemporaryDirectory() as made:
        top = Path(made, "tree")
        top.mkdir()
        for path, content in files.items():
            file = top / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        drive = Path(made, "disk.config")
        arguments = ("-o", str(drive), "-V", "config-2", str(top))
        readers.run(*writer, *arguments)
        return drive.read_bytes()


@pytest.mark.parametrize("name", list(instances.REQUESTS))
@pytest.mark.parametrize("writer", list(WRITERS))
def test_an_instances_tree_is_read_byte_for_byte(
    writer: str, name: str
) -> None:
    files = dict(instances.tree(name).files)
    contents = image.read(written(files, *WRITERS[writer]))

    assert contents.format == ISO9660
    assert contents.label == "config-2"
    assert not contents.ours
    assert dict(contents.tree.files) == files


@pytest.mark.parametrize(
    "writer", ["nova", "genisoimage-rock-ridge", "xorriso"]
)
def test_an_odd_tree_is_read_byte_for_byte(writer: str) -> None:
    contents = image.read(written(ODD, *WRITERS[writer]))

    assert dict(contents.tree.files) == ODD


@settings(strategies.PROPERTY, max_examples=40)
@pytest.mark.parametrize("writer", ["genisoimage-rock-ridge", "xorriso"])
@given(files=strategies.trees())
def test_any_tree_is_read_byte_for_byte(
    writer: str, files: dict[str, bytes]
) -> None:
    found = image.read(written(files, *WRITERS[writer])).tree.files

    assert dict(found) == files


@settings(strategies.PROPERTY, max_examples=150)
@given(strategies.trees())
def test_any_tree_of_ours_is_read_byte_for_byte(
    files: dict[str, bytes],
) -> None:
    tree = MetadataTree(files)
    built = image.build(ISO9660, tree, label="config-2", timestamp=1, serial=0)
    contents = image.read(built.data)

    assert contents.ours
    assert dict(contents.tree.files) == files


def test_plain_names_are_read_where_there_are_no_others() -> None:
    files = {"openstack/latest/meta_data.json": b"{}"}

    assert (
        dict(
            image.read(
                written(files, *GENISOIMAGE, "-l", "-allow-lowercase")
            ).tree.files
        )
        == files
    )


def test_a_boot_image_is_a_file_like_others() -> None:
    files = {"boot": bytes(4096), "openstack/latest/user_data": b"x"}
    boot = ("-b", "boot", "-no-emul-boot", "-c", "catalog")
    found = dict(image.read(written(files, *NOVA, *boot)).tree.files)

    assert found.pop("catalog")
    assert found == files


@pytest.mark.parametrize("writer", ["nova", "xorriso"])
def test_a_symbolic_link_is_refused_by_its_name(
    writer: str, tmp_path: Path
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("/etc/passwd")
    made = tmp_path / "disk.config"
    readers.run(*WRITERS[writer], "-o", str(made), str(tmp_path / "tree"))

    with pytest.raises(ImageError, match="symbolic links are not"):
        image.read(made.read_bytes())


def test_a_directory_too_deep_is_refused() -> None:
    deep = {"a/b/c/d/e/f/g/h/i/j": b"x"}

    with pytest.raises(ImageError, match=r"relocated|deeper"):
        image.read(written(deep, *NOVA))
