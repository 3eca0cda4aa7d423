"""Drives that this user can't read, and libvirt can."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import DriveUnreadable
from cfgdrive_virt.model.status import FRESH
from cfgdrive_virt.store.file import FileStore

from ..processes import NOBODY, as_nobody
from ..samples import OTHER_UUID, UUID
from .drives import NEW, role, wanted


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
class TestUnreadable:
    """libvirt gives a disk's file to QEMU's user, and not always back."""

    @pytest.fixture
    def theirs(self, driver: ConfigDriveDriver) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            os.chown(root, NOBODY, NOBODY)
            driver._host.conf.set_override("instances_path", name)
            driver.spawn(wanted())
            drive = root / UUID / "disk.config"
            os.chown(drive, 0, 0)
            yield drive

    def test_without_another_way_it_is_told(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        def look() -> str:
            with pytest.raises(DriveUnreadable) as caught:
                driver.status(wanted())
            return str(caught.value)

        told = as_nobody(look)
        assert told.startswith(f"can't read {theirs}: permission denied")

    @pytest.mark.parametrize("hook", ["reboot", "spawn", "finish_migration"])
    def test_nothing_that_only_it_says_is_lost(
        self, driver: ConfigDriveDriver, theirs: Path, hook: str
    ) -> None:
        before = theirs.read_bytes()

        def act() -> list[Any]:
            blind = driver.reading_by(lambda *_: None)
            hooks = [wanted(**NEW)] if hook == "spawn" else [UUID, wanted()]
            return [getattr(blind, hook)(one).built for one in hooks]

        assert not any(as_nobody(act))
        assert theirs.read_bytes() == before

    @pytest.mark.parametrize("hook", ["rebuild", "destroy"])
    def test_it_is_no_obstacle(
        self, driver: ConfigDriveDriver, theirs: Path, hook: str
    ) -> None:
        def act() -> Any:
            if hook == "destroy":
                return driver.destroy(UUID)
            made = driver.rebuild(wanted(**NEW))
            return made is not None and made.built

        assert as_nobody(act) is True
        if hook == "destroy":
            assert not theirs.parent.exists()
        else:
            assert role(theirs) == "new"

    @pytest.mark.parametrize("by", ["request", "uuid"])
    def test_a_resize_needs_no_look(
        self, driver: ConfigDriveDriver, theirs: Path, by: str
    ) -> None:
        before = theirs.read_bytes()

        def act() -> None:
            instance = UUID if by == "uuid" else wanted(launched=True)
            driver.migrate_disk_and_power_off(UUID)
            driver.finish_revert_migration(instance)

        as_nobody(act)
        assert theirs.read_bytes() == before

    def test_a_resize_makes_it_ours_while_libvirt_can_read_it(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        data = theirs.read_bytes()

        def act() -> None:
            able = driver.reading_by(lambda *_: data)
            able.migrate_disk_and_power_off(UUID)
            driver.finish_migration(UUID)
            driver.confirm_migration(UUID)

        as_nobody(act)
        assert theirs.read_bytes() == data
        assert theirs.stat().st_uid == NOBODY

    def test_a_guest_that_is_off_has_it_given_back(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        data = theirs.read_bytes()

        def power_off() -> None:
            with pytest.raises(DriveUnreadable):
                driver.reading_by(lambda *_: None).power_off(UUID)
            driver.reading_by(lambda *_: data).power_off(UUID)
            assert driver.status(wanted()).state == FRESH

        assert as_nobody(power_off) is None
        assert theirs.stat().st_uid == NOBODY

    def test_a_medium_that_is_out_is_given_for_libvirt_to_read(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        data = theirs.read_bytes()

        def act() -> bool:
            given: list[bool] = []

            class Out:
                def take(self) -> None: ...
                def give(self) -> None:
                    given.append(True)

            able = driver.reading_by(lambda *_: data if given else None)
            made = able.refresh(wanted(**NEW), Out())
            return made is not None and made.built

        assert as_nobody(act) is True
        assert role(theirs) == "new"

    def test_a_directory_without_rights_stops_no_list(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        driver.spawn(wanted(uuid=OTHER_UUID))
        theirs.parent.chmod(0o700)
        os.chown(theirs.parent, 0, 0)

        def look() -> list[tuple[str, str]]:
            store = FileStore(theirs.parent.parent)
            return [
                (found.location.uuid, found.problem)
                for found in store.drives()
            ]

        assert as_nobody(look) == [
            (OTHER_UUID, ""),
            (
                UUID,
                (
                    f"can't access {theirs.parent}: permission denied; check"
                    " the directory's owner (EACCES)"
                ),
            ),
        ]

    def test_it_is_listed_as_nobodys(self, theirs: Path) -> None:
        def look() -> list[Any]:
            return list(FileStore(theirs.parent.parent).drives())

        [found] = as_nobody(look)
        assert (found.ours, found.size) == (False, theirs.stat().st_size)

    def test_with_another_way_all_is_as_ever(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        data = theirs.read_bytes()
        asked = []

        def peek(location: Any, most: int) -> bytes:
            asked.append((str(location), most >= len(data)))
            return data

        def work() -> list[Any]:
            able = driver.reading_by(peek)
            found = [able.status(wanted()).state, able.reboot(UUID).built]
            made = able.refresh(wanted(**NEW))
            assert made is not None
            return [*found, made.built, asked]

        *found, asked_then = as_nobody(work)
        assert found == [FRESH, False, True]
        assert asked_then == [(str(theirs), True)] * 3
        assert role(theirs) == "new"
        assert theirs.stat().st_uid == NOBODY
