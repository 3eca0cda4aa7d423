"""What a drive that a guest has written costs a hook, and what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import image
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.driver.verification import verify
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.metadata.layout import Recalled
from cfgdrive_virt.model.request import NicDevice
from cfgdrive_virt.model.status import DAMAGED, FRESH, STALE
from cfgdrive_virt.model.tree import MetadataTree

from ..samples import MAC, UUID
from .drives import FORMATS, NEW, Make, role, wanted

LATEST = "openstack/latest/meta_data.json"
VENDOR_DATA2 = "openstack/latest/vendor_data2.json"
Forge = Callable[..., bytes]


@pytest.fixture
def driver(make: Make) -> ConfigDriveDriver:
    return make("[DEFAULT]\nconfig_drive_format = vfat\n")


@pytest.fixture
def forge(driver: ConfigDriveDriver, drive: Path) -> Forge:
    """Write a drive with these files beside those of a request.

    Its stamp fits: a guest can write any.
    """
    driver.spawn(wanted())
    whole = image.read(drive.read_bytes()).tree.files

    def forge(
        files: dict[str, bytes], form: str = "iso9660", *, stamp: bool = True
    ) -> bytes:
        tree = MetadataTree({**whole, **files})
        data = image.build(
            form, tree, label="config-2", timestamp=0, serial=1
        ).data
        if not stamp:
            data = data.replace(b"sha256=", b"sha256-")
        drive.write_bytes(data)
        return whole[LATEST]

    return forge


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of what is parsed from now on."""
    sizes: list[int] = []
    real = json.loads

    def loads(content: bytes, **options: Any) -> Any:
        sizes.append(len(content))
        return real(content, **options)

    monkeypatch.setattr(json, "loads", loads)
    return sizes


def call(driver: ConfigDriveDriver, hook: str) -> None:
    asked = wanted(devices=[NicDevice(mac=MAC)])
    arguments: dict[str, tuple[Any, ...]] = {
        "status": (asked,),
        "reboot": (asked,),
        "refresh": (asked,),
        "recall": (UUID,),
    }
    getattr(driver, hook)(*arguments[hook])


HOOKS = pytest.mark.parametrize(
    "hook", ["status", "reboot", "refresh", "recall"]
)
STAMPS = pytest.mark.parametrize("stamp", [True, False])


class TestWhatIsParsed:
    @HOOKS
    @STAMPS
    def test_is_each_content_once_however_many_have_it(
        self,
        driver: ConfigDriveDriver,
        forge: Forge,
        parsed: list[int],
        hook: str,
        stamp: bool,
    ) -> None:
        content = b'{"uuid": "%s", "a": [%s0]}' % (
            UUID.encode(),
            b"{}," * 40_000,
        )
        paths = [LATEST, VENDOR_DATA2]
        paths += [f"openstack/{n}/meta_data.json" for n in range(60)]
        forge(dict.fromkeys(paths, content), stamp=stamp)
        call(driver, hook)
        assert parsed.count(len(content)) <= 1

    @HOOKS
    @STAMPS
    @FORMATS
    def test_is_nothing_of_too_much(
        self,
        driver: ConfigDriveDriver,
        forge: Forge,
        parsed: list[int],
        hook: str,
        stamp: bool,
        form: str,
    ) -> None:
        forge({LATEST: b"[%s0]" % (b"[]," * 300_000)}, form, stamp=stamp)
        found = driver.status(wanted())
        assert found.state == DAMAGED
        assert "its JSON files have more than 200,000 values" in str(found)
        call(driver, hook)
        assert max(parsed, default=0) < 10_000

    def test_is_no_more_than_what_is_built(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        large = {str(n): {} for n in range(100_000)}
        with pytest.raises(ImageError) as caught:
            driver.spawn(wanted(vendor_data=large))
        told = str(caught.value)
        assert told.startswith("the drive can't be built: its JSON files have")
        assert "make metadata or vendor data smaller" in told
        assert not drive.exists()


class TestWhatIsTold:
    @FORMATS
    def test_of_any_number_of_differences_some_are(
        self, driver: ConfigDriveDriver, forge: Forge, form: str
    ) -> None:
        known = json.loads(forge({}))
        known |= {f"key{n}": n for n in range(15_000)}
        forge({LATEST: json.dumps(known).encode()}, form)
        found = driver.status(wanted())
        assert found.state == STALE
        assert len(found.details) == 1000

    def test_the_rest_is_counted(
        self, driver: ConfigDriveDriver, forge: Forge, drive: Path
    ) -> None:
        known = json.loads(forge({}))
        known |= {f"key{n}": n for n in range(1500)}
        known["files"] = [{}] * 1200
        forge({LATEST: json.dumps(known).encode()})
        contents = image.read(drive.read_bytes())
        found = verify(contents, driver.settings, wanted())
        assert len(found.differences) == 1000
        assert len(found.problems) == 1000
        # Of the differences, the files are one.
        assert found.more == 501 + 200

    def test_equal_files_are_a_problem_once(
        self, driver: ConfigDriveDriver, forge: Forge
    ) -> None:
        paths = [f"openstack/{n}/meta_data.json" for n in range(60)]
        forge(dict.fromkeys(paths, b"{"), stamp=False)
        found = driver.status(wanted())
        assert found.state == DAMAGED
        assert len(found.details) == 1


class TestWhatIsTakenOver:
    @pytest.mark.parametrize(
        "answer",
        [
            b"NaN", b'"\\ud800"', b"7" * 4200, b"[" * 980 + b"]" * 980,
            b"[" + b"{}," * 20_000 + b"0]",
            b'{"\\udc80": 1}', b"1e999", b'"%s"' % (b"a" * 300_000),
        ],
        ids=lambda answer: ascii(answer[:9])[2:-1],
    )  # fmt: skip
    def test_is_no_answer_that_no_request_holds(
        self, driver: ConfigDriveDriver, forge: Forge, answer: bytes
    ) -> None:
        forge({VENDOR_DATA2: b'{"site": %s}' % answer})
        assert driver.status(wanted()).state == STALE
        assert driver.recall(UUID) == Recalled()

    def test_is_an_answer_whatever_the_operator_adds(
        self, driver: ConfigDriveDriver, forge: Forge
    ) -> None:
        forge(
            {
                VENDOR_DATA2: b'{"site": {"rack": "r12"}, "static": "%s"}'
                % (b"a" * 300_000)
            }
        )
        assert driver.recall(UUID).vendor_data2 == {"site": {"rack": "r12"}}

    @pytest.mark.parametrize(
        "told",
        [
            pytest.param({"admin_pass": "x" * 5000}, id="password"),
            pytest.param({"files": [("/" + "," * 5000, 0)]}, id="commas"),
            pytest.param(
                {"files": [("/" + "x" * 4000, 0)] * 70}, id="long-paths"
            ),
            pytest.param({"files": [("/x", 1)] * 1001}, id="many-files"),
            pytest.param({"files": [("/x", 100_000)] * 103}, id="content"),
        ],
    )
    def test_is_no_more_than_nova_injects(
        self, driver: ConfigDriveDriver, forge: Forge, told: dict[str, Any]
    ) -> None:
        known = json.loads(forge({}))
        if "files" in told:
            files = told["files"]
            known["files"] = [
                {"path": path, "content_path": f"/content/{n:04}"}
                for n, (path, _) in enumerate(files)
            ]
            contents = {
                f"openstack/content/{n:04}": bytes(size)
                for n, (_, size) in enumerate(files)
            }
        else:
            known |= told
            contents = {}
        contents[VENDOR_DATA2] = b"{}"
        forge({LATEST: json.dumps(known).encode(), **contents})
        assert driver.status(wanted()).state == STALE
        assert driver.recall(UUID) == Recalled()

    def test_leaves_room_for_what_the_request_says(
        self, driver: ConfigDriveDriver, forge: Forge, drive: Path
    ) -> None:
        known = json.loads(forge({}))
        known["admin_pass"] = "," * 1000
        known["devices"] = [
            {"mac": MAC, "bus": "," * 200, "address": "," * 200}
        ]
        known["files"] = [
            {"path": ",,:" + "x" * 200, "content_path": f"/content/{n:04}"}
            for n in range(1000)
        ]
        paths = [f"openstack/content/{n:04}" for n in range(1000)]
        forge(
            {LATEST: json.dumps(known).encode(), **dict.fromkeys(paths, b"")}
        )
        assert len(driver.recall(UUID).injected_files) == 1000
        driver.reboot(wanted(devices=[NicDevice(mac=MAC)], **NEW))
        assert role(drive) == "new"
        assert len(driver.recall(UUID).injected_files) == 1000

    def test_is_left_out_where_it_leaves_no_room(
        self, driver: ConfigDriveDriver, forge: Forge
    ) -> None:
        # By nova's default quota, a tenant may have as much metadata.
        metadata = {f"{n:03}": "," * 255 for n in range(128)}
        known = json.loads(forge({}))
        known["files"] = [
            {"path": ",,,x", "content_path": f"/content/{n:04}"}
            for n in range(1000)
        ]
        paths = [f"openstack/content/{n:04}" for n in range(1000)]
        forge(
            {LATEST: json.dumps(known).encode(), **dict.fromkeys(paths, b"")}
        )
        for act in (driver.reboot, driver.refresh):
            act(wanted(metadata=metadata))
            assert driver.status(wanted(metadata=metadata)).state == FRESH
            assert driver.recall(UUID).injected_files == ()

    def test_makes_a_drive_that_does_not_grow_again(
        self, driver: ConfigDriveDriver, forge: Forge, drive: Path
    ) -> None:
        known = json.loads(forge({}))
        known["files"] = [
            {"path": "/é" + "x" * 100, "content_path": f"/content/{n:04}"}
            for n in range(100)
        ]
        known["admin_pass"] = "é" * 500
        paths = [f"openstack/content/{n:04}" for n in range(100)]
        shared = dict.fromkeys(paths, bytes(50_000))
        text = json.dumps(known, ensure_ascii=False).encode()
        forge({LATEST: text, **shared})
        sizes = []
        for value in ("a", "b", "c"):
            driver.reboot(wanted(metadata={"role": value}))
            assert role(drive) == value
            sizes.append(drive.stat().st_size)
        assert len(set(sizes)) == 1
        assert len(driver.recall(UUID).injected_files) == 100
        assert driver.status(wanted(metadata={"role": "c"})).state == FRESH
