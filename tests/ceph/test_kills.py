"""Whenever a writer is killed, a drive is whole or absent, and writable."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import random
import sys
import time
import uuid
from collections.abc import Callable

import pytest

from cfgdrive_virt.exception import DriveInUse, StoreError
from cfgdrive_virt.model.drive import Location
from cfgdrive_virt.store.ceph.store import RbdStore

from ..unit.processes import Child
from .cluster import Cluster

# Python 3.12 warns of what the tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

OLD, NEW, NEXT = b"old" * 102_400, b"new" * (2 << 20), b"next" * 51_200
KILLS, INSTANCES = 220, 55


def content(store: RbdStore, instance: str) -> bytes | None:
    """Return what a guest would find."""
    if not store.exists(instance):
        return None
    found = store.read(store.location(instance), 1 << 30)
    # A volume that is rewritten in its place keeps its size.
    return found and found.rstrip(b"\0")


def killed_at_random(
    store: RbdStore, instance: str, chance: random.Random
) -> str:
    """Kill a process that writes, replaces and deletes; return in what."""
    reading, writing = os.pipe()

    def live() -> None:
        store.exists(instance)
        for what, act in (
            (b"c", lambda: store.write(instance, OLD)),
            (b"r", lambda: store.write(instance, NEW)),
            (b"d", lambda: store.delete(instance)),
            (b"e", lambda: None),
        ):
            os.write(writing, what)
            # What others left may still be watched.
            with contextlib.suppress(StoreError):
                act()

    child = Child(live)
    os.close(writing)
    with open(reading, "rb", buffering=0) as pipe:
        # As many in each, however long they take on a machine that is busy.
        done = b"".join(pipe.read(1) for _ in range(chance.randint(1, 3)))
        time.sleep(chance.uniform(0, 0.06))
        child.kill()
        done += pipe.read()
    return ("create", "replace", "delete", "nothing")[len(done) - 1]


def test_killed_at_any_time(
    ceph: Cluster, store: RbdStore, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(0)
    instances = [str(uuid.uuid4()) for _ in range(INSTANCES)]
    fell: collections.Counter[str] = collections.Counter()
    for number in range(KILLS):
        instance = instances[number % INSTANCES]
        killed_in = killed_at_random(store, instance, chance)
        found = content(store, instance)
        assert found in (None, OLD, NEW)
        state = {None: "no", OLD: "the old", NEW: "the new"}[found]
        fell[f"in {killed_in:7} left {state} drive"] += 1
        # The next spawn leaves a whole drive alone.
        if found is None:
            store.write(instance, NEXT)
        assert content(store, instance) == (found or NEXT)
        # What the killed process had open may still be watched.
        with contextlib.suppress(StoreError):
            store.delete(instance)
        assert content(store, instance) in (None, found, NEXT)
    with capsys.disabled():
        lines = [f"{count:4} {what}" for what, count in sorted(fell.items())]
        sys.stdout.write("\n".join(["", f"{KILLS} kills:", *lines, ""]))
    for killed_in in ("create", "replace", "delete"):
        assert sum(n for what, n in fell.items() if killed_in in what) > 20
    swept(ceph, store, instances)


def swept(ceph: Cluster, store: RbdStore, instances: list[str]) -> None:
    """Once nothing is watched all can be written, and all be removed."""

    def unwatched() -> bool:
        return not any(drive.users for drive in store.drives())

    ceph.patiently(unwatched)
    for instance in instances:
        store.write(instance, NEXT)
        assert content(store, instance) == NEXT
    locations = {store.location(instance) for instance in instances}
    for drive in list(store.drives()):
        if drive.location not in locations:
            ceph.patiently(functools.partial(removed, store, drive.location))
    # Of one that was half removed Ceph lists the name once more.
    assert {*ceph.volumes()} == {location.name for location in locations}
    for instance in instances:
        assert content(store, instance) == NEXT
        assert store.delete(instance) is True

    def all_gone() -> bool:
        # What was half removed may be watched still, and is for the next.
        removed = [gone(store, instance) for instance in instances]
        return all(removed) and ceph.volumes() == []

    ceph.patiently(all_gone)


def rewrite(store: RbdStore, instance: str) -> None:
    store.write(instance, NEXT)
    assert content(store, instance) == NEXT


def delete(store: RbdStore, instance: str) -> None:
    existed = store.exists(instance)
    assert store.delete(instance) is existed
    assert store.exists(instance) is False


def prune(store: RbdStore, instance: str) -> None:
    for drive in list(store.drives()):
        store.remove(drive.location)
    assert list(store.drives()) == []
    assert store.exists(instance) is False


HEALERS = pytest.mark.parametrize("heal", [rewrite, delete, prune])


@HEALERS
@pytest.mark.parametrize("listed", ["new", "final"])
def test_a_rename_that_was_interrupted_left_a_whole_drive(
    ceph: Cluster,
    store: RbdStore,
    drive: str,
    listed: str,
    heal: Callable[[RbdStore, str], None],
) -> None:
    location = store.write(drive, OLD)
    temporary = f"{location.name}.new"
    final_id, new_id = f"rbd_id.{location.name}", f"rbd_id.{temporary}"
    if listed == "new":
        ceph.rbd("rename", location.source, f"{ceph.pool}/{temporary}")
        ceph.admin("rados", "-p", ceph.pool, "cp", new_id, final_id)
        assert ceph.volumes() == [temporary]
    else:
        ceph.admin("rados", "-p", ceph.pool, "cp", final_id, new_id)
        assert ceph.volumes() == [location.name]
    assert {final_id, new_id} <= ceph.objects()
    assert content(store, drive) == OLD
    heal(store, drive)
    store.delete(drive)
    assert ceph.objects() == set()


def removed(store: RbdStore, location: Location) -> bool:
    """Remove a leftover, unless a killed process seems to be removing it."""
    try:
        store.remove(location)
    except DriveInUse:
        return False
    return True


def gone(store: RbdStore, instance: str) -> bool:
    """Remove a drive, unless a killed process seems to have it open."""
    try:
        store.delete(instance)
    except DriveInUse:
        return False
    return True


@pytest.mark.parametrize("act", ["write", "delete"])
def test_a_half_renamed_drive_opens_no_more_before_its_data_go(
    ceph: Cluster, store: RbdStore, drive: str, act: str
) -> None:
    """Else, killed meanwhile, it would be a drive of zeros."""
    chance = random.Random(0)
    found = set()
    for _ in range(8):
        location = store.write(drive, NEW)
        final, new = location.name, f"{location.name}.new"
        ceph.rbd("rename", location.source, f"{ceph.pool}/{new}")
        ids = (f"rbd_id.{new}", f"rbd_id.{final}")
        ceph.admin("rados", "-p", ceph.pool, "cp", *ids)
        child = Child(
            lambda: (
                store.delete(drive)
                if act == "delete"
                else store.write(drive, NEXT)
            )
        )
        time.sleep(chance.uniform(0.02, 0.15))
        child.kill()
        found.add(content(store, drive))
        ceph.patiently(lambda: gone(store, drive))
    assert found <= {None, NEW, NEXT}


def half_created(ceph: Cluster, name: str) -> None:
    ceph.rbd("create", "--size", "1", f"{ceph.pool}/{name}")
    for header in ceph.objects():
        if header.startswith("rbd_header."):
            ceph.admin("rados", "-p", ceph.pool, "rm", header)


def listed_only(ceph: Cluster, name: str) -> None:
    half_created(ceph, name)
    ceph.admin("rados", "-p", ceph.pool, "rm", f"rbd_id.{name}")


@HEALERS
@pytest.mark.parametrize("suffix", ["", ".new", ".new1"])
@pytest.mark.parametrize("left", [half_created, listed_only])
def test_what_cannot_be_opened_is_no_drive_and_in_nobodys_way(
    ceph: Cluster,
    store: RbdStore,
    drive: str,
    left: Callable[[Cluster, str], None],
    suffix: str,
    heal: Callable[[RbdStore, str], None],
) -> None:
    name = f"{drive}_disk.config{suffix}"
    left(ceph, name)
    assert store.exists(drive) is False
    [found] = store.drives()
    assert (found.location.name, found.size) == (name, 0)
    heal(store, drive)
    store.delete(drive)
    assert ceph.objects() == set()
