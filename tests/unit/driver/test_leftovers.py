"""What a killed writer leaves goes with the next hook."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import StoreError

from ..samples import UUID
from .drives import wanted


class TestLeftovers:
    @pytest.mark.parametrize(
        "act",
        [
            lambda driver: driver.spawn(wanted()),
            lambda driver: driver.reboot(wanted()),
            lambda driver: driver.refresh(wanted()),
            lambda driver: driver.forget_secrets(UUID),
            lambda driver: driver.rebuild(wanted()),
        ],
        ids=["spawn", "reboot", "refresh", "forget", "rebuild"],
    )
    def test_what_a_killed_writer_left_goes(
        self,
        driver: ConfigDriveDriver,
        drive: Path,
        act: Callable[[ConfigDriveDriver], Any],
    ) -> None:
        driver.spawn(wanted())
        drive.with_name("disk.config.new").write_bytes(b"secret")
        act(driver)
        assert os.listdir(drive.parent) == ["disk.config"]

    def test_nothing_that_a_killed_rescue_left_has_the_secrets(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        drive.with_name("disk.config.rescue.new").write_bytes(b"secret")
        driver.forget_secrets(UUID, names=["user_data"])
        assert os.listdir(drive.parent) == ["disk.config"]

    def test_one_that_cannot_go_does_not_keep_the_others(
        self, driver: ConfigDriveDriver, drive: Path, instances: Path
    ) -> None:
        driver.spawn(wanted())
        (instances / f"{UUID}_resize").symlink_to("/tmp")
        with pytest.raises(StoreError, match="a symbolic link"):
            driver.destroy(UUID)
        assert not drive.exists()


def test_a_directory_that_a_killed_resize_made_goes(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    made = instances / f"{UUID}_resize"
    for act in (
        lambda: driver.spawn(wanted()),
        lambda: driver.spawn(wanted()),
        lambda: driver.reboot(wanted()),
        lambda: driver.refresh(wanted()),
        lambda: driver.confirm_migration(UUID),
        lambda: driver.destroy(UUID),
    ):
        made.mkdir()
        act()
        assert not made.exists()
    assert os.listdir(instances) == ["locks"]


def test_an_empty_directory_of_an_instance_goes_when_it_is_destroyed(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    (instances / UUID).mkdir()
    assert driver.destroy(UUID) is False
    assert os.listdir(instances) == ["locks"]
