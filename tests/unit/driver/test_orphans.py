"""Which drives have outlived their instance - and why are the others kept?"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from cfgdrive_virt.conf import register_opts
from cfgdrive_virt.driver.orphans import Pruned, prune, why_kept
from cfgdrive_virt.model.drive import (
    BUILDER,
    BUILDER_OFFSETS,
    FileLocation,
    StoredDrive,
)
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.settings import read_settings
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked

from ..processes import Child
from ..samples import OTHER_UUID, UUID

NOW = 1_700_000_000.0
HOUR = 3600
ORPHAN = StoredDrive(
    FileLocation(UUID, Path("/x")), 1, NOW - 25 * HOUR, True, ()
)


def kept(drive: StoredDrive, living: set[str]) -> str:
    return why_kept(drive, living=living, now=NOW, minimum_age=24 * HOUR)


def test_an_old_marked_drive_that_nobody_knows_is_an_orphan() -> None:
    assert kept(ORPHAN, {OTHER_UUID}) == ""


@pytest.mark.parametrize(
    ("change", "living", "why"),
    [
        ({}, {UUID, OTHER_UUID}, "its instance exists"),
        ({"ours": False}, set(), "not built by cfgdrive_virt"),
        (
            {"users": ("10.0.0.5 (client.7)", "process 9")},
            set(),
            "in use by 10.0.0.5 (client.7), process 9",
        ),
        ({"modified": NOW - 23 * HOUR}, set(), "younger than 24 hours"),
        ({"modified": NOW + HOUR}, set(), "younger than 24 hours"),
    ],
)
def test_a_drive_is_kept_for_a_reason(
    change: dict[str, Any], living: set[str], why: str
) -> None:
    assert kept(dataclasses.replace(ORPHAN, **change), living) == why


@pytest.fixture
def settings(conf: Callable[..., cfg.ConfigOpts]) -> Settings:
    made = conf()
    register_opts(made)
    return read_settings(made)


@pytest.fixture
def store(instances: Path) -> FileStore:
    store = FileStore(instances)
    for uuid in (UUID, OTHER_UUID):
        path = store.write(
            uuid, bytes(BUILDER_OFFSETS["iso9660"]) + BUILDER
        ).path
        os.utime(path, (0, 0))
    return store


def pruned(settings: Settings, **arguments: Any) -> dict[str, str]:
    found = prune(
        settings, {OTHER_UUID}, now=NOW, minimum_age=HOUR, **arguments
    )
    return {one.drive.location.uuid: one.kept for one in found}


def test_orphans_are_only_told_unless_they_are_to_go(
    settings: Settings, store: FileStore
) -> None:
    assert pruned(settings) == {OTHER_UUID: "its instance exists", UUID: ""}
    assert store.exists(UUID)


def test_orphans_are_removed_and_nothing_else(
    settings: Settings, store: FileStore, instances: Path
) -> None:
    assert pruned(settings, remove=True) == {
        OTHER_UUID: "its instance exists",
        UUID: "",
    }
    assert store.exists(OTHER_UUID)
    assert not (instances / UUID).exists()


def test_what_cannot_be_removed_is_kept_with_the_reason(
    settings: Settings, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", refuse)
    _, orphan = prune(
        settings, {OTHER_UUID}, now=NOW, minimum_age=HOUR, remove=True
    )
    assert orphan.failed
    assert orphan.kept.startswith("can't remove ")
    assert store.exists(UUID)


def test_what_has_changed_since_it_was_listed_is_kept(
    settings: Settings, store: FileStore
) -> None:
    found = prune(settings, set(), now=NOW, minimum_age=HOUR, remove=True)
    assert next(found).kept == ""
    drive = store.location(UUID)
    # One instance's drives are listed together.
    leftover = FileLocation(UUID, drive.path.with_name("disk.config.new"))
    leftover.path.write_bytes(drive.path.read_bytes())
    os.utime(leftover.path, (0, 0))
    assert next(found).kept == ""
    leftover.path.write_bytes(b"somebody else's")
    third = next(found)
    assert (third.failed, third.kept) == (
        True,
        f"{leftover} has changed since it was listed",
    )
    assert leftover.path.read_bytes() == b"somebody else's"


def test_pruning_waits_for_whoever_builds_the_drive(
    settings: Settings, store: FileStore, instances: Path
) -> None:
    ready, told = os.pipe()

    def build() -> bool:
        with locked(instances, UUID, timeout=10):
            os.write(told, b"x")
            time.sleep(0.2)
            return store.exists(UUID)

    child = Child(build)
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    assert pruned(settings, remove=True)[UUID] == ""
    assert child.answer() is True
    assert not store.exists(UUID)


def test_what_is_told_holds_the_drive(
    settings: Settings, store: FileStore
) -> None:
    found = list(prune(settings, {UUID}, now=NOW, minimum_age=0))
    drives = sorted(store.drives(), key=lambda drive: drive.location.uuid)
    assert found == [
        Pruned(drives[0], ""),
        Pruned(drives[1], "its instance exists"),
    ]
