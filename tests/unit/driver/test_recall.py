"""An instance's drive through its life, in files: each row of the table."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from cfgdrive_virt import image
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import (
    ConfigDriveError,
    DomainError,
    DriveUnreadable,
    ImageError,
    NoWholeDrive,
    StoreError,
)
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.model.request import (
    ConfigDriveRequest,
    DiskDevice,
    InjectedFile,
    NicDevice,
    ShareDevice,
)
from cfgdrive_virt.model.status import DAMAGED, FRESH, MISSING, STALE
from cfgdrive_virt.store.file import FileStore

from ..processes import NOBODY, as_nobody
from ..samples import MAC, OTHER_UUID, UUID, request

Make = Callable[..., ConfigDriveDriver]

CDROM = "[DEFAULT]\nconfig_drive_format = iso9660\n"
ONE_SHOT = "[cfgdrive_virt]\none_shot_secrets = admin_pass,user_data\n"
OLD = {"metadata": {"role": "old"}}
NEW = {"metadata": {"role": "new"}}
FORMATS = pytest.mark.parametrize("form", [ISO9660, VFAT])


def wanted(**fields: Any) -> ConfigDriveRequest:
    return request(config_drive=True, **OLD | fields)


@pytest.fixture
def make(conf: Callable[..., cfg.ConfigOpts]) -> Make:
    """Make a driver of a nova.conf, on an x86 host in 1970."""

    def make(text: str = "", **arguments: Any) -> ConfigDriveDriver:
        given = {"clock": lambda: 5.9, "architecture": "x86_64"}
        return ConfigDriveDriver(conf(text), **given | arguments)

    return make


@pytest.fixture
def driver(make: Make) -> ConfigDriveDriver:
    return make()


@pytest.fixture
def drive(instances: Path) -> Path:
    return instances / UUID / "disk.config"


@pytest.fixture
def rescue(drive: Path) -> Path:
    return drive.with_name("disk.config.rescue")


@pytest.fixture
def kept(instances: Path) -> Path:
    return instances / f"{UUID}_resize" / "disk.config"


def meta_data(drive: Path) -> dict[str, Any]:
    tree = image.read(drive.read_bytes()).tree
    found = json.loads(tree.files["openstack/latest/meta_data.json"])
    assert isinstance(found, dict)
    return found


def role(drive: Path) -> str:
    return str(meta_data(drive)["meta"]["role"])


def flipped(drive: Path) -> None:
    """Change one letter of what the drive holds, not its form."""
    data = drive.read_bytes()
    assert data.count(b'"role": "old"')
    drive.write_bytes(data.replace(b'"role": "old"', b'"role": "odd"'))


def zeroed(drive: Path) -> None:
    drive.write_bytes(bytes(drive.stat().st_size))


def cut(drive: Path) -> None:
    os.truncate(drive, drive.stat().st_size // 2)


HARM = pytest.mark.parametrize("harm", [flipped, zeroed, cut, Path.unlink])


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
        marked = image.build(VFAT, type(tree)(files), timestamp=0, serial=1)
        drive.write_bytes(marked.data)
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


class TestRebuild:
    def test_it_makes_the_drive_anew(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        seed = meta_data(drive)["random_seed"]
        made = driver.rebuild(wanted(**NEW))
        assert made is not None
        assert made.built
        assert role(drive) == "new"
        assert meta_data(drive)["random_seed"] != seed

    @HARM
    def test_it_needs_nothing_of_what_is_there(
        self,
        driver: ConfigDriveDriver,
        drive: Path,
        harm: Callable[[Path], None],
    ) -> None:
        driver.spawn(wanted())
        harm(drive)
        driver.rebuild(wanted(**NEW))
        assert role(drive) == "new"

    def test_an_evacuated_instance_keeps_a_drive_that_says_the_same(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        for built in (True, False):
            made = driver.rebuild(wanted(launched=True), evacuate=True)
            assert made is not None
            assert made.built is built
        driver.rebuild(wanted(**NEW), evacuate=True)
        assert role(drive) == "new"


class TestReboot:
    def test_a_whole_drive_is_left_alone(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        before = drive.stat()
        for instance in (UUID, wanted(launched=True)):
            made = driver.reboot(instance)
            assert made is not None
            assert not made.built
        assert drive.stat() == before

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
        with pytest.raises(StoreError, match="give that, not the UUID alone"):
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


class Guest:
    """A running guest: what it reads is what was given last."""

    def __init__(self, drive: Path, refuses: str = "") -> None:
        self.drive = drive
        self.refuses = refuses
        self.reads: bytes | None = drive.read_bytes()

    def take(self) -> None:
        if self.refuses == "take":
            raise DomainError("the tray is locked")
        self.reads = None

    def give(self) -> None:
        if self.refuses == "give":
            self.refuses = ""
            raise DomainError("no such bus")
        if self.refuses == "give for good":
            raise DomainError("no such bus")
        self.reads = self.drive.read_bytes()


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
        with pytest.raises(StoreError, match="the guest has none now"):
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


SECRETS = {"admin_pass": "hunter2hunter2", "user_data": b"#!/bin/false 77"}


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
        data = image.build(VFAT, type(tree)(files), timestamp=0, serial=1).data
        drive.write_bytes(data.replace(b"sha256=", b"sha256-"))
        found = driver.status(wanted())
        assert found.state == DAMAGED
        assert "8,388,611 bytes" in str(found)


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
        with pytest.raises(StoreError, match="the guest has none now"):
            driver.refresh(wanted(**NEW), guest)
        assert not drive.exists()


class TestLeftovers:
    @pytest.mark.parametrize(
        "act",
        [
            lambda driver: driver.spawn(wanted()),
            lambda driver: driver.reboot(wanted()),
            lambda driver: driver.refresh(wanted()),
            lambda driver: driver.forget_secrets(UUID),
            lambda driver: driver.rebuild(wanted()),
        ],
        ids=["spawn", "reboot", "refresh", "forget", "rebuild"],
    )
    def test_what_a_killed_writer_left_goes(
        self,
        driver: ConfigDriveDriver,
        drive: Path,
        act: Callable[[ConfigDriveDriver], Any],
    ) -> None:
        driver.spawn(wanted())
        drive.with_name("disk.config.new").write_bytes(b"secret")
        act(driver)
        assert os.listdir(drive.parent) == ["disk.config"]

    def test_nothing_that_a_killed_rescue_left_has_the_secrets(
        self, driver: ConfigDriveDriver, drive: Path
    ) -> None:
        driver.spawn(wanted())
        drive.with_name("disk.config.rescue.new").write_bytes(b"secret")
        driver.forget_secrets(UUID, names=["user_data"])
        assert os.listdir(drive.parent) == ["disk.config"]

    def test_one_that_cannot_go_does_not_keep_the_others(
        self, driver: ConfigDriveDriver, drive: Path, instances: Path
    ) -> None:
        driver.spawn(wanted())
        (instances / f"{UUID}_resize").symlink_to("/tmp")
        with pytest.raises(StoreError, match="a symbolic link"):
            driver.destroy(UUID)
        assert not drive.exists()


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


def test_after_a_destroy_a_guest_is_a_new_one(make: Make, drive: Path) -> None:
    """As nova rebuilds: destroy, then spawn of what was launched."""
    driver = make(ONE_SHOT)
    driver.spawn(wanted(**SECRETS))
    driver.forget_secrets(UUID)
    driver.destroy(UUID)
    driver.spawn(wanted(launched=True, **SECRETS))
    assert meta_data(drive)["admin_pass"] == SECRETS["admin_pass"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
class TestUnreadable:
    """libvirt gives a disk's file to QEMU's user, and not always back."""

    @pytest.fixture
    def theirs(self, driver: ConfigDriveDriver) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            os.chown(root, NOBODY, NOBODY)
            driver._conf.set_override("instances_path", name)
            driver.spawn(wanted())
            drive = root / UUID / "disk.config"
            os.chown(drive, 0, 0)
            yield drive

    def test_without_another_way_it_is_told(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        def look() -> str:
            with pytest.raises(DriveUnreadable) as caught:
                driver.status(wanted())
            return str(caught.value)

        assert as_nobody(look).startswith(f"can't read {theirs}: this user")

    @pytest.mark.parametrize("hook", ["reboot", "spawn", "finish_migration"])
    def test_nothing_that_only_it_says_is_lost(
        self, driver: ConfigDriveDriver, theirs: Path, hook: str
    ) -> None:
        before = theirs.read_bytes()

        def act() -> list[Any]:
            blind = driver.reading_by(lambda *_: None)
            hooks = [wanted(**NEW)] if hook == "spawn" else [UUID, wanted()]
            return [getattr(blind, hook)(one).built for one in hooks]

        assert not any(as_nobody(act))
        assert theirs.read_bytes() == before

    @pytest.mark.parametrize("hook", ["rebuild", "destroy"])
    def test_it_is_no_obstacle(
        self, driver: ConfigDriveDriver, theirs: Path, hook: str
    ) -> None:
        def act() -> Any:
            if hook == "destroy":
                return driver.destroy(UUID)
            made = driver.rebuild(wanted(**NEW))
            return made is not None and made.built

        assert as_nobody(act) is True
        if hook == "destroy":
            assert not theirs.parent.exists()
        else:
            assert role(theirs) == "new"

    @pytest.mark.parametrize("by", ["request", "uuid"])
    def test_a_resize_needs_no_look(
        self, driver: ConfigDriveDriver, theirs: Path, by: str
    ) -> None:
        before = theirs.read_bytes()

        def act() -> None:
            instance = UUID if by == "uuid" else wanted(launched=True)
            driver.migrate_disk_and_power_off(UUID)
            driver.finish_revert_migration(instance)

        as_nobody(act)
        assert theirs.read_bytes() == before

    def test_a_resize_makes_it_ours_while_libvirt_can_read_it(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        data = theirs.read_bytes()

        def act() -> None:
            able = driver.reading_by(lambda *_: data)
            able.migrate_disk_and_power_off(UUID)
            driver.finish_migration(UUID)
            driver.confirm_migration(UUID)

        as_nobody(act)
        assert theirs.read_bytes() == data
        assert theirs.stat().st_uid == NOBODY

    def test_a_guest_that_is_off_has_it_given_back(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        data = theirs.read_bytes()

        def power_off() -> None:
            with pytest.raises(DriveUnreadable):
                driver.reading_by(lambda *_: None).power_off(UUID)
            driver.reading_by(lambda *_: data).power_off(UUID)
            assert driver.status(wanted()).state == FRESH

        assert as_nobody(power_off) is None
        assert theirs.stat().st_uid == NOBODY

    def test_a_medium_that_is_out_is_given_for_libvirt_to_read(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        data = theirs.read_bytes()

        def act() -> bool:
            given: list[bool] = []

            class Out:
                def take(self) -> None: ...
                def give(self) -> None:
                    given.append(True)

            able = driver.reading_by(lambda *_: data if given else None)
            made = able.refresh(wanted(**NEW), Out())
            return made is not None and made.built

        assert as_nobody(act) is True
        assert role(theirs) == "new"

    def test_a_directory_without_rights_stops_no_list(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        driver.spawn(wanted(uuid=OTHER_UUID))
        theirs.parent.chmod(0o700)
        os.chown(theirs.parent, 0, 0)

        def look() -> list[str]:
            store = FileStore(theirs.parent.parent)
            return [found.location.uuid for found in store.drives()]

        assert as_nobody(look) == [OTHER_UUID]

    def test_it_is_listed_as_nobodys(self, theirs: Path) -> None:
        def look() -> list[Any]:
            return list(FileStore(theirs.parent.parent).drives())

        [found] = as_nobody(look)
        assert (found.ours, found.size) == (False, theirs.stat().st_size)

    def test_with_another_way_all_is_as_ever(
        self, driver: ConfigDriveDriver, theirs: Path
    ) -> None:
        data = theirs.read_bytes()
        asked = []

        def peek(location: Any, most: int) -> bytes:
            asked.append((str(location), most >= len(data)))
            return data

        def work() -> list[Any]:
            able = driver.reading_by(peek)
            found = [able.status(wanted()).state, able.reboot(UUID).built]
            made = able.refresh(wanted(**NEW))
            assert made is not None
            return [*found, made.built, asked]

        *found, asked_then = as_nobody(work)
        assert found == [FRESH, False, True]
        assert asked_then == [(str(theirs), True)] * 3
        assert role(theirs) == "new"
        assert theirs.stat().st_uid == NOBODY


def test_what_another_host_has_now_is_left(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    assert driver.destroy(UUID, destroy_disks=False) is False
    assert driver.cleanup(UUID, destroy_disks=False) is False
    assert drive.exists()


@pytest.mark.parametrize(
    "hook",
    [
        "unrescue", "migrate_disk_and_power_off", "finish_migration",
        "confirm_migration", "finish_revert_migration", "destroy", "cleanup",
        "reboot", "forget_secrets", "exists",
        "check_can_live_migrate_destination",
    ],
)  # fmt: skip
def test_what_is_no_uuid_is_refused(
    driver: ConfigDriveDriver, instances: Path, hook: str
) -> None:
    with pytest.raises(ConfigDriveError, match="uuid"):
        getattr(driver, hook)("../../etc")
    assert os.listdir(instances) == []
