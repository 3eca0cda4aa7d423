"""A tree's paths stay within it."""

from __future__ import annotations

import pytest

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.model.tree import MAX_ENTRIES, MetadataTree


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b",
        "a/./b", "a\0", "a/\0/b",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_path_that_could_lead_out_is_refused(path: str) -> None:
    with pytest.raises(ImageError, match="cannot be a path on a drive"):
        MetadataTree({path: b""})


@pytest.mark.parametrize("path", ["...", "a..b", ".a", "a.", " ", "é", "-rf"])
def test_any_other_path_is_taken(path: str) -> None:
    assert list(MetadataTree({path: b"x"}).files) == [path]


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b", "a/b/c/d")])
def test_nothing_is_both_a_file_and_a_directory(paths: tuple[str]) -> None:
    with pytest.raises(ImageError, match="is both a file and a directory"):
        MetadataTree(dict.fromkeys(paths, b""))


def test_files_are_in_order_whatever_order_they_came_in() -> None:
    tree = MetadataTree({"b": b"", "a/z": b"", "a/c": b""})
    assert list(tree.files) == ["a/c", "a/z", "b"]


def test_its_number_is_that_of_its_files() -> None:
    assert len(MetadataTree({"b": b"xx", "a/c": b"x"})) == 2


def test_a_tree_cannot_be_changed() -> None:
    files = {"a": b"x"}
    tree = MetadataTree(files)
    files["b"] = b""
    with pytest.raises(TypeError):
        tree.files["c"] = b""
    assert dict(tree.files) == {"a": b"x"}


def test_its_repr_shows_no_content() -> None:
    assert "hunter2" not in repr(MetadataTree({"a": b"hunter2"}))


def test_a_tree_has_no_more_files_and_directories_than_a_drive() -> None:
    # With the directories a and a/b.
    paths = [f"a/b/{number}" for number in range(MAX_ENTRIES - 2)]
    assert len(MetadataTree(dict.fromkeys(paths, b""))) == MAX_ENTRIES - 2
    with pytest.raises(ImageError) as caught:
        MetadataTree(dict.fromkeys([*paths, "c"], b""))
    assert str(caught.value) == (
        "more than 2,048 files and directories; a drive can't have so many,"
        " use fewer"
    )


def test_a_tree_has_no_longer_paths_than_a_drive() -> None:
    paths = [f"{number:01000}" for number in range(1048)]
    assert MetadataTree(dict.fromkeys(paths, b""))
    with pytest.raises(ImageError) as caught:
        MetadataTree(dict.fromkeys([*paths, "é" * 300], b""))
    assert str(caught.value) == (
        "the paths have more than 1,048,576 bytes in all; a drive can't have"
        " so many, use shorter ones"
    )
