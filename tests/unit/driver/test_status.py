"""The status of a drive: missing, fresh, stale or damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import image
from cfgdrive_virt.model.drive import VFAT
from cfgdrive_virt.model.status import DAMAGED, FRESH, MISSING, STALE

from .drives import FORMATS, Make, cut, flipped, wanted, zeroed


class TestStatus:
    @FORMATS
    def test_a_drive_is_fresh_until_its_request_changes(
        self, make: Make, form: str
    ) -> None:
        driver = make(f"[DEFAULT]\nconfig_drive_format = {form}\n")
        assert driver.status(wanted()).state == MISSING
        driver.spawn(wanted())
        assert driver.status(wanted()).state == FRESH
        changed = driver.status(
            wanted(
                metadata={"role": "new", "b": "c"},
                admin_pass="x",
                user_data=b"#!/bin/sh",
            )
        )
        assert changed.state == STALE
        assert set(changed.details) == {
            "meta_data.json admin_pass",
            "meta_data.json meta.b",
            "meta_data.json meta.role",
            "user_data",
            "ec2 user-data",
        }
        assert "new" not in str(changed)

    @FORMATS
    @pytest.mark.parametrize("harm", [flipped, zeroed, cut])
    def test_a_drive_that_was_changed_is_damaged(
        self, make: Make, drive: Path, form: str, harm: Callable[[Path], None]
    ) -> None:
        driver = make(f"[DEFAULT]\nconfig_drive_format = {form}\n")
        driver.spawn(wanted())
        harm(drive)
        assert driver.status(wanted()).state == DAMAGED

    def test_what_a_guest_adds_to_its_drive_is_its_own(
        self, make: Make, drive: Path
    ) -> None:
        driver = make("[DEFAULT]\nconfig_drive_format = vfat\n")
        driver.spawn(wanted())
        tree = image.read(drive.read_bytes()).tree
        files = {**tree.files, "System Volume Information/x": b"y"}
        added = image.build(
            VFAT, type(tree)(files), label="config-2", timestamp=0, serial=1
        )
        # The guest adds a file, and the stamp stays that of what was built.
        old, new = (
            one.fingerprint.encode() for one in (tree, type(tree)(files))
        )
        assert new in added.data
        drive.write_bytes(added.data.replace(new, old))
        assert driver.status(wanted()).state == FRESH

    def test_a_drive_that_nobody_finds_is_damaged(
        self, make: Make, drive: Path
    ) -> None:
        driver = make("[DEFAULT]\nconfig_drive_format = vfat\n")
        driver.spawn(wanted())
        data = drive.read_bytes()
        drive.write_bytes(data.replace(b"config-2   ", b"my disk    "))
        found = driver.status(wanted())
        assert found.state == DAMAGED
        assert "label: must be 'config-2'" in str(found)

    def test_of_many_changes_some_are_told(self, driver: Any) -> None:
        driver.spawn(wanted(metadata={"x": ""}))
        many = {f"key{number}": "" for number in range(20)}
        found = driver.status(wanted(metadata={"x": "", **many}))
        assert len(found.details) == 20
        assert str(found).endswith(" meta.key15, and 12 more")
