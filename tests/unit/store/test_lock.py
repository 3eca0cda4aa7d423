"""Builders of one instance take turns, threads and processes alike."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import ConfigDriveError
from cfgdrive_virt.store import lock
from cfgdrive_virt.store.lock import locked

from ..processes import Child, as_nobody
from ..samples import OTHER_UUID, UUID
from .files import mode, names, refusal, take


def test_locks_that_cannot_be_taken_are_told(open_directory: Path) -> None:
    def lock() -> str:
        with locked(open_directory, UUID, timeout=10):
            return "locked"

    reason = "permission denied; check the directory's owner (EACCES)"
    path = open_directory / "locks" / "cfgdrive-virt"
    told = f"StoreError: can't open {path}: {reason}"
    assert as_nobody(lock) == told
    (open_directory / "locks").mkdir(mode=0o755)
    assert as_nobody(lock) == told
    (open_directory / "locks").chmod(0o700)
    assert as_nobody(lock) == told
    open_directory.chmod(0o700)
    assert as_nobody(lock) == (
        f"StoreError: instances_path {open_directory} can't be used: {reason}"
    )


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
        with (
            locked(instances, UUID, timeout=10),
            log.open("ab", buffering=0) as file,
        ):
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


@contextlib.contextmanager
def held_by_another_process(root: Path) -> Iterator[None]:
    """Have a process hold the instance's lock, and kill it at the end."""
    reading, writing = os.pipe()

    def hold() -> None:
        with locked(root, UUID, timeout=10):
            os.write(writing, b"x")
            time.sleep(60)

    child = Child(hold)
    try:
        os.read(reading, 1)
        yield
    finally:
        child.kill()
        os.close(reading)
        os.close(writing)


def test_a_killed_builder_holds_no_lock(instances: Path) -> None:
    with held_by_another_process(instances):
        pass
    with locked(instances, UUID, timeout=10):
        pass


def test_an_error_while_locked_frees_the_lock(instances: Path) -> None:
    with pytest.raises(ConfigDriveError), locked(instances, UUID, timeout=10):
        raise ConfigDriveError
    with locked(instances, UUID, timeout=10):
        pass


def test_one_file_has_the_locks_of_all_instances(instances: Path) -> None:
    for uuid in (UUID, OTHER_UUID):
        for what in ("drive", "domain"):
            with locked(instances, uuid, what, timeout=10):
                pass
    assert names(instances / "locks") == ["cfgdrive-virt"]
    assert mode(instances / "locks") == 0o700
    assert mode(instances / "locks" / "cfgdrive-virt") == 0o600


def test_another_file_that_is_closed_frees_no_lock(instances: Path) -> None:
    # As closing one does with POSIX locks of a process.
    with locked(instances, UUID, timeout=10):
        with locked(instances, OTHER_UUID, timeout=10):
            pass
        (instances / "locks" / "cfgdrive-virt").read_bytes()
        told = Child(lambda: refusal(take, instances, 0.1)).answer()
    assert "was not free" in told


def test_who_waits_for_another_process_says_so_and_gives_up(
    instances: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lock, "_SILENCE", 0.05)
    words = f"the drive lock of instance {UUID}"
    remedy = (
        "to find the process that has it:"
        f" fuser {instances}/locks/cfgdrive-virt"
    )
    with held_by_another_process(instances):
        assert refusal(take, instances, 0.2) == (
            f"{words} was not free within [cfgdrive_virt] lock_timeout;"
            f" {remedy}"
        )
    assert caplog.messages == [f"Waiting for {words}; {remedy}"]
    take(instances)


def test_who_waits_for_another_thread_gives_up(instances: Path) -> None:
    with (
        locked(instances, UUID, timeout=10),
        ThreadPoolExecutor(1) as pool,
    ):
        told = pool.submit(refusal, take, instances, 0.1).result()
    assert told.endswith("another thread of this process has it")
    take(instances)


def test_a_child_that_is_forked_meanwhile_waits_for_no_dead_thread(
    instances: Path,
) -> None:
    forked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(instances, UUID, timeout=10):
            forked.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    forked.wait(60)
    # It must not take the thread's semaphore for its own.
    child = Child(lambda: take(instances, 60))
    # Nor may its copy of the open file keep the lock.
    other = Child(lambda: time.sleep(60))
    done.set()
    thread.join()
    assert child.answer() is None
    take(instances)
    other.kill()


def test_a_child_that_leaves_a_lock_behind_closes_no_other_file(
    instances: Path,
) -> None:
    def leave() -> bool:
        # One of these has the number that the lock's file had.
        descriptors = os.pipe()
        stack.close()
        return all(os.fstat(descriptor) for descriptor in descriptors)

    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(instances, UUID, timeout=10))
        assert Child(leave).answer() is True
        told = Child(lambda: refusal(take, instances, 0.1)).answer()
    assert "was not free" in told


def test_a_lock_that_cannot_be_released_costs_nothing(
    instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.fcntl

    def fail(handle: int, command: int, asked: bytes) -> Any:
        if struct.unpack("hhqqi4x", asked)[0] == fcntl.F_UNLCK:
            raise OSError(errno.EIO, "Input/output error")
        return real(handle, command, asked)

    monkeypatch.setattr(fcntl, "fcntl", fail)
    take(instances)
    take(instances)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EIO])
def test_a_file_system_without_locks_is_told(
    instances: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "fcntl", fail)
    told = refusal(take, instances)
    assert told.startswith(f"can't lock {instances}/locks/cfgdrive-virt: ")
    assert told.endswith(f"({errno.errorcode[number]})")


def test_the_drives_lock_is_taken_within_the_domains(instances: Path) -> None:
    def held(what: str) -> bool:
        def take() -> None:
            with locked(instances, UUID, what, timeout=10):
                pass

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        thread.join(0.2)
        waited = thread.is_alive()
        waiting.append(thread)
        return waited

    waiting: list[threading.Thread] = []
    with locked(instances, UUID, "domain", timeout=10):
        assert not held("drive")
        with locked(instances, UUID, "drive", timeout=10):
            assert held("domain")
            assert held("drive")
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()
