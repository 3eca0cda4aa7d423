"""What is extracted of a drive's tree."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.adapters.cli.extraction import extract, temporary_name
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.tree import MetadataTree

from ...processes import NOBODY, Child, as_nobody

AS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give files away"
)


def test_a_tree_is_extracted_for_its_owners_eyes_only(
    tmp_path: Path,
) -> None:
    files = {"a/b/c": b"x", "a/d": b"\xff", "e": b""}
    before = os.umask(0)
    try:
        extract(MetadataTree(files), tmp_path / "new")
    finally:
        os.umask(before)
    found = {
        str(path.relative_to(tmp_path / "new")): path.read_bytes()
        for path in (tmp_path / "new").rglob("*")
        if path.is_file()
    }
    assert found == files
    modes = {
        stat.S_IMODE(path.stat().st_mode)
        for path in [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    }
    assert modes == {0o600, 0o700}
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("kind", ["directory", "file", "link", "dangling"])
def test_what_is_there_is_left_alone(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "there"
    if kind == "directory":
        target.mkdir()
    elif kind == "file":
        target.touch()
    else:
        target.symlink_to(tmp_path if kind == "link" else "nowhere")
    with pytest.raises(
        StoreError, match="already exists; choose a new directory"
    ):
        extract(MetadataTree({"a": b"x"}), target)
    assert os.listdir(tmp_path) == ["there"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [({"x" * 256: b""}, "File name too long"), ({"a/" + "y" * 300: b"x"}, "")],
    ids=["file", "below"],
)
def test_what_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(StoreError, match=f"can't extract to .*{reason}"):
        extract(MetadataTree(files), tmp_path / "new")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("step", ["open", "mkdir", "rename"])
def test_an_interrupted_extraction_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    real = getattr(os, step)
    made: list[str] = []

    def interrupt(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "b" or step != "open":
            raise KeyboardInterrupt
        made.append(name)
        return real(name, *arguments, **options)

    with monkeypatch.context() as broken:
        broken.setattr(os, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            extract(MetadataTree({"a/b": b"x"}), tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_extraction_left_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def extract_and_die() -> None:
        monkeypatch.setattr(os, "rename", end)
        extract(MetadataTree({"a/b": b"secret"}), tmp_path / "new")

    Child(extract_and_die).answer()
    (left,) = tmp_path.iterdir()
    assert (left / "a" / "b").read_bytes() == b"secret"
    extract(MetadataTree({"c": b"x"}), tmp_path / "new")
    assert os.listdir(tmp_path) == ["new"]
    assert os.listdir(tmp_path / "new") == ["c"]


def test_an_extraction_that_another_process_works_on_is_left_alone(
    tmp_path: Path,
) -> None:
    target = tmp_path / "new"
    working = tmp_path / temporary_name("new")
    working.mkdir()
    (working / "a").touch()
    handle = os.open(working, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="another process writes"):
        extract(MetadataTree({"c": b"x"}), target)
    os.close(handle)
    assert (working / "a").exists()
    os.chown(working, NOBODY, NOBODY)
    with pytest.raises(StoreError, match="is another user's"):
        extract(MetadataTree({"c": b"x"}), target)
    assert (working / "a").exists()


def test_a_directory_without_rights_is_told() -> None:
    told = as_nobody(
        lambda: extract(MetadataTree({"a": b"x"}), Path("/etc/new"))
    )
    assert told == (
        "StoreError: can't extract to /etc/new: permission denied; check"
        " the directory's owner (EACCES)"
    )


@AS_ROOT
@pytest.mark.parametrize("owner", [NOBODY, 0])
def test_what_another_user_may_have_moved_there_is_not_removed(
    tmp_path: Path, owner: int
) -> None:
    left = tmp_path / temporary_name("new")
    left.mkdir()
    (left / "precious").touch()
    os.chown(tmp_path, owner, owner)
    tmp_path.chmod(0o755 if owner else 0o777)
    with pytest.raises(StoreError, match="other users may have put it there"):
        extract(MetadataTree({"c": b"x"}), tmp_path / "new")
    assert (left / "precious").exists()
