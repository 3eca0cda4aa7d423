"""Threads, processes and users that work on drives at the same time."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.exception import StoreError

from ..processes import NOBODY, Child, as_nobody
from ..samples import UUID, wanted
from .drives import meta_data


def test_spawning_and_destroying_work_within_the_domains_lock(
    driver: ConfigDriveDriver, instances: Path, drive: Path
) -> None:
    with driver.locked(UUID.upper()):
        driver.spawn(wanted())
        driver.rebuild(wanted())
        assert drive.exists()
        driver.destroy(UUID)
    assert not drive.exists()
    assert os.listdir(instances / "locks") == ["cfgdrive-virt"]


def test_services_take_turns_at_a_domain(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    log = instances / "log"
    log.touch()

    def work(number: int) -> None:
        for _ in range(5):
            with driver.locked(UUID), log.open("ab", buffering=0) as file:
                file.write(b"%d\n" % number)
                driver.rebuild(wanted())
                file.write(b"%d\n" % number)

    children = [
        Child(lambda number=number: work(number)) for number in range(4)
    ]
    assert [child.answer() for child in children] == [None] * 4
    lines = log.read_text().split()
    assert len(lines) == 40
    assert lines[::2] == lines[1::2]


def test_a_lock_that_cannot_be_had_is_told_on_entry(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    instances.rmdir()
    lock = driver.locked(UUID)
    with pytest.raises(StoreError, match="can't be used"):
        lock.__enter__()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_spawned_is_the_services_afterwards(conf: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.chown(root, NOBODY, NOBODY)
        opts = conf()
        driver = ConfigDriveDriver(opts)
        opts.set_override("instances_path", name)
        with driver.locked(UUID):
            driver.spawn(wanted())

        def serve() -> list[Any]:
            with driver.locked(UUID):
                kept = driver.spawn(wanted())
                changed = driver.rebuild(wanted(name="x"))
                assert kept is not None
                assert changed is not None
                data = changed.location.path.read_bytes()
                return [
                    kept.built,
                    changed.built,
                    meta_data(data)["name"],
                    driver.destroy(UUID),
                ]

        assert as_nobody(serve) == [False, True, "x", True]
        assert os.listdir(root) == ["locks"]


def test_many_spawn_one_instance_and_one_of_them_builds(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    def spawn(_: int) -> bool:
        made = driver.spawn(wanted())
        assert made is not None
        return made.built

    def in_threads(number: int) -> list[bool]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(spawn, range(4 * number, 4 * number + 4)))

    children = [
        Child(lambda number=number: in_threads(number)) for number in range(8)
    ]
    built = [done for child in children for done in child.answer()]
    assert len(built) == 32
    assert built.count(True) == 1
    assert os.listdir(drive.parent) == ["disk.config"]


def test_many_spawn_and_destroy_at_once_and_nothing_breaks(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    def work(number: int) -> None:
        for _ in range(10):
            if number % 2:
                driver.destroy(UUID)
            else:
                driver.rebuild(wanted())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    driver.destroy(UUID)
    assert os.listdir(instances) == ["locks"]


def test_a_driver_is_shared_by_threads(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    barrier = threading.Barrier(4)

    def spawn(number: int) -> bytes:
        uuid = f"{number:08x}{UUID[8:]}"
        barrier.wait()
        made = driver.spawn(dataclasses.replace(wanted(), uuid=uuid))
        assert made is not None
        return Path(made.location.source).read_bytes()

    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(spawn, range(4)))
    for number, data in enumerate(images):
        assert meta_data(data)["uuid"].startswith(f"{number:08x}")
    assert len(os.listdir(instances)) == 5
