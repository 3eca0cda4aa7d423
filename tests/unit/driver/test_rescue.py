"""A rescue: a drive of its own beside the instance's."""

from __future__ import annotations

import os
from pathlib import Path

from cfgdrive_virt.driver.driver import ConfigDriveDriver

from ..samples import UUID
from .drives import CDROM, Make, meta_data, wanted


class TestRescue:
    def test_it_has_a_drive_and_a_password_of_its_own(
        self, driver: ConfigDriveDriver, drive: Path, rescue: Path
    ) -> None:
        driver.spawn(wanted(admin_pass="first"))
        before = drive.read_bytes()
        for password in ("help", "again"):
            made = driver.rescue(wanted(admin_pass="first"), password)
            assert made is not None
            assert str(made.location) == str(rescue)
            assert meta_data(rescue)["admin_pass"] == password
        assert drive.read_bytes() == before
        assert driver.unrescue(UUID) is True
        assert driver.unrescue(UUID) is False
        assert os.listdir(drive.parent) == ["disk.config"]
        assert drive.read_bytes() == before

    def test_the_disk_is_the_one_for_rescue(
        self, make: Make, rescue: Path
    ) -> None:
        plan = make(CDROM).plan(wanted(), rescue=True)
        assert plan.disk_xml is not None
        assert f'<source file="{rescue}"/>' in plan.disk_xml

    def test_it_goes_with_its_instance(
        self, driver: ConfigDriveDriver, instances: Path
    ) -> None:
        driver.spawn(wanted())
        driver.rescue(wanted(), "help")
        assert driver.destroy(UUID) is True
        assert os.listdir(instances) == ["locks"]
