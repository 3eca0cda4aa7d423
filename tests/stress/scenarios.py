"""Every hook in Ceph, with what there was before it, and what comes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.driver import orphans
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive

from . import drives
from .drives import VFAT, Said, Wish
from .hooks import Course, Hook, Hooks, Tray
from .places import State
from .volumes import RbdPlace

OLD = Wish()
NEW = Wish(meta=1, key=1, password=1, userdata=1)
#: Too much for the volume of any other.
BIG = dataclasses.replace(NEW, big=1)

#: The driver's methods that use no Ceph.
WITHOUT = {
    "build",
    "cleanup_live_migration_destination_check",
    "decide",
    "location",
    "locked",
    "losses",
    "machine",
    "reading_by",
    "required_by",
    "settings",
    "tree",
}

Call = Callable[[ConfigDriveDriver], object]
Before = Callable[["Instance", RbdPlace, ConfigDriveDriver], object]


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """What was done before, and what is to fail.

    :param method: the driver's
    :param before: makes what there was; None: nothing
    :param writes: whether it may change what is in Ceph
    :param cold: whether it has to connect
    """

    method: str
    hook: Hook
    before: Before | None = None
    writes: bool = False
    cold: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """One instance in Ceph, and what is done to it."""

    uuid: str

    def on(self, wish: Wish) -> Hooks:
        """Return the hooks for a wish."""
        return Hooks(self.uuid, wish, VFAT, keeps=False)

    def spawned(self, _: RbdPlace, driver: ConfigDriveDriver) -> None:
        """Have a drive, whatever was there."""
        driver.rebuild(OLD.request(self.uuid))

    def rescued(self, place: RbdPlace, driver: ConfigDriveDriver) -> None:
        """Have two drives."""
        self.spawned(place, driver)
        password = drives.password(7, self.uuid)
        driver.rescue(OLD.request(self.uuid), password)

    def exclusive(self, place: RbdPlace, driver: ConfigDriveDriver) -> None:
        """Have a drive as nova's, which isn't rewritten in its volume."""
        data = driver.build(OLD.request(self.uuid), VFAT).data
        place.put_foreign(self.uuid, data)

    def half_renamed(self, place: RbdPlace, driver: ConfigDriveDriver) -> None:
        """Have a drive whose writer was killed while it renamed it."""
        self.spawned(place, driver)
        place.half_rename(f"{self.uuid}_disk.config")

    def in_a_file(self, place: RbdPlace, driver: ConfigDriveDriver) -> None:
        """Have a drive in a file, as nova once made it."""
        path = place.root / self.uuid / "disk.config"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(driver.build(OLD.request(self.uuid), VFAT).data)

    def _adopts(self) -> Hook:
        def course(state: State) -> Course:
            old = Said.of(OLD, frozenset(), VFAT, None)
            return Course((state, dataclasses.replace(state, drive=old)))

        return Hook("reboot", self.on(OLD).reboot().call, course)

    def _removes(self, name: str, call: Call) -> Hook:
        """Return a hook that removes all that it can, and tells the rest."""

        def course(state: State) -> Course:
            some = (State(None, state.rescue), State(state.drive), State())
            return Course((state, *some))

        return Hook(name, call, course)

    def _check(self, driver: ConfigDriveDriver) -> DestinationCheck:
        check = driver.check_can_live_migrate_destination(self.uuid)
        driver.cleanup_live_migration_destination_check(self.uuid, check)
        return check

    def _check_source(
        self, driver: ConfigDriveDriver, *, attached: bool
    ) -> None:
        """Ask the source of a migration within this host."""
        source = driver.location(self.uuid).source
        disk = (
            "<disk type='network' device='disk'>"
            f"<source protocol='rbd' name='{source}'/><readonly/></disk>"
        )
        check = driver.check_can_live_migrate_destination(self.uuid)
        try:
            driver.check_can_live_migrate_source(
                self.uuid,
                check,
                f"<domain><devices>{disk}</devices></domain>"
                if attached
                else "<domain/>",
                block_migration=False,
            )
        finally:
            driver.cleanup_live_migration_destination_check(self.uuid, check)

    def _moving(self, name: str, *more: Any) -> Scenario:
        """Return a hook of a migration between hosts that share drives."""

        def call(driver: ConfigDriveDriver) -> None:
            place = str(driver.location(self.uuid))
            moving = MigratingDrive(
                self.uuid, place, shared=True, readonly=True
            )
            getattr(driver, name)(self.uuid, moving, *more)

        return Scenario(name, _reads(name, call), Instance.spawned)

    def scenarios(self) -> dict[str, Scenario]:
        """Return all, by their names."""
        return {**self._writing(), **self._reading()}

    def _writing(self) -> dict[str, Scenario]:
        old, new, big = self.on(OLD), self.on(NEW), self.on(BIG)

        def one(
            hook: Hook, before: Before | None = Instance.spawned, **more: bool
        ) -> Scenario:
            method = {"evacuate": "rebuild"}.get(hook.name, hook.name)
            return Scenario(method, hook, before, writes=True, **more)

        return {
            "spawn": one(old.spawn(), None),
            "spawn, connecting": one(old.spawn(), None, cold=True),
            "spawn, stale": one(new.spawn()),
            "rebuild": one(new.rebuild()),
            "rebuild, bigger": one(big.rebuild()),
            "rebuild, nova's": one(new.rebuild(), Instance.exclusive),
            "rebuild, half renamed": one(new.rebuild(), Instance.half_renamed),
            "evacuate": one(new.evacuate()),
            "reboot": one(new.reboot()),
            "reboot, none": one(new.reboot(), None),
            "reboot, a file": one(self._adopts(), Instance.in_a_file),
            "rescue": one(old.rescue(7)),
            "rescue again": one(new.rescue(8), Instance.rescued),
            "unrescue": one(old.unrescue(), Instance.rescued),
            "refresh": one(new.refresh()),
            "refresh, running": one(_of_a_guest(new.refresh)),
            "refresh, running, bigger": one(_of_a_guest(big.refresh)),
            "forget_secrets": one(old.forget_secrets()),
            "forget_secrets, running": one(_of_a_guest(old.forget_secrets)),
            "finish_migration": one(new.finish_migration()),
            "finish_revert_migration": one(new.finish_revert_migration()),
            "destroy": one(
                self._removes("destroy", lambda d: d.destroy(self.uuid)),
                Instance.rescued,
            ),
            "destroy, half renamed": one(
                self._removes("destroy", lambda d: d.destroy(self.uuid)),
                Instance.half_renamed,
            ),
            "destroy, none": one(
                self._removes("destroy", lambda d: d.destroy(self.uuid)), None
            ),
            "cleanup": one(
                self._removes("cleanup", lambda d: d.cleanup(self.uuid))
            ),
            "prune": one(
                self._removes("prune", lambda d: _prune(d, remove=True))
            ),
        }

    def _reading(self) -> dict[str, Scenario]:
        old = self.on(OLD)

        def one(
            name: str, call: Call, before: Before | None = Instance.spawned
        ) -> Scenario:
            return Scenario(name, _reads(name, call), before)

        return {
            "spawn, fresh": one("spawn", old.spawn().call),
            "reboot by UUID": one("reboot", old.reboot_by_uuid().call),
            "refresh, fresh": one("refresh", old.refresh().call),
            "migrate_disk_and_power_off": one(
                "migrate_disk_and_power_off",
                old.migrate_disk_and_power_off().call,
            ),
            "confirm_migration": one(
                "confirm_migration", old.confirm_migration().call
            ),
            "power_off": one("power_off", lambda d: d.power_off(self.uuid)),
            "check_can_live_migrate_destination": one(
                "check_can_live_migrate_destination", self._check
            ),
            "check_can_live_migrate_source": one(
                "check_can_live_migrate_source",
                lambda d: self._check_source(d, attached=True),
            ),
            "check_can_live_migrate_source, none": one(
                "check_can_live_migrate_source",
                lambda d: self._check_source(d, attached=False),
                None,
            ),
            "read_migrating": self._moving("read_migrating"),
            "must_fetch": self._moving("must_fetch"),
            "pre_live_migration": self._moving("pre_live_migration", bytes),
            "post_live_migration": self._moving("post_live_migration"),
            "post_live_migration_at_destination": self._moving(
                "post_live_migration_at_destination"
            ),
            "rollback_live_migration_at_destination": self._moving(
                "rollback_live_migration_at_destination"
            ),
            "status": one(
                "status", lambda d: d.status(OLD.request(self.uuid))
            ),
            "recall": one("recall", lambda d: d.recall(self.uuid)),
            "exists": one("exists", lambda d: d.exists(self.uuid)),
            "plan": one("plan", lambda d: d.plan(OLD.request(self.uuid))),
            "list": one(
                "prune", lambda d: _prune(d, remove=False), Instance.rescued
            ),
        }


def _reads(name: str, call: Call) -> Hook:
    """Return a hook that changes nothing."""
    return Hook(name, call, lambda state: Course((state,)))


def _of_a_guest(hook: Callable[[Tray | None], Hook]) -> Hook:
    """Return a hook of a guest that runs, and has its medium in the end."""
    made = hook(None)

    def call(driver: ConfigDriveDriver) -> None:
        tray = Tray()
        try:
            hook(tray).call(driver)
        finally:
            if "take" in tray.done:
                assert tray.done[-1] == "give"

    return Hook(made.name, call, made.course)


def _prune(driver: ConfigDriveDriver, *, remove: bool) -> None:
    """Find, and remove, the drives of all instances."""
    found = orphans.prune(
        driver.settings, (), now=2e10, minimum_age=0, remove=remove
    )
    for one in list(found):
        if one.failed:
            raise StoreError(one.kept)
