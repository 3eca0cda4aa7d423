"""Many instances at once, and much at once on one: none lost, nothing left."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from cfgdrive_virt import ConfigDriveDriver, ConfigDriveError

from ..unit.processes import Child
from . import places
from .drives import VFAT, Said, Wish
from .killing import check_by_others, patiently
from .places import Place, State

# Python 3.12 warns of what the tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

MANY, FEW, PROCESSES, THREADS = 64, 16, 2, 4
OLD = Wish()
NEW = Wish(meta=1)
#: Of one instance, in each of the processes; and for all of them together.
ROUNDS, SECONDS = 40, 90

Act = Callable[[ConfigDriveDriver, str], Any]


def spawn(driver: ConfigDriveDriver, uuid: str) -> None:
    driver.spawn(OLD.request(uuid))


def refresh(driver: ConfigDriveDriver, uuid: str) -> None:
    driver.refresh(NEW.request(uuid))


def destroy(driver: ConfigDriveDriver, uuid: str) -> None:
    driver.destroy(uuid)


def instances(count: int) -> list[str]:
    """Return UUIDs, each with a lock of its own."""
    return [f"{n:03x}79162-1378-4288-a2d4-70e13ec132aa" for n in range(count)]


def all_at_once(
    place: Place, act: Act, shares: Sequence[Sequence[str]]
) -> float:
    """Do something to instances, a process for each share; return seconds."""
    driver = place.driver(VFAT)

    def work(uuids: Sequence[str]) -> float:
        # In Ceph, that connects.
        driver.exists(uuids[0])
        started = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(partial(act, driver), uuids))
        return time.monotonic() - started

    children = [Child(partial(work, share)) for share in shares]
    answers = [child.answer() for child in children]
    assert [type(answer) for answer in answers] == [float] * len(shares), (
        answers
    )
    return max(answers)


def one_by_one(place: Place, act: Act, uuids: Sequence[str]) -> float:
    """Do something to instances, by a single worker; return seconds."""
    driver = place.driver(VFAT)

    def work() -> float:
        driver.exists(uuids[0])
        started = time.monotonic()
        for uuid in uuids:
            act(driver, uuid)
        return time.monotonic() - started

    answer = Child(work).answer()
    assert isinstance(answer, float), answer
    return answer


def have(place: Place, uuids: Sequence[str], wish: Wish) -> None:
    """See that all instances have a whole drive that says something."""
    for number, uuid in enumerate(uuids):
        found = places.state(place, uuid)
        assert isinstance(found.drive, Said)
        assert found.drive.says(wish)
        assert (found.rescue, found.kept) == (None, None)
        assert place.others(uuid) == []
        if number % FEW == 0:
            check_by_others(place, uuid)


def live(place: Place, shares: Sequence[Sequence[str]]) -> float:
    """Spawn, refresh and destroy instances; return a spawn's seconds."""
    uuids = sorted({uuid for share in shares for uuid in share})
    seconds = all_at_once(place, spawn, shares)
    have(place, uuids, OLD)
    all_at_once(place, refresh, shares)
    have(place, uuids, NEW)
    all_at_once(place, destroy, shares)
    assert place.everything() == []
    return seconds / len(uuids)


def test_many_workers_lose_no_instance(
    place: Place,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    uuids = instances(MANY)
    together = live(place, [uuids[n::PROCESSES] for n in range(PROCESSES)])
    alone = one_by_one(place, spawn, uuids[:FEW]) / FEW
    have(place, uuids[:FEW], OLD)
    all_at_once(place, destroy, [uuids[:FEW]])
    assert place.everything() == []
    record_property("seconds per spawn, one worker", alone)
    record_property("seconds per spawn, all workers", together)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{type(place).__name__}: a spawn takes {alone * 1000:.1f} ms;"
            f" with {PROCESSES * THREADS} workers one is done every"
            f" {together * 1000:.1f} ms ({together / alone:.2f} of it) "
        )


def test_workers_of_the_same_instances_lose_none(place: Place) -> None:
    uuids = instances(FEW)
    chance = random.Random(0)
    for _ in range(2):
        live(place, [chance.sample(uuids, FEW) for _ in range(PROCESSES)])


def resize(driver: ConfigDriveDriver, uuid: str, number: int) -> None:
    driver.migrate_disk_and_power_off(uuid)
    driver.finish_migration(OLD.request(uuid))
    if number % 2:
        driver.confirm_migration(uuid)
    else:
        driver.finish_revert_migration(OLD.request(uuid))


def migrate(driver: ConfigDriveDriver, uuid: str, _: int) -> None:
    plan = driver.plan(OLD.request(uuid))
    xml = f"<domain><devices>{plan.disk_xml}</devices></domain>"
    told = driver.check_can_live_migrate_destination(uuid)
    moving = driver.check_can_live_migrate_source(
        uuid, told, xml, block_migration=False
    )
    driver.cleanup_live_migration_destination_check(uuid, told)
    assert moving is not None
    driver.pre_live_migration(uuid, moving, list)
    driver.post_live_migration(uuid, moving)
    driver.post_live_migration_at_destination(uuid, moving)


def rebuild(driver: ConfigDriveDriver, uuid: str, number: int) -> None:
    wish = dataclasses.replace(OLD, meta=number)
    driver.rebuild(wish.request(uuid))


def delete(driver: ConfigDriveDriver, uuid: str, _: int) -> None:
    driver.destroy(uuid)


JOBS = (resize, migrate, rebuild, delete)


def repeated(
    driver: ConfigDriveDriver, uuid: str, job: Callable[..., None]
) -> int:
    """Do a job again and again; return how often it went well."""
    well = 0
    for number in range(ROUNDS):
        try:
            job(driver, uuid, number)
        except ConfigDriveError:
            # Another one was faster.
            continue
        well += 1
    return well


def quarrel_of_processes(driver: ConfigDriveDriver, uuid: str) -> list[Any]:
    children = [Child(partial(repeated, driver, uuid, job)) for job in JOBS]
    answers: list[Any] = []
    ending = [
        threading.Timer(SECONDS, partial(os.kill, child.pid, signal.SIGKILL))
        for child in children
    ]
    for child, timer in zip(children, ending, strict=True):
        timer.start()
        answers.append(child.answer())
        timer.cancel()
    return answers


def quarrel_of_threads(driver: ConfigDriveDriver, uuid: str) -> list[Any]:
    # In a process of its own, which can be ended.
    def work() -> list[int]:
        with ThreadPoolExecutor(len(JOBS)) as pool:
            return list(pool.map(partial(repeated, driver, uuid), JOBS))

    child = Child(work)
    timer = threading.Timer(
        SECONDS, partial(os.kill, child.pid, signal.SIGKILL)
    )
    timer.start()
    answer = child.answer()
    timer.cancel()
    return list(answer) if isinstance(answer, list) else [answer]


@pytest.mark.parametrize("quarrel", [quarrel_of_processes, quarrel_of_threads])
def test_a_migration_a_rebuild_and_a_delete_at_once_end_and_leave_nothing(
    place: Place, quarrel: Callable[[ConfigDriveDriver, str], list[Any]]
) -> None:
    [uuid] = instances(1)
    driver = place.driver(VFAT)
    answers = quarrel(driver, uuid)
    assert all(isinstance(answer, int) for answer in answers), answers
    # To rebuild and to delete needs nobody else.
    assert answers[2:] == [ROUNDS, ROUNDS]

    patiently(place, partial(driver.destroy, uuid))
    assert places.state(place, uuid) == State()
    assert place.everything() == []
