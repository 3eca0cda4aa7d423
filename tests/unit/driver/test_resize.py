"""A resize: the drive from before, until it is confirmed or reverted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import NoWholeDrive, StoreError

from ..samples import UUID, request
from .drives import NEW, ONE_SHOT, SECRETS, Make, meta_data, role, wanted


class TestResize:
    def test_confirmed_on_another_host(
        self, driver: ConfigDriveDriver, instances: Path, kept: Path
    ) -> None:
        driver.spawn(wanted())
        for _ in range(2):
            assert driver.migrate_disk_and_power_off(UUID) is True
            assert role(kept) == "old"
            assert not (instances / UUID).exists()
        assert driver.confirm_migration(UUID) is True
        assert driver.confirm_migration(UUID) is False
        assert os.listdir(instances) == ["locks"]

    @pytest.mark.parametrize("by", ["request", "uuid"])
    def test_on_the_same_host_the_drive_is_carried(
        self, driver: ConfigDriveDriver, drive: Path, kept: Path, by: str
    ) -> None:
        driver.spawn(wanted())
        before = drive.read_bytes()
        driver.migrate_disk_and_power_off(UUID)
        for _ in range(2):
            driver.finish_migration(
                UUID if by == "uuid" else wanted(launched=True)
            )
            assert drive.read_bytes() == kept.read_bytes() == before
        driver.confirm_migration(UUID)
        assert drive.read_bytes() == before
        assert not kept.exists()

    def test_where_nothing_was_carried_it_is_built(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        with pytest.raises(StoreError, match="is missing"):
            driver.finish_migration(UUID)
        driver.finish_migration(wanted(launched=True))
        assert role(drive) == "old"

    @pytest.mark.parametrize("by", ["request", "uuid"])
    def test_reverted_it_is_the_one_from_before(
        self, driver: ConfigDriveDriver, drive: Path, kept: Path, by: str
    ) -> None:
        driver.spawn(wanted())
        before = drive.read_bytes()
        driver.migrate_disk_and_power_off(UUID)
        driver.finish_migration(wanted(flavor="large", **NEW))
        for _ in range(2):
            driver.finish_revert_migration(
                UUID if by == "uuid" else wanted(launched=True)
            )
            assert drive.read_bytes() == before
        assert not kept.parent.exists()

    def test_one_resize_is_ended_before_the_next_begins(
        self, driver: ConfigDriveDriver, drive: Path, kept: Path
    ) -> None:
        driver.spawn(wanted())
        driver.migrate_disk_and_power_off(UUID)
        driver.finish_migration(wanted(**NEW))
        with pytest.raises(StoreError, match="confirm or revert the last"):
            driver.migrate_disk_and_power_off(UUID)
        assert (role(kept), role(drive)) == ("old", "new")

    def test_an_instance_that_goes_meanwhile_goes_whole(
        self, driver: ConfigDriveDriver, instances: Path
    ) -> None:
        driver.spawn(wanted())
        driver.migrate_disk_and_power_off(UUID)
        driver.finish_migration(wanted())
        assert driver.cleanup(UUID) is True
        assert os.listdir(instances) == ["locks"]

    def test_without_a_drive_there_is_nothing_to_do(
        self, driver: ConfigDriveDriver, instances: Path
    ) -> None:
        assert driver.migrate_disk_and_power_off(UUID) is False
        assert driver.finish_migration(request()) is None
        assert driver.finish_revert_migration(request()) is None
        assert driver.confirm_migration(UUID) is False
        assert os.listdir(instances) == ["locks"]


@pytest.mark.parametrize("by", ["request", "uuid"])
def test_a_damaged_drive_is_not_put_back(
    driver: ConfigDriveDriver, drive: Path, kept: Path, by: str
) -> None:
    driver.spawn(wanted())
    driver.migrate_disk_and_power_off(UUID)
    driver.finish_migration(wanted(**NEW))
    kept.write_bytes(b"no drive")
    before = drive.read_bytes()
    if by == "uuid":
        with pytest.raises(NoWholeDrive, match="it stays there"):
            driver.finish_revert_migration(UUID)
        assert drive.read_bytes() == before
        assert kept.exists()
    else:
        driver.finish_revert_migration(wanted())
        assert role(drive) == "old"
        assert not kept.exists()


def test_a_damaged_drive_takes_no_whole_one_s_place(
    driver: ConfigDriveDriver, drive: Path, kept: Path
) -> None:
    driver.spawn(wanted(admin_pass="hunter2hunter2"))
    driver.migrate_disk_and_power_off(UUID)
    driver.finish_migration(UUID)
    kept.write_bytes(b"no drive")
    driver.finish_revert_migration(wanted(launched=True))
    assert meta_data(drive)["admin_pass"] == "hunter2hunter2"
    assert not kept.exists()


def test_what_is_kept_forgets_too(make: Make, drive: Path, kept: Path) -> None:
    driver = make(ONE_SHOT)
    driver.spawn(wanted(**SECRETS))
    driver.migrate_disk_and_power_off(UUID)
    driver.finish_migration(UUID)
    driver.forget_secrets(UUID)
    assert b"hunter2" not in kept.read_bytes()
    driver.finish_revert_migration(wanted(launched=True, **SECRETS))
    assert b"hunter2" not in drive.read_bytes()


def test_what_is_kept_and_damaged_may_still_have_secrets(
    make: Make, drive: Path, kept: Path
) -> None:
    driver = make(ONE_SHOT)
    driver.spawn(wanted(**SECRETS))
    driver.migrate_disk_and_power_off(UUID)
    driver.finish_migration(UUID)
    kept.write_bytes(b"no drive: hunter2")
    with pytest.raises(NoWholeDrive, match="may still hold the secrets"):
        driver.forget_secrets(UUID)
    assert b"hunter2" not in drive.read_bytes()


def test_a_resize_that_was_killed_is_begun_again(
    driver: ConfigDriveDriver, drive: Path, kept: Path
) -> None:
    driver.spawn(wanted())
    driver.migrate_disk_and_power_off(UUID)
    driver.finish_migration(UUID)
    # Both say the same: nothing that could be lost.
    assert driver.migrate_disk_and_power_off(UUID) is True
    assert role(kept) == "old"
    assert not drive.exists()
