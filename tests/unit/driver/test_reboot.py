"""A reboot: a whole drive is kept, any other is made anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cfgdrive_virt import image
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import VFAT

from ..samples import UUID, state_of
from .drives import CDROM, HARM, Make, meta_data, role, wanted


class TestReboot:
    def test_a_whole_drive_is_left_alone(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        before = state_of(drive)
        for instance in (UUID, wanted(launched=True)):
            made = driver.reboot(instance)
            assert made is not None
            assert not made.built
        assert state_of(drive) == before

    @HARM
    def test_with_the_request_it_is_made_anew(
        self,
        driver: ConfigDriveDriver,
        drive: Path,
        harm: Callable[[Path], None],
    ) -> None:
        driver.spawn(wanted())
        harm(drive)
        made = driver.reboot(wanted(launched=True))
        assert made is not None
        assert made.built
        assert role(drive) == "old"

    @HARM
    def test_without_the_request_it_is_told(
        self,
        driver: ConfigDriveDriver,
        drive: Path,
        harm: Callable[[Path], None],
    ) -> None:
        driver.spawn(wanted())
        harm(drive)
        before = drive.read_bytes() if drive.exists() else None
        with pytest.raises(StoreError, match="pass that instead of the UUID"):
            driver.reboot(UUID)
        assert before == (drive.read_bytes() if drive.exists() else None)

    def test_the_policy_may_have_come_to_another_format(
        self, make: Make, drive: Path
    ) -> None:
        make(CDROM).spawn(wanted())
        seed = meta_data(drive)["random_seed"]
        driver = make()
        driver.reboot(wanted(launched=True))
        assert image.read(drive.read_bytes()).format == VFAT
        assert meta_data(drive)["random_seed"] == seed
