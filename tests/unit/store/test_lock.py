"""Builders of one instance take turns, threads and processes alike."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cfgdrive_virt import ConfigDriveError
from cfgdrive_virt.store.lock import locked

from ..processes import Child, as_nobody
from ..samples import OTHER_UUID, UUID
from .files import names, take


def test_locks_that_cannot_be_taken_are_told(open_directory: Path) -> None:
    def lock() -> str:
        with locked(open_directory, UUID):
            return "locked"

    reason = "permission denied; check the directory's owner (EACCES)"
    told = f"StoreError: can't lock a file in {open_directory}/locks: {reason}"
    assert as_nobody(lock) == told
    (open_directory / "locks").mkdir(mode=0o755)
    assert as_nobody(lock) == told
    (open_directory / "locks").chmod(0o700)
    assert as_nobody(lock) == told
    open_directory.chmod(0o700)
    assert as_nobody(lock) == told


def test_a_root_that_cannot_be_reached_is_told(open_directory: Path) -> None:
    root = open_directory / "instances"
    root.mkdir()
    open_directory.chmod(0o700)
    assert as_nobody(lambda: take(root)) == (
        f"StoreError: instances_path {root} can't be used: permission"
        " denied; check the directory's owner (EACCES)"
    )


def test_builders_of_one_instance_take_turns(instances: Path) -> None:
    log = instances / "log"
    log.touch()

    def build(number: int) -> None:
        with locked(instances, UUID), log.open("ab", buffering=0) as file:
            file.write(b"%d\n" % number)
            time.sleep(0.002)
            file.write(b"%d\n" % number)

    def in_threads(number: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(build, range(4 * number, 4 * number + 4)))

    children = [
        Child(lambda number=number: in_threads(number)) for number in range(8)
    ]
    assert [child.answer() for child in children] == [None] * 8
    lines = log.read_text().split()
    assert len(lines) == 64
    assert lines[::2] == lines[1::2]


def test_a_killed_builder_holds_no_lock(instances: Path) -> None:
    reading, writing = os.pipe()

    def hold() -> None:
        with locked(instances, UUID):
            os.write(writing, b"x")
            time.sleep(60)

    child = Child(hold)
    os.read(reading, 1)
    child.kill()
    os.close(reading)
    os.close(writing)
    with locked(instances, UUID):
        pass


def test_an_error_while_locked_frees_the_lock(instances: Path) -> None:
    with pytest.raises(ConfigDriveError), locked(instances, UUID):
        raise ConfigDriveError
    with locked(instances, UUID):
        pass


def test_a_lock_file_is_opened_by_the_lock_alone(tmp_path: Path) -> None:
    # Whoever else in the process closes it gives up the lock (POSIX).
    def opened() -> int:
        seen = []
        sys.addaudithook(
            lambda event, arguments: (
                seen.append(arguments[0]) if event == "open" else None
            )
        )
        with locked(tmp_path, UUID):
            pass
        return sum("cfgdrive-virt-drive" in str(path) for path in seen)

    assert Child(opened).answer() == 1


def test_locks_are_4096_of_each_at_most_and_stay(instances: Path) -> None:
    for uuid in (UUID, f"{UUID[:3]}{OTHER_UUID[3:]}", OTHER_UUID):
        for what in ("drive", "domain"):
            with locked(instances, uuid, what):
                pass
    assert names(instances / "locks") == [
        "cfgdrive-virt-domain-000",
        "cfgdrive-virt-domain-836",
        "cfgdrive-virt-drive-000",
        "cfgdrive-virt-drive-836",
    ]


def test_without_a_word_the_lock_is_the_drives(instances: Path) -> None:
    take(instances)
    assert names(instances / "locks") == ["cfgdrive-virt-drive-836"]


def test_the_drives_lock_is_taken_within_the_domains(instances: Path) -> None:
    def held(what: str) -> bool:
        def take() -> None:
            with locked(instances, UUID, what):
                pass

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        thread.join(0.2)
        waited = thread.is_alive()
        waiting.append(thread)
        return waited

    waiting: list[threading.Thread] = []
    with locked(instances, UUID, "domain"):
        assert not held("drive")
        with locked(instances, UUID, "drive"):
            assert held("domain")
            assert held("drive")
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()
