"""What the system refuses is told, with what to do about it."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.store import file as store_file
from cfgdrive_virt.store.file import FileStore

from ..processes import as_nobody, on_tmpfs
from ..samples import OTHER_UUID, UUID
from .files import NEW, OLD, names, refusal, take

_FULL = f"""
import sys
from pathlib import Path
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked
root = Path(sys.argv[1])
store = FileStore(root)
store.write("{UUID}", b"old")
for uuid in ("{UUID}", "{OTHER_UUID}"):
    try:
        store.write(uuid, b"x" * (2 << 20))
    except StoreError as error:
        print(error)
files = sorted(path for path in root.rglob("*") if path.is_file())
for path in files:
    print(path.relative_to(root), path.read_bytes())
print(sorted(path.name for path in root.iterdir()))
"""


def test_a_full_disk_leaves_what_was_there_and_nothing_else(
    instances: Path,
) -> None:
    told = on_tmpfs(instances, "size=1m", _FULL).splitlines()
    assert told == [
        f"can't write {instances}/{uuid}/disk.config: the disk is full; make"
        " room (ENOSPC)"
        for uuid in (UUID, OTHER_UUID)
    ] + [f"{UUID}/disk.config b'old'", f"['{UUID}']"]


_NO_INODES = f"""
import sys
from pathlib import Path
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked
root = Path(sys.argv[1])
for act in ("{UUID}", "{OTHER_UUID}"):
    try:
        FileStore(root).write(act, b"x")
    except StoreError as error:
        print(error)
print(list(root.rglob("*")))
"""


def test_a_disk_without_room_for_names_is_full_too(instances: Path) -> None:
    told = on_tmpfs(instances, "nr_inodes=2", _NO_INODES).splitlines()
    assert all("the disk is full" in line for line in told[:2])
    assert told[2] == "[]"


_READ_ONLY = f"""
import subprocess, sys
from pathlib import Path
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked
root = Path(sys.argv[1])
store = FileStore(root)
store.write("{UUID}", b"old")
with locked(root, "{UUID}", timeout=10):
    pass
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
def lock():
    with locked(root, "ff", timeout=10):
        pass
for act in (
    lambda: store.write("{UUID}", b"new"),
    lambda: store.write("{OTHER_UUID}", b"new"),
    lambda: store.delete("{UUID}"),
    lock,
):
    try:
        act()
    except StoreError as error:
        print(error)
print(store.exists("{UUID}"), store.location("{UUID}").path.read_bytes())
"""


def test_a_read_only_file_system_is_told_as_such(instances: Path) -> None:
    told = on_tmpfs(instances, "size=1m", _READ_ONLY).splitlines()
    reason = ": the file system is read-only (EROFS)"
    assert told == [
        f"can't write {instances}/{UUID}/disk.config{reason}",
        f"can't create {instances}/{OTHER_UUID}{reason}",
        f"can't remove {instances}/{UUID}/disk.config{reason}",
        f"can't open {instances}/locks/cfgdrive-virt{reason}",
        "True b'old'",
    ]


def test_a_directory_without_rights_is_told_as_such(
    open_directory: Path,
) -> None:
    store = FileStore(open_directory)
    reason = "permission denied; check the directory's owner (EACCES)"
    told = as_nobody(lambda: store.write(UUID, NEW))
    assert (
        told == f"StoreError: can't create {open_directory}/{UUID}: {reason}"
    )
    store.write(UUID, OLD)
    told = as_nobody(lambda: store.write(UUID, NEW))
    path = store.location(UUID).path
    assert told == f"StoreError: can't write {path}: {reason}"
    told = as_nobody(lambda: store.delete(UUID))
    assert told == f"StoreError: can't remove {path}: {reason}"
    assert path.read_bytes() == OLD


def test_a_directory_that_cannot_be_looked_into_is_told(
    open_directory: Path,
) -> None:
    store = FileStore(open_directory)
    store.write(UUID, OLD)
    store.location(UUID).path.parent.chmod(0o700)
    told = as_nobody(lambda: store.exists(UUID))
    assert told.startswith(
        f"StoreError: can't access {open_directory}/{UUID}/disk.config:"
        " permission denied"
    )


@pytest.mark.parametrize("kind", ["missing", "file", "dangling"])
def test_a_root_that_is_no_directory_is_told(
    tmp_path: Path, kind: str
) -> None:
    root = tmp_path / "root"
    if kind == "file":
        root.write_bytes(b"")
    elif kind == "dangling":
        root.symlink_to("nowhere")
    store = FileStore(root)
    told = {
        "file": f"instances_path {root} can't be used: a part of the path is a"
        " link, or not a directory (ENOTDIR)",
    }.get(
        kind,
        f"instances_path {root} can't be used: the directory is missing"
        " (ENOENT)",
    )
    assert refusal(take, store.root) == told
    assert str(root) in refusal(store.write, UUID, NEW)
    assert names(tmp_path) == ([] if kind == "missing" else ["root"])


def test_an_error_without_a_remedy_is_told_in_the_systems_words(
    store: FileStore, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(store_file.os, "write", fail)
    assert refusal(store.write, UUID, NEW) == (
        f"can't write {drive}: File too large (EFBIG)"
    )
