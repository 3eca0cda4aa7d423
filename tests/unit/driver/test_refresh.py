"""A refresh: a running guest gets a new drive, or keeps the one it has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import image
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import DomainError, ImageError, StoreError
from cfgdrive_virt.model.status import FRESH
from cfgdrive_virt.store.file import FileStore

from ..samples import UUID, request
from .drives import FORMATS, HARM, NEW, Guest, Make, meta_data, role, wanted


class TestRefresh:
    @FORMATS
    def test_a_guest_reads_what_is_new(
        self, make: Make, drive: Path, form: str
    ) -> None:
        make(f"[DEFAULT]\nconfig_drive_format = {form}\n").spawn(wanted())
        seed = meta_data(drive)["random_seed"]
        guest = Guest(drive)
        # Its disk stays of the kind that it is, whatever the policy says now.
        driver = make()
        made = driver.refresh(wanted(**NEW), guest)
        assert made is not None
        assert made.built
        assert image.read(drive.read_bytes()).format == form
        assert role(drive) == "new"
        assert meta_data(drive)["random_seed"] == seed
        assert meta_data(drive)["uuid"] == UUID
        assert guest.reads == drive.read_bytes()

    def test_a_fresh_drive_is_left_alone_and_given(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        guest = Guest(drive)
        # As after a refresh that was killed half way.
        guest.reads = None
        made = driver.refresh(wanted(), guest)
        assert made is not None
        assert not made.built
        assert guest.reads == drive.read_bytes()

    @pytest.mark.parametrize("refuses", ["take", "give"])
    def test_a_guest_that_refuses_keeps_what_it_had(
        self, driver: ConfigDriveDriver, drive: Path, refuses: str
    ) -> None:
        driver.spawn(wanted())
        before = drive.read_bytes()
        guest = Guest(drive, refuses)
        with pytest.raises(DomainError):
            driver.refresh(wanted(**NEW), guest)
        assert guest.reads == drive.read_bytes() == before

    def test_a_guest_that_is_left_without_is_told_of(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        before = drive.read_bytes()
        guest = Guest(drive, "give for good")
        with pytest.raises(StoreError, match="the guest has no drive now"):
            driver.refresh(wanted(**NEW), guest)
        assert drive.read_bytes() == before
        guest.refuses = ""
        driver.refresh(wanted(**NEW), guest)
        assert guest.reads == drive.read_bytes() != before

    def test_a_drive_that_cannot_be_built_is_never_taken(
        self, make: Make, drive: Path
    ) -> None:
        make().spawn(wanted())
        guest = Guest(drive, "take")
        small = make("[cfgdrive_virt]\nmax_drive_size = 1\n")
        big = wanted(vendor_data={"x": "y" * (2 << 20)})
        with pytest.raises(ImageError):
            small.refresh(big, guest)

    def test_a_new_instance_id_is_asked_for(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        other = "0f0f9dd1-6f0a-4a3b-9c39-4c8c6a1d8a51"
        driver.spawn(wanted())
        driver.refresh(wanted(instance_id=other))
        assert meta_data(drive)["uuid"] == other
        assert driver.status(wanted(instance_id=other)).state == FRESH
        assert driver.status(wanted()).details == ("meta_data.json uuid",)

    @HARM
    def test_what_is_no_drive_becomes_one(
        self,
        driver: ConfigDriveDriver,
        drive: Path,
        harm: Callable[[Path], None],
    ) -> None:
        driver.spawn(wanted())
        harm(drive)
        driver.refresh(wanted(**NEW))
        assert role(drive) == "new"

    def test_an_instance_without_a_drive_gets_none(
        self, driver: ConfigDriveDriver, instances: Path
    ) -> None:
        assert driver.refresh(request()) is None
        assert os.listdir(instances) == []


class TestUndone:
    """An exchange that fails in whatever step leaves all as it was."""

    def test_a_write_that_fails_late(
        self,
        driver: ConfigDriveDriver,
        drive: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        driver.spawn(wanted())
        before = drive.read_bytes()
        guest = Guest(drive)
        real = FileStore.write
        failed = []

        def write(store: FileStore, uuid: str, data: bytes) -> Any:
            real(store, uuid, data)
            if not failed:
                failed.append(True)
                raise StoreError("can't flush")

        monkeypatch.setattr(FileStore, "write", write)
        with pytest.raises(StoreError, match="can't flush"):
            driver.refresh(wanted(**NEW), guest)
        assert guest.reads == drive.read_bytes() == before

    def test_a_taking_that_is_interrupted(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        before = drive.read_bytes()
        guest = Guest(drive)

        def take() -> None:
            guest.reads = None
            raise KeyboardInterrupt

        guest.take = take  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            driver.refresh(wanted(**NEW), guest)
        assert guest.reads == drive.read_bytes() == before

    def test_where_there_was_none_there_is_none(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        guest = Guest(drive, "give for good")
        drive.unlink()
        with pytest.raises(StoreError, match="the guest has no drive now"):
            driver.refresh(wanted(**NEW), guest)
        assert not drive.exists()
