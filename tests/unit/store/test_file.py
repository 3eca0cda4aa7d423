"""Where a drive is, what takes its place, and what is none."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.file_system import supports_direct_io
from cfgdrive_virt.store.lock import locked

from ..samples import OTHER_UUID, UUID
from .files import KINDS, NAMES, NEW, OLD, foreign, names, refusal, take


def test_a_drive_is_where_nova_has_it(store: FileStore, drive: Path) -> None:
    location = store.write(UUID, NEW)
    assert location == store.location(UUID)
    assert (location.path, location.uuid) == (drive, UUID)
    assert drive.read_bytes() == NEW
    assert names(drive.parent) == NAMES


def test_a_relative_root_gives_an_absolute_location(
    instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(instances.parent)
    location = FileStore(Path("instances")).write(UUID, NEW)
    assert location.path == instances / UUID / "disk.config"


def test_a_drive_takes_the_place_of_the_one_before(
    store: FileStore, drive: Path
) -> None:
    store.write(UUID, OLD)
    with drive.open("rb") as opened:
        store.write(UUID, NEW)
        assert opened.read() == OLD
    assert drive.read_bytes() == NEW


def test_other_files_of_an_instance_are_left_alone(
    store: FileStore, drive: Path
) -> None:
    drive.parent.mkdir()
    (drive.parent / "disk").write_bytes(b"root disk")
    store.write(UUID, NEW)
    assert store.delete(UUID) is True
    assert names(drive.parent) == ["disk"]


def test_a_drive_exists_once_it_is_written(store: FileStore) -> None:
    assert store.exists(UUID) is False
    store.write(UUID, NEW)
    assert store.exists(UUID) is True
    assert store.exists(OTHER_UUID) is False


def test_deleting_tells_whether_there_was_a_drive(
    store: FileStore, instances: Path
) -> None:
    assert store.delete(UUID) is False
    store.write(UUID, NEW)
    assert store.delete(UUID) is True
    assert store.delete(UUID) is False
    assert names(instances) == []


def test_deleting_removes_a_dead_writers_leftover(
    store: FileStore, drive: Path, instances: Path
) -> None:
    drive.parent.mkdir()
    (drive.parent / "disk.config.new").write_bytes(b"half")
    assert store.delete(UUID) is False
    assert names(instances) == []


def test_a_root_may_be_a_link_to_a_directory(
    tmp_path: Path, instances: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(instances)
    store = FileStore(link)
    take(store.root)
    assert store.write(UUID, NEW).path == link / UUID / "disk.config"


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"a regular file"}))
def test_what_is_no_file_is_no_drive(
    store: FileStore, drive: Path, kind: str
) -> None:
    words = foreign(drive, kind)
    assert refusal(store.exists, UUID) == words
    assert refusal(store.write, UUID, NEW) == words
    assert refusal(store.delete, UUID) == words
    assert names(drive.parent) == NAMES


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"a directory"}))
def test_what_is_no_directory_is_no_instances(
    store: FileStore, drive: Path, kind: str
) -> None:
    words = foreign(drive.parent, kind)
    assert refusal(store.exists, UUID) == words
    assert refusal(store.write, UUID, NEW) == words
    assert refusal(store.delete, UUID) == words
    assert os.path.lexists(drive.parent)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"a directory"}))
def test_whatever_has_the_temporary_name_is_replaced(
    store: FileStore, drive: Path, kind: str
) -> None:
    foreign(drive.with_name("disk.config.new"), kind)
    store.write(UUID, NEW)
    assert names(drive.parent) == NAMES
    assert drive.read_bytes() == NEW


def test_a_directory_of_the_temporary_name_is_told(
    store: FileStore, drive: Path
) -> None:
    store.write(UUID, OLD)
    drive.with_name("disk.config.new").mkdir()
    assert "a directory has that name" in refusal(store.write, UUID, NEW)
    assert drive.read_bytes() == OLD


def test_nothing_is_listed_however_many_instances_there_are(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Any] = []
    real = os.listdir

    def listdir(path: Any) -> list[str]:
        # A new directory is empty.
        listed.extend(real(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(os, "scandir", listed.append)
    for what in ("drive", "domain"):
        with locked(store.root, UUID, what, timeout=10):
            store.write(UUID, OLD)
            store.write(UUID, NEW)
            store.exists(UUID)
            store.delete(UUID)
    supports_direct_io(store.root)
    assert listed == []


def test_reading_takes_memory_for_what_is_there_only(
    store: FileStore,
) -> None:
    location = store.write(UUID, NEW)
    tracemalloc.start()
    try:
        assert store.read(location, 1 << 28) == NEW
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1 << 20
    assert refusal(store.read, location, 10) == (
        f"{location} has 6,000 bytes, more than 10"
    )
