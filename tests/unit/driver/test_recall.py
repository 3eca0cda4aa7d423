"""What hooks take from the drive that is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import image
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.model.drive import VFAT
from cfgdrive_virt.model.request import (
    DiskDevice,
    InjectedFile,
    NicDevice,
    ShareDevice,
)
from cfgdrive_virt.model.status import DAMAGED, FRESH

from ..samples import MAC, UUID
from .drives import FORMATS, NEW, ONE_SHOT, Make, meta_data, role, wanted


class TestWhatIsLeftOpen:
    """A service knows some things at spawn only; the drive remembers."""

    FULL = {  # noqa: RUF012
        "admin_pass": "hunter2hunter2",
        "injected_files": [
            InjectedFile(path="/etc/motd", content=b"Welcome.\n"),
            InjectedFile(path="/etc/x", content=bytes(range(256))),
        ],
        "devices": [
            NicDevice(mac=MAC, tags=("a",), bus="pci", address="0000:00:03.0"),
            DiskDevice(
                serial="s1", tags=("b",), bus="scsi", address="0:0:1:2"
            ),
        ],
    }
    LESS = {  # noqa: RUF012
        "devices": [
            NicDevice(mac=MAC, tags=("a",)),
            DiskDevice(serial="s1", tags=("b",)),
        ]
    }

    @FORMATS
    @pytest.mark.parametrize(
        "hook", ["spawn", "reboot", "finish_migration", "refresh", "evacuate"]
    )
    def test_it_is_as_on_the_drive(
        self, make: Make, drive: Path, form: str, hook: str
    ) -> None:
        driver = make(f"[DEFAULT]\nconfig_drive_format = {form}\n")
        driver.spawn(wanted(**self.FULL))
        before = image.read(drive.read_bytes()).tree
        known = wanted(launched=True, **self.LESS)
        assert driver.status(known).state == FRESH
        changed = wanted(launched=True, **self.LESS | NEW)
        if hook == "evacuate":
            driver.rebuild(changed, evacuate=True)
        else:
            getattr(driver, hook)(changed)
        assert role(drive) == "new"
        after = image.read(drive.read_bytes()).tree
        differing = {
            path
            for path in before.files
            if before.files[path] != after.files[path]
        }
        assert {path.rpartition("/")[2] for path in differing} == {
            "meta_data.json"
        }
        found = meta_data(drive)
        assert found.pop("meta") == {"role": "new"}
        former = before.files["openstack/latest/meta_data.json"]
        assert found.items() <= json.loads(former).items()

    def test_of_shares_and_disks_each_has_its_own(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        share = {"share_id": "s", "tag": "t"}
        driver.spawn(
            wanted(
                devices=[
                    ShareDevice(**share, bus="pci", address="0000:00:04.0"),
                    DiskDevice(serial="d", bus="pci", address="0000:00:05.0"),
                ]
            )
        )
        known = wanted(
            devices=[
                ShareDevice(**share),
                # Of another bus an address is none.
                DiskDevice(serial="d", bus="usb"),
            ],
            **NEW,
        )
        driver.refresh(known)
        found = {
            told["type"]: (told["bus"], told["address"])
            for told in meta_data(drive)["devices"]
        }
        assert found == {
            "share": ("pci", "0000:00:04.0"),
            "disk": ("usb", "none"),
        }

    def test_a_rebuild_takes_the_request_as_it_is(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted(**self.FULL))
        driver.rebuild(wanted(**self.LESS))
        found = meta_data(drive)
        assert "admin_pass" not in found
        assert "files" not in found

    def test_what_was_forgotten_does_not_come_back(
        self, make: Make, drive: Path
    ) -> None:
        driver = make(ONE_SHOT)
        driver.spawn(wanted(**self.FULL))
        driver.forget_secrets(UUID)
        for hook in (driver.refresh, driver.reboot, driver.spawn):
            hook(wanted(launched=True, **self.LESS))
            hook(wanted(launched=True, **self.FULL | NEW))
            assert "admin_pass" not in meta_data(drive)
            assert len(meta_data(drive)["files"]) == 2


class TestWhatAGuestWrites:
    """A guest may write anything to a writable drive."""

    @pytest.fixture
    def forge(self, make: Make, drive: Path) -> Callable[..., Any]:
        driver = make("[DEFAULT]\nconfig_drive_format = vfat\n")
        driver.spawn(wanted())

        def forge(
            meta_data: dict[str, Any], without: tuple[str, ...] = ()
        ) -> ConfigDriveDriver:
            tree = image.read(drive.read_bytes()).tree
            path = "openstack/latest/meta_data.json"
            told = json.loads(tree.files[path]) | meta_data
            files = {**tree.files, path: json.dumps(told).encode()}
            drive.write_bytes(
                image.build(
                    VFAT,
                    type(tree)(files),
                    label="config-2",
                    timestamp=0,
                    serial=1,
                    without=without,
                ).data
            )
            return driver

        return forge

    @pytest.mark.parametrize(
        "name", ["nonsense", "uuid", "hostname", "network", "config_drive"]
    )
    def test_names_of_secrets_that_are_none(
        self, forge: Callable[..., Any], drive: Path, name: str
    ) -> None:
        driver = forge({}, (name,))
        assert driver.status(wanted()).state == FRESH
        driver.refresh(wanted(**NEW))
        assert role(drive) == "new"
        driver.forget_secrets(UUID, names=["admin_pass"])
        stamp = image.read(drive.read_bytes()).stamp
        assert stamp is not None
        assert stamp.without == ("admin_pass",)

    @pytest.mark.parametrize(
        "told",
        [
            {"random_seed": "QUFB" * 2000},
            {"random_seed": 7},
            {"admin_pass": ["x"]},
            {"admin_pass": ""},
            {"files": [{"path": None, "content_path": "/content/0000"}]},
            {"files": [{"content_path": []}, 3, None]},
            {"files": {"x": 1}},
            {"devices": [{"mac": MAC, "bus": "a\nb", "address": {}}, 5]},
            {"devices": {"mac": MAC}},
        ],
        ids=str,
    )
    def test_what_no_request_could_say(
        self, forge: Callable[..., Any], drive: Path, told: dict[str, Any]
    ) -> None:
        driver = forge(told)
        changed = wanted(devices=[NicDevice(mac=MAC, tags=("a",))], **NEW)
        driver.status(changed)
        driver.reboot(changed)
        assert role(drive) == "new"
        assert driver.status(changed).state == FRESH

    def test_a_small_drive_makes_no_large_one(
        self, forge: Callable[..., Any], drive: Path
    ) -> None:
        name = {"content_path": "/latest/meta_data.json"}
        for told in (
            [{**name, "path": f"/{number}"} for number in range(300)],
            [{"content_path": "/content/0000", "path": "/x"}] * 300,
        ):
            driver = forge({"files": told})
            before = drive.stat().st_size
            driver.reboot(wanted(**NEW))
            driver.reboot(wanted())
            assert drive.stat().st_size <= before

    def test_words_for_a_log(
        self, forge: Callable[..., Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        driver = forge({"x\nCRITICAL fire\x1b[31m": 1, "y" * 100_000: 2})
        found = driver.status(wanted())
        driver.refresh(wanted())
        for text in (str(found), *caplog.messages):
            assert text.isprintable()
            assert len(text) < 2000

    def test_more_than_anybody_reads(self, make: Make, drive: Path) -> None:
        driver = make("[DEFAULT]\nconfig_drive_format = vfat\n")
        driver.spawn(wanted())
        tree = image.read(drive.read_bytes()).tree
        path = "openstack/latest/meta_data.json"
        files = {**tree.files, path: b"[" + b"1," * (4 << 20) + b"1]"}
        data = image.build(
            VFAT, type(tree)(files), label="config-2", timestamp=0, serial=1
        ).data
        drive.write_bytes(data.replace(b"sha256=", b"sha256-"))
        found = driver.status(wanted())
        assert found.state == DAMAGED
        assert "8,388,611 bytes" in str(found)
