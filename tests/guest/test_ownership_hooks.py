"""Every hook of a service that isn't root, where libvirt has taken the drive.

The service may ask libvirt for the bytes as long as a domain has the drive.
Once there is no domain, nobody may read a drive that libvirt hasn't given
back: hooks that need its content refuse, and no hook loses it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shutil
import uuid as uuids
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest, image
from cfgdrive_virt.exception import ConfigDriveError
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive

from ..unit.processes import NOBODY
from .hosts import Host
from .test_ownership import FORMATS, host_of

PASSWORD = "correct horse"
RUNNING, STOPPED, UNDEFINED = "running", "stopped", "undefined"
STATES = (RUNNING, STOPPED, UNDEFINED)

#: What becomes of a drive.
KEPT, WRITTEN, GONE, ASIDE = "kept", "written", "gone", "set aside"
#: What a hook says that needs a content which nobody may read.
UNREADABLE = "DriveUnreadable"


@dataclasses.dataclass(slots=True)
class Guest:
    """An instance whose drive libvirt may have taken, as it was then.

    :param owner: of the drive's file: user and group
    """

    host: Host
    request: ConfigDriveRequest
    state: str
    data: bytes
    owner: tuple[int, int]
    xml: str

    @property
    def uuid(self) -> str:
        return self.request.uuid

    @property
    def path(self) -> pathlib.Path:
        return self.host.instances / self.uuid / "disk.config"

    @property
    def aside(self) -> pathlib.Path:
        return self.host.instances / f"{self.uuid}_resize" / "disk.config"

    @property
    def readable(self) -> bool:
        """Whether the service gets at the drive, by itself or libvirt."""
        return self.state != UNDEFINED or self.owner[0] == NOBODY

    @property
    def has_disk(self) -> bool:
        """Whether it has the drive as a disk, which isn't a medium."""
        return "<readonly/>" not in self.xml

    def restore(self) -> None:
        """Have again what there was when the guest came into its state."""
        for path in self.host.instances.iterdir():
            if path.name != "locks":
                shutil.rmtree(path)
        self.path.parent.mkdir()
        os.chown(self.path.parent, NOBODY, NOBODY)
        self.put(self.path)

    def put(self, path: pathlib.Path) -> None:
        path.write_bytes(self.data)
        path.chmod(0o600)
        os.chown(path, *self.owner)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.host.call(method, *arguments, **options)

    def moving(self) -> MigratingDrive:
        """What the source says of the drive to a host of its own disk."""
        return MigratingDrive(
            self.uuid,
            str(self.path),
            shared=False,
            readonly=True,
            size=len(self.data),
            sha256=hashlib.sha256(self.data).hexdigest(),
            inode=self.path.stat().st_ino,
        )

    def check(self) -> DestinationCheck:
        return DestinationCheck(self.uuid, (str(self.path),), None, "0" * 32)

    def set_aside(self) -> None:
        """Have the drive where it is kept for a revert."""
        self.path.parent.rename(self.aside.parent)

    def await_guest(self) -> None:
        """Have the drive as one that has come before its guest."""
        mark = self.path.with_name("disk.config.migrating")
        mark.touch()
        os.chown(mark, NOBODY, NOBODY)

    def outcome(self, act: Callable[[Guest], object]) -> str:
        """Return what becomes of the drive, or what the hook says."""
        try:
            act(self)
        except ConfigDriveError as error:
            left = self.path if self.path.exists() else self.aside
            assert left.read_bytes() == self.data
            return type(error).__name__
        if self.aside.exists() and not self.path.exists():
            assert self.aside.read_bytes() == self.data
            return ASIDE
        if not self.path.exists():
            return GONE
        found = self.path.read_bytes()
        assert image.read(found).is_as_built
        assert self.path.stat().st_mode & 0o777 == 0o600
        return KEPT if found == self.data else WRITTEN


Act = Callable[[Guest], object]


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A hook, and what becomes of the drive.

    :param readable: if the service may read it, by libvirt perhaps
    :param unreadable: if nobody may
    :param off: whether it is called only for a guest that doesn't run
    """

    method: str
    act: Act
    readable: str = KEPT
    unreadable: str = KEPT
    off: bool = False
    before: Act | None = None


def _rescued(guest: Guest) -> None:
    guest.call("rescue", guest.request, "of rescue")
    assert guest.path.with_name("disk.config.rescue").exists()


def _unrescued(guest: Guest) -> None:
    assert guest.call("unrescue", guest.uuid)
    assert not guest.path.with_name("disk.config.rescue").exists()


def _reclaimed(guest: Guest) -> None:
    guest.call("power_off", guest.uuid)
    assert guest.path.stat().st_uid == NOBODY


def _changed(guest: Guest) -> ConfigDriveRequest:
    return dataclasses.replace(guest.request, user_data=b"what comes next")


CASES = {
    "exists": Case("exists", lambda g: g.call("exists", g.uuid)),
    "status": Case(
        "status", lambda g: g.call("status", g.request), KEPT, UNREADABLE
    ),
    "recall": Case("recall", lambda g: g.call("recall", g.uuid)),
    "spawn": Case("spawn", lambda g: g.call("driver_spawn", g.request)),
    "rebuild": Case(
        "rebuild",
        lambda g: g.call("rebuild", g.request),
        WRITTEN,
        WRITTEN,
        off=True,
    ),
    "evacuate": Case(
        "rebuild",
        lambda g: g.call("rebuild", g.request, evacuate=True),
        off=True,
    ),
    "reboot": Case("reboot", lambda g: g.call("reboot", g.request), off=True),
    "reboot, changed": Case(
        "reboot", lambda g: g.call("reboot", _changed(g)), WRITTEN, off=True
    ),
    "reboot by UUID": Case(
        "reboot", lambda g: g.call("reboot", g.uuid), off=True
    ),
    "rescue": Case("rescue", _rescued, off=True),
    "unrescue": Case("unrescue", _unrescued, off=True, before=_rescued),
    "refresh": Case(
        "refresh", lambda g: g.call("refresh", g.request), KEPT, UNREADABLE
    ),
    "refresh, changed": Case(
        "refresh",
        lambda g: g.call("refresh", _changed(g)),
        WRITTEN,
        UNREADABLE,
    ),
    "forget_secrets": Case(
        "forget_secrets",
        lambda g: g.call("forget_secrets", g.uuid, ["admin_pass"]),
        WRITTEN,
        UNREADABLE,
    ),
    "power_off": Case("power_off", _reclaimed, KEPT, UNREADABLE, off=True),
    "migrate_disk_and_power_off": Case(
        "migrate_disk_and_power_off",
        lambda g: g.call("migrate_disk_and_power_off", g.uuid),
        ASIDE,
        ASIDE,
        off=True,
    ),
    "confirm_migration": Case(
        "confirm_migration",
        lambda g: g.call("confirm_migration", g.uuid),
        GONE,
        GONE,
        off=True,
        before=Guest.set_aside,
    ),
    "finish_migration": Case(
        "finish_migration",
        lambda g: g.call("finish_migration", g.request),
        off=True,
    ),
    "finish_migration by UUID": Case(
        "finish_migration",
        lambda g: g.call("finish_migration", g.uuid),
        off=True,
    ),
    "finish_revert_migration": Case(
        "finish_revert_migration",
        lambda g: g.call("finish_revert_migration", g.request),
        off=True,
        before=Guest.set_aside,
    ),
    "finish_revert_migration by UUID": Case(
        "finish_revert_migration",
        lambda g: g.call("finish_revert_migration", g.uuid),
        off=True,
        before=Guest.set_aside,
    ),
    "check_can_live_migrate_destination": Case(
        "check_can_live_migrate_destination",
        lambda g: g.call(
            "cleanup_live_migration_destination_check",
            g.uuid,
            g.call("check_can_live_migrate_destination", g.uuid),
        ),
    ),
    "cleanup_live_migration_destination_check": Case(
        "cleanup_live_migration_destination_check",
        lambda g: g.call(
            "cleanup_live_migration_destination_check", g.uuid, g.check()
        ),
    ),
    "check_can_live_migrate_source": Case(
        "check_can_live_migrate_source",
        lambda g: g.call(
            "check_can_live_migrate_source",
            g.uuid,
            g.check(),
            g.xml,
            block_migration=True,
        ),
        KEPT,
        UNREADABLE,
    ),
    "read_migrating": Case(
        "read_migrating",
        lambda g: g.call("read_migrating", g.uuid, g.moving()),
        KEPT,
        UNREADABLE,
    ),
    "must_fetch": Case(
        "must_fetch",
        lambda g: g.call("must_fetch", g.uuid, g.moving()),
        KEPT,
    ),
    "pre_live_migration": Case(
        "pre_live_migration",
        lambda g: g.call(
            "driver_pre_live_migration", g.uuid, g.moving(), g.data
        ),
        off=True,
    ),
    "post_live_migration": Case(
        "post_live_migration",
        lambda g: g.call("post_live_migration", g.uuid, g.moving()),
        GONE,
        GONE,
        off=True,
    ),
    "post_live_migration_at_destination": Case(
        "post_live_migration_at_destination",
        lambda g: g.call(
            "post_live_migration_at_destination", g.uuid, g.moving()
        ),
        KEPT,
        UNREADABLE,
    ),
    "rollback_live_migration_at_destination": Case(
        "rollback_live_migration_at_destination",
        lambda g: g.call(
            "rollback_live_migration_at_destination", g.uuid, g.moving()
        ),
        GONE,
        GONE,
        off=True,
        before=Guest.await_guest,
    ),
    "destroy": Case(
        "destroy",
        lambda g: g.call("driver_destroy", g.uuid),
        GONE,
        GONE,
        off=True,
    ),
    "cleanup": Case(
        "cleanup", lambda g: g.call("cleanup", g.uuid), GONE, GONE, off=True
    ),
}

#: They look at no drive.
WITHOUT = {
    "build", "decide", "location", "locked", "losses", "machine", "plan",
    "reading_by", "required_by", "settings", "tree",
}  # fmt: skip


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with host_of(NOBODY) as made:
        yield made


@pytest.fixture(
    scope="module",
    params=[(kind, state) for kind in FORMATS for state in STATES],
    ids="-".join,
)
def guest(request: pytest.FixtureRequest, host: Host) -> Iterator[Guest]:
    kind, state = request.param
    wanted = ConfigDriveRequest(
        uuid=str(uuids.uuid4()),
        name="guest",
        hostname="guest",
        config_drive=True,
        admin_pass=PASSWORD,
        user_data=b"what was before",
    )
    with host.configured(config_drive_format=kind):
        try:
            host.call("spawn", wanted, None)
            domain = host.connection.lookupByUUIDString(wanted.uuid)
            path = host.instances / wanted.uuid / "disk.config"
            xml = domain.XMLDesc()
            if state != RUNNING:
                domain.destroy()
            if state == UNDEFINED:
                domain.undefine()
            status = path.stat()
            owner = status.st_uid, status.st_gid
            yield Guest(host, wanted, state, path.read_bytes(), owner, xml)
        finally:
            with contextlib.suppress(Exception):
                host.call("destroy", wanted.uuid)


def test_every_hook_has_a_case() -> None:
    hooks = {name for name in dir(ConfigDriveDriver) if name[0] != "_"}
    assert {case.method for case in CASES.values()} == hooks - WITHOUT


def test_libvirt_keeps_the_drive(guest: Guest) -> None:
    """Else these tests would say nothing."""
    taken = guest.state == RUNNING or not guest.has_disk
    assert (guest.owner[0] != NOBODY) is taken


@pytest.mark.parametrize("name", CASES)
def test_no_hook_loses_a_drive_that_libvirt_has_taken(
    name: str, guest: Guest
) -> None:
    case = CASES[name]
    if case.off and guest.state == RUNNING:
        # No service calls it then.
        return
    guest.restore()
    if case.before:
        case.before(guest)

    outcome = guest.outcome(case.act)

    expected = case.readable if guest.readable else case.unreadable
    if guest.has_disk and guest.state == RUNNING and expected == WRITTEN:
        # Its firmware doesn't give a disk back.
        expected = "DomainError"
    assert outcome == expected
