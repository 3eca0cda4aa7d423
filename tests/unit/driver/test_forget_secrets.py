"""Secrets that leave the drive once the instance is up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import image
from cfgdrive_virt.exception import ConfigDriveError, StoreError
from cfgdrive_virt.model.status import FRESH

from ..samples import UUID
from .drives import (
    FORMATS,
    HARM,
    NEW,
    ONE_SHOT,
    SECRETS,
    Guest,
    Make,
    meta_data,
    role,
    wanted,
)


class TestSecrets:
    @FORMATS
    def test_they_go_once_the_instance_is_up(
        self, make: Make, drive: Path, form: str
    ) -> None:
        driver = make(f"[DEFAULT]\nconfig_drive_format = {form}\n{ONE_SHOT}")
        driver.spawn(wanted(**SECRETS))
        guest = Guest(drive)
        assert driver.forget_secrets(UUID, guest).built is True
        assert driver.forget_secrets(UUID, guest).built is False
        data = drive.read_bytes()
        assert guest.reads == data
        for secret in (b"hunter2", b"#!/bin/false"):
            assert secret not in data
        assert role(drive) == "old"

    def test_without_them_a_drive_is_fresh_and_stays_so(
        self, make: Make, drive: Path
    ) -> None:
        driver = make(ONE_SHOT)
        driver.spawn(wanted(**SECRETS))
        driver.forget_secrets(UUID)
        up = wanted(launched=True, **SECRETS)
        assert driver.status(up).state == FRESH
        driver.refresh(wanted(launched=True, **NEW | SECRETS))
        driver.reboot(wanted(launched=True, **NEW | SECRETS))
        assert role(drive) == "new"
        assert b"hunter2" not in drive.read_bytes()

    def test_it_is_the_drive_that_the_request_without_them_gives(
        self, make: Make, drive: Path
    ) -> None:
        driver = make(ONE_SHOT)
        seed = b"seed" * 8
        driver.spawn(wanted(random_seed=seed, **SECRETS))
        driver.forget_secrets(UUID)
        expected = driver.build(wanted(random_seed=seed))
        found = image.read(drive.read_bytes())
        assert found.tree == image.read(expected.data).tree

    def test_a_lost_drive_comes_back_without_them(
        self, make: Make, drive: Path
    ) -> None:
        driver = make(ONE_SHOT)
        driver.reboot(wanted(launched=True, **SECRETS))
        assert b"hunter2" not in drive.read_bytes()

    @pytest.mark.parametrize("again", ["rebuild", "rescue"])
    def test_a_new_guest_needs_them_again(
        self, make: Make, drive: Path, again: str
    ) -> None:
        driver = make(ONE_SHOT)
        driver.spawn(wanted(**SECRETS))
        driver.forget_secrets(UUID)
        up = wanted(launched=True, **SECRETS)
        if again == "rebuild":
            driver.rebuild(up)
        else:
            driver.rescue(up, "hunter2hunter2")
            drive = drive.with_name("disk.config.rescue")
        assert meta_data(drive)["admin_pass"] == "hunter2hunter2"

    def test_some_may_be_named(self, driver: Any, drive: Path) -> None:
        driver.spawn(wanted(**SECRETS))
        assert driver.forget_secrets(UUID).built is False
        driver.forget_secrets(UUID, names=["admin_pass"])
        assert "admin_pass" not in meta_data(drive)
        assert b"#!/bin/false" in drive.read_bytes()

    def test_a_name_that_is_none_is_refused(self, driver: Any) -> None:
        driver.spawn(wanted())
        with pytest.raises(ConfigDriveError, match="admin_pas"):
            driver.forget_secrets(UUID, names=["admin_pas"])

    @HARM
    def test_of_what_is_no_drive_nothing_is_forgotten(
        self,
        make: Make,
        drive: Path,
        harm: Callable[[Path], None],
    ) -> None:
        driver = make(ONE_SHOT)
        driver.spawn(wanted())
        harm(drive)
        with pytest.raises(StoreError, match=r"missing|damaged"):
            driver.forget_secrets(UUID)
