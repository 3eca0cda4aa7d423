"""The table of layouts; and that a second one is a class and a line there."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveRequest,
    RenderedRequest,
    image,
    metadata,
)
from cfgdrive_virt.adapters.cli import drive_view, terminal
from cfgdrive_virt.driver.verification import verify
from cfgdrive_virt.exception import InvalidRequest, Problem
from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.metadata.compare import Difference
from cfgdrive_virt.metadata.layout import Additions, Layout, Recalled
from cfgdrive_virt.metadata.openstack import OPENSTACK
from cfgdrive_virt.model.request import ONE_SHOT
from cfgdrive_virt.model.status import DAMAGED, FRESH, STALE
from cfgdrive_virt.model.tree import MetadataTree

from ..samples import UUID, request
from ..test_architecture import MODULES, imports

NOW, FIRST = "tiny/now.json", "tiny/first/script"
PASSWORD = "hunter2hunter2"
SCRIPT = b"#!/bin/false 77"
SECRETS = {"admin_pass": PASSWORD, "user_data": SCRIPT}


class Tiny(Layout):
    """A layout of two files, for a reader that does not exist."""

    name = "tiny"
    label = "TINY"
    own = ("tiny/",)

    def files(
        self, request: ConfigDriveRequest, additions: Additions
    ) -> MetadataTree:
        seed = base64.b64encode(additions.random_seed).decode()
        said = {"id": request.uuid, "meta": request.metadata, "noise": seed}
        if request.admin_pass is not None:
            said["login"] = request.admin_pass
        files = {NOW: json_file.encode(said)}
        if request.user_data is not None:
            files[FIRST] = request.user_data
        return MetadataTree(files)

    def problems(self, tree: MetadataTree) -> Iterable[Problem]:
        if "id" not in self._said(tree):
            yield Problem(NOW, "", "must have an id")

    def key(self, difference: Difference) -> str | None:
        return None if difference.key == "noise" else super().key(difference)

    def recover(
        self, request: ConfigDriveRequest, tree: MetadataTree
    ) -> ConfigDriveRequest:
        return dataclasses.replace(
            request,
            admin_pass=request.admin_pass or self._said(tree).get("login"),
            random_seed=request.random_seed or self.random_seed(tree) or None,
        )

    def recall(self, uuid: str, tree: MetadataTree) -> Recalled:
        del uuid
        return Recalled(self._said(tree).get("login"))

    def random_seed(self, tree: MetadataTree) -> bytes | None:
        return base64.b64decode(self._said(tree).get("noise", ""))

    def without(
        self, tree: MetadataTree, names: Collection[str]
    ) -> MetadataTree:
        files = dict(tree.files)
        if "user_data" in names:
            files.pop(FIRST, None)
        if "admin_pass" in names:
            said = self._said(tree)
            said.pop("login", None)
            files[NOW] = json_file.encode(said)
        return MetadataTree(files)

    def is_secret(self, path: str, key: str = "") -> bool:
        return key in ("login", "noise") or path == FIRST

    def is_newest(self, path: str) -> bool:
        return path != FIRST

    @staticmethod
    def _said(tree: MetadataTree) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(tree.files.get(NOW, b"{}"))
        return said


TINY = Tiny()


def wanted(**fields: Any) -> ConfigDriveRequest:
    return request(config_drive=True, **{"metadata": {"role": "a"}} | fields)


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Append the layout to the table."""
    monkeypatch.setattr(metadata, "LAYOUTS", (OPENSTACK, TINY))


@pytest.fixture
def default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the layout the default."""
    monkeypatch.setattr(metadata, "LAYOUTS", (TINY, OPENSTACK))


@pytest.fixture(params=["iso9660", "vfat"])
def driver(
    conf: Callable[..., cfg.ConfigOpts], request: pytest.FixtureRequest
) -> ConfigDriveDriver:
    text = f"[DEFAULT]\nconfig_drive_format = {request.param}\n"
    return ConfigDriveDriver(conf(text), architecture="x86_64")


@pytest.fixture
def drive(instances: Path) -> Path:
    return instances / UUID / "disk.config"


def contents(drive: Path) -> image.Contents:
    return image.read(drive.read_bytes())


@pytest.mark.parametrize("layout", metadata.LAYOUTS, ids=lambda one: one.name)
class TestEveryLayout:
    def test_has_a_label_that_both_formats_hold(self, layout: Layout) -> None:
        tree = layout.files(request(), Additions(random_seed=b"s"))
        for form in ("iso9660", "vfat"):
            built = image.build(
                form, tree, label=layout.label, timestamp=0, serial=1
            )
            assert image.read(built.data).label == layout.label

    def test_keeps_to_its_own_paths(
        self, layout: Layout, sample: ConfigDriveRequest
    ) -> None:
        tree = layout.files(sample, Additions(random_seed=b"s"))
        assert tree.below(layout.own) == tree
        assert metadata.layout_in(tree.files) is layout

    def test_strips_what_the_request_can_go_without(
        self, layout: Layout, sample: ConfigDriveRequest
    ) -> None:
        additions = Additions(random_seed=b"s")
        for name in ONE_SHOT:
            less = dataclasses.replace(sample, **{name: None})
            stripped = layout.without(layout.files(sample, additions), [name])
            assert stripped == layout.files(less, additions)


def test_only_the_table_names_a_layout() -> None:
    inside = ("metadata/openstack/", "metadata/__init__.py")
    for module in MODULES:
        if not module.startswith(inside):
            for name in imports(module):
                assert ".metadata.openstack" not in name, module


def test_what_has_no_layout_has_the_default() -> None:
    assert metadata.layout_in([]) is OPENSTACK
    assert metadata.layout_in(["a", "tiny/now.json"]) is OPENSTACK
    assert metadata.layout_of(request()) is OPENSTACK
    assert metadata.layout_of(RenderedRequest(uuid=UUID)) is OPENSTACK


@pytest.mark.usefixtures("default")
class TestASecondLayout:
    def test_is_built_and_found_fresh(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted(**SECRETS))
        found = contents(drive)
        assert (found.label, set(found.tree.files)) == ("TINY", {NOW, FIRST})
        assert verify(found, driver.settings)
        assert driver.status(wanted(**SECRETS)).state == FRESH
        changed = driver.status(wanted(metadata={"role": "b"}, **SECRETS))
        assert changed.state == STALE
        assert changed.details == ("tiny/now.json meta.role",)

    def test_says_what_is_wrong_with_a_drive(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        drive.parent.mkdir()
        tree = MetadataTree({NOW: b"{}"})
        built = image.build("vfat", tree, label="x", timestamp=0, serial=1)
        drive.write_bytes(built.data)
        found = driver.status(wanted())
        assert found.state == DAMAGED
        assert found.details == (
            "label: must be 'TINY', not 'x'",
            "tiny/now.json: must have an id",
        )

    def test_keeps_what_a_request_omits(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted(**SECRETS))
        before = TINY.random_seed(contents(drive).tree)
        changed = wanted(metadata={"role": "b"})
        driver.refresh(changed)
        after = contents(drive).tree
        assert b"hunter2" in after.files[NOW]
        assert TINY.random_seed(after) == before
        assert driver.recall(UUID) == Recalled(PASSWORD)
        assert driver.status(changed).state == FRESH

    def test_goes_without_its_secrets(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted(**SECRETS))
        driver.forget_secrets(UUID, names=ONE_SHOT)
        data = drive.read_bytes()
        assert b"hunter2" not in data
        assert SCRIPT not in data
        assert contents(drive).left_out == ONE_SHOT
        assert driver.status(wanted(**SECRETS)).state == FRESH

    def test_ignores_what_a_guest_adds(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        tree = contents(drive).tree
        more = MetadataTree({**tree.files, "System/x.json": b"{"})
        built = image.build("vfat", more, label="TINY", timestamp=0, serial=1)
        sums = (one.fingerprint.encode() for one in (more, tree))
        drive.write_bytes(built.data.replace(*sums))
        assert driver.status(wanted()).state == FRESH

    def test_replaces_a_drive_of_the_first(
        self,
        driver: ConfigDriveDriver,
        drive: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with monkeypatch.context() as before:
            before.setattr(metadata, "LAYOUTS", (OPENSTACK, TINY))
            driver.spawn(wanted(admin_pass=PASSWORD))
        assert contents(drive).label == "config-2"
        assert driver.status(wanted()).state == STALE
        driver.refresh(wanted())
        assert contents(drive).label == "TINY"
        assert driver.recall(UUID) == Recalled(PASSWORD)
        assert driver.status(wanted()).state == FRESH


@pytest.mark.usefixtures("second")
class TestRenderedFiles:
    FILES = {NOW: b'{"id": 1, "login": "hunter2hunter2"}', FIRST: SCRIPT}  # noqa: RUF012

    def rendered(self, **more: bytes) -> RenderedRequest:
        return RenderedRequest(
            uuid=UUID, config_drive=True, files=self.FILES | more
        )

    def test_tell_their_layout(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(self.rendered())
        assert contents(drive).label == "TINY"
        assert driver.status(self.rendered()).state == FRESH
        driver.forget_secrets(UUID, names=["admin_pass"])
        assert b"hunter2" not in drive.read_bytes()
        assert driver.status(self.rendered()).state == FRESH

    def test_are_of_one_layout(self, driver: ConfigDriveDriver) -> None:
        rule = r"must be below ec2/ or openstack/, not 'tiny/"
        with pytest.raises(InvalidRequest, match=rule):
            driver.build(self.rendered(**{"openstack/x": b""}))

    def test_are_shown_as_their_layout_says(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = {**self.FILES, "tiny/note": b"hello"}
        shown = drive_view.describe(MetadataTree(files), show_secrets=False)
        hidden = drive_view.MASK
        assert shown[NOW]["json"] == {"id": 1, "login": hidden}
        assert shown[FIRST]["text"] == hidden
        assert shown["tiny/note"]["text"] == "hello"
        terminal.print_tree("a drive", shown)
        printed = capsys.readouterr().out
        assert '"id": 1' in printed
        assert "hello" in printed
        assert "hunter2" not in printed
        told = drive_view.difference(
            Difference(NOW, "login", PASSWORD, "x"), show_secrets=False
        )
        assert told["expected"] == told["found"] == hidden
