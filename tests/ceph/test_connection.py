"""One connection for all threads of a process, and nothing else stays open."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.ceph.store import RbdStore

from ..unit.processes import Child
from .cluster import SHORT, Cluster, eventually

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

DATA = {letter: letter.encode() * (6 << 20) for letter in "ab"}


def open_things() -> dict[str, int]:
    """Count what this process has open, and its threads."""
    links = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(file.readlink()))
    return {
        "files": len(links),
        "sockets": sum(link.startswith("socket:") for link in links),
        "threads": len(os.listdir("/proc/self/task")),
    }


def in_a_child(function: Callable[[], Any]) -> Any:
    """Return what a function returns in a process without connections."""
    return Child(function).answer()


def test_all_threads_share_a_connection(ceph: Cluster) -> None:
    before = ceph.clients()

    def use() -> set[str]:
        with ThreadPoolExecutor(8) as threads:
            # Each with a store of its own, all at the same time.
            uses = [
                threads.submit(lambda: ceph.store().exists(str(uuid.uuid4())))
                for _ in range(40)
            ]
            assert not any(use.result() for use in uses)
        eventually(lambda: len(ceph.clients() - before) == 1)
        return ceph.clients() - before

    assert len(in_a_child(use)) == 1


def test_nothing_is_left_open(ceph: Cluster, drive: str) -> None:
    data = b"d" * 102_400

    def work(store: RbdStore) -> None:
        location = store.write(drive, data)
        store.write(drive, data)
        assert store.exists(drive)
        assert store.read(location, len(data)) == data
        with contextlib.suppress(StoreError):
            store.read(location, 1)
        assert len(list(store.drives())) == 1
        assert ceph.watchers(location.name) == []
        assert store.remove(location)
        assert not store.delete(drive)
        store.monitors()

    def use() -> tuple[dict[str, int], dict[str, int], int]:
        store = ceph.store()
        # The client reports to the manager by and by, on one more socket.
        for _ in range(20):
            work(store)
        before, clients = open_things(), ceph.clients()
        for _ in range(20):
            work(store)
        return before, open_things(), len(ceph.clients() - clients)

    before, after, more = in_a_child(use)
    assert after == before
    assert more == 0


def test_failures_leave_nothing_open(ceph: Cluster, tmp_path: Path) -> None:
    wrong = ceph.configuration(tmp_path / "wrong", keyring="/nonexistent")

    def fail() -> None:
        for options in ({"pool": "absent"}, {"ceph_conf": wrong}):
            with pytest.raises(StoreError):
                ceph.store(**options).exists("")

    def use() -> tuple[dict[str, int], dict[str, int]]:
        fail()
        before = open_things()
        for _ in range(20):
            fail()
        return before, open_things()

    before, after = in_a_child(use)
    assert after == before


def test_a_child_of_a_fork_has_a_connection_of_its_own(
    ceph: Cluster, drive: str, store: RbdStore
) -> None:
    location = store.write(drive, b"p" * 512)
    before = ceph.clients()

    def use() -> tuple[bytes, set[str]]:
        found = store.read(location, 512)
        store.write(drive, b"c" * 512)
        return found, ceph.clients() - before

    found, first = in_a_child(use)
    assert found == b"p" * 512
    assert store.read(location, 512) == b"c" * 512
    _, second = in_a_child(use)
    # librados would have given both the same address.
    assert len(first) == len(second) == 1
    assert first != second


EXIT = """
import os, sys
from cfgdrive_virt.store.ceph.store import RbdStore
store = RbdStore(pool="compute", user="compute", ceph_conf=sys.argv[1],
                 connect_timeout=5, operation_timeout=1)
store.exists("")
if os.fork() == 0:
    sys.exit()
os.wait()
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("away", ["", "mon", "osd"])
def test_a_process_ends_in_time(ceph: Cluster, away: str) -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-c", EXIT, str(ceph.conf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        contextlib.ExitStack() as stack,
    ):
        assert process.stdout
        assert process.stdout.readline() == "connected\n"
        if away:
            stack.enter_context(ceph.without(away))
        _, errors = process.communicate(timeout=10 * SHORT)
    assert (process.returncode, errors) == (0, "")


def test_threads_write_different_drives(
    ceph: Cluster, store: RbdStore
) -> None:
    drives = {str(uuid.uuid4()): bytes([n]) * (3 << 20) for n in range(12)}
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(store.write, drives, drives.values()))
    for drive, data in drives.items():
        assert store.read(store.location(drive), len(data)) == data
    assert len(ceph.volumes()) == len(drives)
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(store.delete, drives))


@pytest.mark.parametrize("had", [False, True], ids=["new", "replacing"])
def test_of_two_hosts_that_write_a_drive_one_wins_or_both_in_turn(
    store: RbdStore, drive: str, had: bool
) -> None:
    """Hosts take no lock together."""
    outcomes: collections.Counter[tuple[bool, ...]] = collections.Counter()
    for _ in range(15):
        if had:
            store.write(drive, b"old" * 512)
        else:
            store.delete(drive)
        writers = {
            letter: Child(functools.partial(store.write, drive, data))
            for letter, data in DATA.items()
        }
        told = {letter: one.answer() for letter, one in writers.items()}
        won = tuple(not isinstance(told[letter], str) for letter in DATA)
        outcomes[won] += 1
        assert any(won) or had, told
        found = store.read(store.location(drive), 1 << 30)
        assert found in DATA.values() if any(won) else b"old" * 512
        for answer in told.values():
            assert not isinstance(answer, str) or "can't write" in answer, (
                answer
            )
    assert sum(outcomes.values()) == 15
