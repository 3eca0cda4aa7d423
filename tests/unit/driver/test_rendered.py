"""A service that renders the files itself: what goes on its drives."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveRequest,
    InjectedFile,
    Recalled,
    RenderedRequest,
    image,
)
from cfgdrive_virt.exception import (
    ImageError,
    InvalidRequest,
    UnsupportedCombination,
)
from cfgdrive_virt.model.status import FRESH, STALE
from cfgdrive_virt.model.tree import MetadataTree

from ..samples import UUID, request
from .drives import Make, tree

META_DATA = "openstack/latest/meta_data.json"


def files(**meta_data: Any) -> dict[str, bytes]:
    """Return what a service renders; the seed is another one each time."""
    told = {"uuid": UUID, "random_seed": base64.b64encode(b"x").decode()}
    return {
        META_DATA: json.dumps(told | meta_data).encode(),
        "openstack/latest/user_data": b"#!/bin/sh\n",
        "ec2/latest/user-data": b"#!/bin/sh\n",
    }


def rendered(**fields: Any) -> RenderedRequest:
    given: dict[str, Any] = {"uuid": UUID, "config_drive": True}
    return RenderedRequest(**given | {"files": files()} | fields)


def held(path: Path) -> dict[str, bytes]:
    return tree(path.read_bytes())


def test_the_tree_is_what_was_rendered(driver: ConfigDriveDriver) -> None:
    assert driver.tree(rendered()).files == files()


class TestTheDrive:
    def test_holds_what_was_rendered_and_nothing_else(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(rendered())
        assert held(drive) == files()

    def test_is_left_alone_while_it_says_the_same_but_for_its_seed(
        self, driver: ConfigDriveDriver
    ) -> None:
        driver.spawn(rendered())
        later = rendered(files=files(random_seed="eQ=="))
        assert driver.status(later).state == FRESH
        again = driver.reboot(later)
        assert again is not None
        assert not again.built

    def test_is_made_anew_where_it_says_something_else(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(rendered())
        later = rendered(files=files(meta={"role": "db"}))
        found = driver.status(later)
        assert (found.state, found.details) == (
            STALE,
            ("meta_data.json meta",),
        )
        driver.reboot(later)
        assert held(drive) == later.files

    def test_for_rescue_says_what_was_rendered_for_rescue(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        asked = rendered(files=files(admin_pass="for rescue"))
        driver.rescue(asked)
        assert held(drive.with_name("disk.config.rescue")) == asked.files

    def test_goes_without_what_it_has_forgotten(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        asked = rendered(files=files(admin_pass="a secret of old"))
        driver.spawn(asked)
        driver.forget_secrets(UUID, names=["admin_pass", "user_data"])
        driver.reboot(asked)
        assert set(held(drive)) == {META_DATA}
        assert b"secret" not in drive.read_bytes()


class TestARequest:
    def test_without_files_can_be_planned_but_not_built(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        asked = rendered(files={})
        assert driver.plan(asked).disk_xml is not None
        with pytest.raises(InvalidRequest, match="files: must be there"):
            driver.spawn(asked)
        assert not drive.parent.exists()

    def test_decides_by_its_image_s_properties(
        self, driver: ConfigDriveDriver
    ) -> None:
        asked = rendered(image_properties={"hw_disk_bus": "scsi"})
        assert driver.decide(asked).bus == "scsi"
        with pytest.raises(UnsupportedCombination, match="img_config_drive"):
            driver.plan(rendered(image_properties={"img_config_drive": "1"}))

    @pytest.mark.parametrize(
        ("given", "rule"),
        [
            ([], "must be a mapping"),
            ({META_DATA: "text"}, "must map paths to bytes"),
            ({b"openstack/a": b""}, "must map paths to bytes"),
        ],
    )
    def test_with_files_that_cannot_be_is_refused(
        self, given: Any, rule: str
    ) -> None:
        with pytest.raises(InvalidRequest, match=rule):
            rendered(files=given)

    @pytest.mark.parametrize(
        "path", ["../openstack/a", "/etc/passwd", "cidata/user-data", ""]
    )
    @pytest.mark.parametrize("secrets", ["", "admin_pass,user_data"])
    def test_with_files_outside_its_layout_builds_nothing(
        self, make: Make, drive: Path, path: str, secrets: str
    ) -> None:
        driver = make(f"[cfgdrive_virt]\none_shot_secrets = {secrets}\n")
        with pytest.raises(InvalidRequest) as caught:
            driver.spawn(rendered(files=files() | {path: b"secret"}))
        assert [str(problem) for problem in caught.value.problems] == [
            f"files: must be below ec2/ or openstack/, not {path!r}"
        ]
        assert not drive.parent.exists()

    @pytest.mark.parametrize(
        "path", ["openstack/../../a", "openstack//a", "openstack/a/b/../b"]
    )
    def test_whose_paths_lead_elsewhere_builds_nothing(
        self, driver: ConfigDriveDriver, drive: Path, path: str
    ) -> None:
        with pytest.raises(ImageError, match="cannot be a path"):
            driver.spawn(rendered(files=files() | {path: b""}))
        assert not drive.parent.exists()

    def test_shows_none_of_its_files(self) -> None:
        asked = rendered(files=files(admin_pass="a secret of old"))
        assert "secret" not in repr(asked)


class TestWhatIsRecalled:
    def test_is_what_a_service_knows_only_once(
        self, driver: ConfigDriveDriver
    ) -> None:
        injected = InjectedFile(path="/etc/motd", content=b"\0hello")
        driver.spawn(
            request(
                config_drive=True,
                admin_pass="pass",
                injected_files=[injected],
                vendor_data2={"site": {"rack": "r12"}},
            )
        )
        found = driver.recall(UUID)
        assert found.admin_pass == "pass"
        assert found.injected_files == (injected,)
        assert found.vendor_data2 == {"static": {}, "site": {"rack": "r12"}}
        assert "pass" not in repr(found).replace("admin_pass", "")

    def test_is_nothing_of_no_drive(self, driver: ConfigDriveDriver) -> None:
        assert driver.recall(UUID) == Recalled()

    @pytest.mark.parametrize("data", [b"", b"\0" * 65536])
    def test_is_nothing_of_a_damaged_drive(
        self, driver: ConfigDriveDriver, drive: Path, data: bytes
    ) -> None:
        drive.parent.mkdir()
        drive.write_bytes(data)
        assert driver.recall(UUID) == Recalled()

    def test_is_only_what_a_request_could_have_said(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        lies = files(
            admin_pass=["no text"],
            files=[{"path": "/x", "content_path": "/../../etc/shadow"}],
        )
        lies["openstack/latest/vendor_data2.json"] = b"[]"
        drive.parent.mkdir()
        built = image.build(
            "vfat",
            MetadataTree(lies),
            label="config-2",
            timestamp=0,
            serial=1,
        )
        drive.write_bytes(built.data)
        assert driver.recall(UUID) == Recalled()


def test_a_request_of_the_other_kind_is_still_one(
    driver: ConfigDriveDriver,
) -> None:
    told: ConfigDriveRequest = request(config_drive=True)
    assert driver.plan(told).disk_xml == driver.plan(rendered()).disk_xml
