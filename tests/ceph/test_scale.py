"""What many volumes in a pool cost: one each for a list, none for a drive."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator
from typing import Any

import pytest
import rbd

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.ceph import ahead
from cfgdrive_virt.store.ceph.store import RbdStore
from cfgdrive_virt.store.ceph.volumes import Volumes

from .cluster import Cluster

#: More than are looked at together.
MANY = 3 * ahead.THREADS
DRIVE = b"x" * 4096


@pytest.fixture
def many(ceph: Cluster, store: RbdStore) -> Iterator[list[str]]:
    """Drives of many instances; their volumes' names, sorted."""
    instances = [str(uuids.UUID(int=number << 96)) for number in range(MANY)]
    try:
        for uuid in instances:
            store.write(uuid, DRIVE)
        yield [f"{uuid}_disk.config" for uuid in instances]
    finally:
        ceph.empty()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the volumes that have been opened since."""
    names: list[str] = []
    real = rbd.Image

    def open_image(pool: Any, name: str, **options: Any) -> Any:
        names.append(name)
        return real(pool, name, **options)

    monkeypatch.setattr(rbd, "Image", open_image)
    return names


def test_each_volume_is_opened_once_and_they_come_in_order(
    store: RbdStore, many: list[str], opened: list[str]
) -> None:
    seen: list[tuple[int, int]] = []
    drives = list(store.drives(lambda *numbers: seen.append(numbers)))
    assert [drive.location.source for drive in drives] == [
        f"{store.pool}/{name}" for name in many
    ]
    assert all(drive.ours and drive.size == len(DRIVE) for drive in drives)
    assert sorted(opened) == many
    assert seen == [(number, MANY) for number in range(1, MANY + 1)]


def test_only_some_are_looked_at_before_they_are_asked_for(
    store: RbdStore, many: list[str], opened: list[str]
) -> None:
    drives = store.drives()
    assert next(drives).location.source == f"{store.pool}/{many[0]}"
    del drives
    assert len(opened) <= ahead.THREADS


def test_a_list_ends_where_the_cluster_does_not_answer(
    store: RbdStore, many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rbd.Image

    def open_image(pool: Any, name: str, **options: Any) -> Any:
        if name == many[5]:
            raise rbd.Timeout("no answer", errno=110)
        return real(pool, name, **options)

    monkeypatch.setattr(rbd, "Image", open_image)
    drives = store.drives()
    found = [next(drives).location.source for _ in many[:5]]
    assert found == [f"{store.pool}/{name}" for name in many[:5]]
    with pytest.raises(StoreError, match="no answer within"):
        next(drives)


def test_one_drive_costs_the_same_however_many_there_are(
    store: RbdStore,
    many: list[str],
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uuid = str(uuids.uuid4())

    def refuse(_: Volumes) -> list[str]:
        raise AssertionError("the pool is listed")

    monkeypatch.setattr(Volumes, "names", refuse)
    location = store.write(uuid, DRIVE)
    store.write(uuid, DRIVE[::-1])
    assert store.exists(uuid)
    assert store.read(location, len(DRIVE)) == DRIVE[::-1]
    store.sweep(uuid, thorough=True)
    assert store.delete(uuid) is True
    assert not set(opened) & set(many)
