"""A rebuild: the drive is made anew from the request alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cfgdrive_virt import Drive
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.model.request import InjectedFile

from ..samples import UUID
from .drives import HARM, NEW, ONE_SHOT, SECRETS, Make, meta_data, role, wanted


class TestRebuild:
    def test_it_makes_the_drive_anew(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        seed = meta_data(drive)["random_seed"]
        made = driver.rebuild(wanted(**NEW))
        assert made is not None
        assert made.built
        assert role(drive) == "new"
        assert meta_data(drive)["random_seed"] != seed

    @HARM
    def test_it_needs_nothing_of_what_is_there(
        self,
        driver: ConfigDriveDriver,
        drive: Path,
        harm: Callable[[Path], None],
    ) -> None:
        driver.spawn(wanted())
        harm(drive)
        driver.rebuild(wanted(**NEW))
        assert role(drive) == "new"

    def test_an_evacuated_instance_keeps_a_drive_that_says_the_same(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        for built in (True, False):
            made = driver.rebuild(wanted(launched=True), evacuate=True)
            assert made is not None
            assert made.built is built
        driver.rebuild(wanted(**NEW), evacuate=True)
        assert role(drive) == "new"


def test_a_drive_that_is_there_is_replaced_if_asked(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    changed = wanted(metadata={"changed": "yes"})
    made = driver.rebuild(changed)
    assert made == Drive(driver.location(UUID), built=True)
    assert meta_data(drive.read_bytes())["meta"] == {"changed": "yes"}


def test_a_rebuild_that_fails_keeps_what_was_there(
    make: Make, drive: Path
) -> None:
    make().spawn(wanted())
    before = drive.read_bytes()
    big = InjectedFile(path="/big", content=os.urandom(2 << 20))
    with pytest.raises(ImageError):
        make("[cfgdrive_virt]\nmax_drive_size = 1\n").rebuild(
            wanted(injected_files=[big])
        )
    assert drive.read_bytes() == before
    assert os.listdir(drive.parent) == ["disk.config"]


def test_a_rebuild_of_what_is_not_there_builds_it(
    driver: ConfigDriveDriver,
) -> None:
    made = driver.rebuild(wanted())
    assert made == Drive(driver.location(UUID), built=True)


def test_after_a_destroy_a_guest_is_a_new_one(make: Make, drive: Path) -> None:
    """As nova rebuilds: destroy, then spawn of what was launched."""
    driver = make(ONE_SHOT)
    driver.spawn(wanted(**SECRETS))
    driver.forget_secrets(UUID)
    driver.destroy(UUID)
    driver.spawn(wanted(launched=True, **SECRETS))
    assert meta_data(drive)["admin_pass"] == SECRETS["admin_pass"]
