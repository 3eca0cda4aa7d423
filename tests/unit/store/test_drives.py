"""All drives of a store: which are found, and which may be removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.model.drive import BUILDER, FileLocation
from cfgdrive_virt.store.file import FileStore

from ..processes import Child
from ..samples import OTHER_UUID, UUID
from .files import NEW, names, refusal

BUILT_HERE = {
    "iso9660": bytes(16 * 2048 + 574) + BUILDER + bytes(9),
    "vfat": (bytes(62) + BUILDER).ljust(510, b"\0") + b"\x55\xaa",
}


@pytest.mark.parametrize("image_format", BUILT_HERE)
def test_all_drives_are_found_and_what_is_known_of_them(
    store: FileStore, instances: Path, image_format: str
) -> None:
    data = BUILT_HERE[image_format]
    store.write(UUID, data)
    store.write(OTHER_UUID, b"nova's")
    leftover = store.location(UUID).path.with_name("disk.config.new")
    leftover.write_bytes(b"half")
    os.utime(leftover, (5, 5))
    (instances / "locks").mkdir()
    (instances / "_base").mkdir()
    (instances / UUID.upper()).mkdir()
    (instances / UUID.upper() / "disk.config").touch()

    other, drive, new = store.drives()

    assert (drive.location, new.location, other.location) == (
        store.location(UUID),
        FileLocation(UUID, leftover),
        store.location(OTHER_UUID),
    )
    assert [drive.size, new.size, other.size] == [len(data), 4, 6]
    assert [drive.ours, new.ours, other.ours] == [True, False, False]
    assert drive.modified == store.location(UUID).path.stat().st_mtime
    assert new.modified == 5
    assert not drive.users + new.users + other.users


def test_a_mark_in_a_tenants_file_is_none(store: FileStore) -> None:
    # Where ISO9660 has it, on a VFAT image of somebody else.
    data = bytes(510) + b"\x55\xaa" + BUILT_HERE["iso9660"][512:]
    store.write(UUID, data)
    (drive,) = store.drives()
    assert drive.ours is False


def test_what_is_no_drive_is_passed_over(
    store: FileStore, instances: Path, tmp_path: Path
) -> None:
    uuids = [f"{number}{UUID[1:]}" for number in range(5)]
    drives = [store.location(uuid).path for uuid in uuids]
    for drive in drives[:3]:
        drive.parent.mkdir()
    drives[0].symlink_to("/etc/passwd")
    os.mkfifo(drives[1])
    drives[2].mkdir()
    (instances / uuids[3]).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "disk.config").touch()
    (instances / uuids[4]).symlink_to(tmp_path / "elsewhere")
    assert list(store.drives()) == []


def test_one_drive_is_removed_with_its_empty_directory(
    store: FileStore, instances: Path
) -> None:
    location = store.write(UUID, NEW)
    store.write(OTHER_UUID, NEW)
    assert store.remove(location) is True
    assert store.remove(location) is False
    assert names(instances) == [OTHER_UUID]


def test_a_directory_that_holds_more_stays(
    store: FileStore, instances: Path
) -> None:
    location = store.write(UUID, NEW)
    (location.path.parent / "disk").touch()
    store.remove(location)
    assert names(instances / UUID) == ["disk"]


@pytest.mark.parametrize("read_only", [True, False], ids=["cdrom", "disk"])
def test_a_drive_that_qemu_uses_is_not_removed(
    store: FileStore, read_only: bool
) -> None:
    location = store.write(UUID, bytes(4096))
    assert location.path.stat().st_size == 4096
    with qemu_using(location.path, read_only=read_only):
        (drive,) = store.drives()
        assert drive.users == ("a process that locked it",)
        assert refusal(store.remove, location) == (
            f"{location} is in use by a process that locked it"
        )
        assert location.path.exists()
    assert next(store.drives()).users == ()
    assert store.remove(location) is True


def test_a_drive_that_another_process_locks_is_not_removed(
    store: FileStore,
) -> None:
    location = store.write(UUID, NEW)
    ready, told = os.pipe()

    def hold() -> None:
        with location.path.open("rb+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(told, b"x")
            time.sleep(60)

    child = Child(hold)
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    assert re.fullmatch(
        rf"{location} is in use by process \d+",
        refusal(store.remove, location),
    )
    child.kill()


@contextlib.contextmanager
def qemu_using(path: Path, *, read_only: bool) -> Iterator[None]:
    """Have QEMU hold an image as a guest's disk would, no guest needed."""
    options = ["--read-only"] if read_only else []
    # A test's own directory is too long for a socket.
    with tempfile.TemporaryDirectory() as directory:
        name = Path(directory, "nbd")
        server = subprocess.Popen(
            ["qemu-nbd", "-f", "raw", "-t", "-k", name, *options, path],
            stderr=subprocess.PIPE,
        )
        try:
            end = time.monotonic() + 30
            while not name.exists():
                assert server.poll() is None, server.communicate()
                assert time.monotonic() < end
                time.sleep(0.02)
            # It listens before it has the image open, and answers after.
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(30)
                client.connect(str(name))
                assert client.recv(8) == b"NBDMAGIC"
            yield
        finally:
            server.terminate()
            server.communicate(timeout=30)


def scattered(instances: Path, number: int) -> None:
    """Make drives of many instances: names of one file."""
    original = instances / "original"
    original.write_bytes(BUILT_HERE["vfat"])
    for n in range(number):
        home = instances / f"{n:08x}{UUID[8:]}"
        home.mkdir(exist_ok=True)
        (home / "disk.config").unlink(missing_ok=True)
        os.link(original, home / "disk.config")


def test_each_drive_of_many_takes_the_same_few_system_calls(
    store: FileStore, instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def count(module: Any, name: str) -> None:
        real = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            made.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    for name in ("open", "close", "stat", "fstat", "pread", "listdir"):
        count(os, name)
    monkeypatch.setattr(os, "scandir", None)
    count(fcntl, "fcntl")

    def calls(number: int) -> int:
        scattered(instances, number)
        made.clear()
        assert len(list(store.drives())) == number
        return len(made)

    few, many = calls(10), calls(60)
    # Its directory, and the four names that a drive may have in it.
    assert many - few <= 50 * 12


def test_of_many_drives_only_names_are_kept_in_memory(
    store: FileStore, instances: Path
) -> None:
    def most(number: int) -> int:
        scattered(instances, number)
        tracemalloc.start()
        try:
            assert sum(drive.ours for drive in store.drives()) == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most(10)
    few, many = most(200), most(2000)
    assert many - few < 1800 * 150


def test_progress_is_told_with_the_number_of_all(
    store: FileStore, instances: Path
) -> None:
    scattered(instances, 3)
    # The first one, of an instance without a drive.
    (instances / OTHER_UUID).mkdir()
    seen: list[tuple[int, int]] = []
    drives = store.drives(lambda *numbers: seen.append(numbers))
    next(drives)
    assert seen == [(1, 4)]
    list(drives)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
