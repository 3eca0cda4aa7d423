"""The hooks, and a model of what each of them makes of an instance's drives.

Written from what the hooks promise, not from how they work.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.exception import (
    DomainError,
    MigrationRefused,
    NoWholeDrive,
    StoreError,
)
from cfgdrive_virt.model.migration import MigratingDrive

from . import drives
from .drives import ONE_SHOT, Content, Harmed, Said, Wish
from .places import State


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """The states that a hook leads through, and the error it ends with."""

    states: tuple[State, ...]
    error: type[Exception] | None = None

    @property
    def end(self) -> State:
        return self.states[-1]


@dataclasses.dataclass(frozen=True, slots=True)
class Hook:
    """A call of a driver, and what is to come of it."""

    name: str
    call: Callable[[ConfigDriveDriver], Any]
    course: Callable[[State], Course]


@dataclasses.dataclass(slots=True)
class Tray:
    """A guest's medium, which fails so many times."""

    take_fails: bool = False
    give_fails: int = 0
    done: list[str] = dataclasses.field(default_factory=list)

    def take(self) -> None:
        self.done.append("take")
        if self.take_fails:
            raise DomainError("it is locked")

    def give(self) -> None:
        self.done.append("give")
        if self.give_fails:
            self.give_fails -= 1
            raise DomainError("it won't close")


def _made(
    found: Content, wish: Wish, image_format: str, *, same_guest: bool
) -> Content:
    """Return what is there once somebody has seen to a drive."""
    if not isinstance(found, Said):
        without = ONE_SHOT if same_guest else frozenset[str]()
        return Said.of(wish, without, image_format, None)
    if found.says(wish) and found.format == image_format:
        return found
    known = wish.completed(found)
    return Said.of(known, found.without, image_format, found.seed)


@dataclasses.dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of one instance.

    :param image_format: what the configuration says
    :param keeps: whether a drive for a revert has a place of its own
    """

    uuid: str
    wish: Wish
    image_format: str
    keeps: bool

    @property
    def _request(self) -> Any:
        return self.wish.request(self.uuid)

    def _sees_to_it(self, state: State, *, same_guest: bool = True) -> State:
        drive = _made(
            state.drive, self.wish, self.image_format, same_guest=same_guest
        )
        return dataclasses.replace(state, drive=drive)

    def _anew(self, **changes: Any) -> Said:
        wish = dataclasses.replace(self.wish, **changes)
        return Said.of(wish, frozenset(), self.image_format, None)

    def spawn(self) -> Hook:
        def course(state: State) -> Course:
            # With its secrets, wherever the guest has been before.
            end = self._sees_to_it(state, same_guest=False)
            return Course((state, end))

        return Hook("spawn", lambda d: d.spawn(self._request), course)

    def rebuild(self) -> Hook:
        def course(state: State) -> Course:
            end = dataclasses.replace(state, drive=self._anew())
            return Course((state, end))

        return Hook("rebuild", lambda d: d.rebuild(self._request), course)

    def evacuate(self) -> Hook:
        def course(state: State) -> Course:
            return Course((state, self._sees_to_it(state, same_guest=False)))

        return Hook(
            "evacuate",
            lambda d: d.rebuild(self._request, evacuate=True),
            course,
        )

    def reboot(self) -> Hook:
        return Hook(
            "reboot",
            lambda d: d.reboot(self._request),
            lambda state: Course((state, self._sees_to_it(state))),
        )

    def _as_it_is(self, *states: State) -> Course:
        whole = isinstance(states[-1].drive, Said)
        return Course(states, None if whole else NoWholeDrive)

    def reboot_by_uuid(self) -> Hook:
        return Hook(
            "reboot_by_uuid", lambda d: d.reboot(self.uuid), self._as_it_is
        )

    def rescue(self, password: int) -> Hook:
        def course(state: State) -> Course:
            rescue = self._anew(password=password)
            return Course((state, dataclasses.replace(state, rescue=rescue)))

        return Hook(
            "rescue",
            lambda d: d.rescue(
                self._request, drives.password(password, self.uuid)
            ),
            course,
        )

    def unrescue(self) -> Hook:
        return Hook(
            "unrescue",
            lambda d: d.unrescue(self.uuid),
            lambda state: Course(
                (state, dataclasses.replace(state, rescue=None))
            ),
        )

    def migrate_disk_and_power_off(self) -> Hook:
        def course(state: State) -> Course:
            if not self.keeps or state.drive is None:
                return Course((state,))
            # The same may have been carried, by one that was killed.
            if state.kept and not state.kept.is_just(state.drive):
                return Course((state,), StoreError)
            kept = dataclasses.replace(state, drive=None, kept=state.drive)
            return Course((state, kept))

        return Hook(
            "migrate_disk_and_power_off",
            lambda d: d.migrate_disk_and_power_off(self.uuid),
            course,
        )

    def _carried(self, state: State) -> State:
        if state.drive is None and isinstance(state.kept, Said):
            return dataclasses.replace(state, drive=state.kept)
        return state

    def finish_migration(self) -> Hook:
        def course(state: State) -> Course:
            carried = self._carried(state)
            return Course((state, carried, self._sees_to_it(carried)))

        return Hook(
            "finish_migration",
            lambda d: d.finish_migration(self._request),
            course,
        )

    def finish_migration_by_uuid(self) -> Hook:
        return Hook(
            "finish_migration_by_uuid",
            lambda d: d.finish_migration(self.uuid),
            lambda state: self._as_it_is(state, self._carried(state)),
        )

    def confirm_migration(self) -> Hook:
        return Hook(
            "confirm_migration",
            lambda d: d.confirm_migration(self.uuid),
            lambda state: Course(
                (state, dataclasses.replace(state, kept=None))
            ),
        )

    def _put_back(self, state: State) -> State:
        if state.kept is None:
            return state
        if isinstance(state.kept, Harmed) and state.drive is not None:
            return dataclasses.replace(state, kept=None)
        return dataclasses.replace(state, drive=state.kept, kept=None)

    def finish_revert_migration(self) -> Hook:
        def course(state: State) -> Course:
            back = self._put_back(state)
            return Course((state, back, self._sees_to_it(back)))

        return Hook(
            "finish_revert_migration",
            lambda d: d.finish_revert_migration(self._request),
            course,
        )

    def finish_revert_migration_by_uuid(self) -> Hook:
        def course(state: State) -> Course:
            if isinstance(state.kept, Harmed):
                return Course((state,), NoWholeDrive)
            return self._as_it_is(state, self._put_back(state))

        return Hook(
            "finish_revert_migration_by_uuid",
            lambda d: d.finish_revert_migration(self.uuid),
            course,
        )

    def _refreshed(self, state: State) -> State:
        found = state.drive
        if isinstance(found, Said):
            drive = _made(found, self.wish, found.format, same_guest=True)
            return dataclasses.replace(state, drive=drive)
        return self._sees_to_it(state)

    def refresh(self, tray: Tray | None = None) -> Hook:
        def course(state: State) -> Course:
            end = self._refreshed(state)
            return _exchanged(state, end, tray)

        return Hook(
            "refresh", lambda d: d.refresh(self._request, tray), course
        )

    def forget_secrets(self, tray: Tray | None = None) -> Hook:
        def course(state: State) -> Course:
            if not isinstance(state.drive, Said):
                return Course((state,), NoWholeDrive)
            bare, kept = state.drive.without_secrets(), state.kept
            rewritten = dataclasses.replace(state, drive=bare)
            course = _exchanged(state, rewritten, tray)
            if course.error is not None or kept is None:
                return course
            if not isinstance(kept, Said):
                return Course(course.states, NoWholeDrive)
            end = dataclasses.replace(rewritten, kept=kept.without_secrets())
            return Course((*course.states, end))

        return Hook(
            "forget_secrets", lambda d: d.forget_secrets(self.uuid, tray),
            course,
        )  # fmt: skip

    def pre_live_migration(self, data: bytes) -> Hook:
        """Have a drive come from a host that shares it, or doesn't."""

        def course(state: State) -> Course:
            if not self.keeps:
                gone = state.drive is None
                return Course((state,), MigrationRefused if gone else None)
            come = dataclasses.replace(state, drive=drives.read(data))
            return Course((state, come))

        def call(driver: ConfigDriveDriver) -> None:
            moving = MigratingDrive(
                self.uuid,
                str(driver.location(self.uuid)),
                shared=not self.keeps,
                readonly=True,
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
            driver.pre_live_migration(self.uuid, moving, lambda: [data])

        return Hook("pre_live_migration", call, course)

    def destroy(self) -> Hook:
        return self._removal("destroy", lambda d: d.destroy(self.uuid))

    def cleanup(self) -> Hook:
        return self._removal("cleanup", lambda d: d.cleanup(self.uuid))

    def _removal(
        self, name: str, call: Callable[[ConfigDriveDriver], Any]
    ) -> Hook:
        def course(state: State) -> Course:
            states = [state]
            for which in ("drive", "rescue", "kept"):
                states.append(dataclasses.replace(states[-1], **{which: None}))
            return Course(tuple(states))

        return Hook(name, call, course)

    def leave(self) -> Hook:
        return Hook(
            "leave",
            lambda d: d.destroy(self.uuid, destroy_disks=False),
            lambda state: Course((state,)),
        )


def _exchanged(state: State, end: State, tray: Tray | None) -> Course:
    """Return what comes of a new drive for a guest that may run."""
    given = tray.give_fails if tray else 0
    if state == end:
        return Course((state,), DomainError if given else None)
    # It is tried again to give the old one, or none.
    if tray and tray.take_fails:
        return Course((state,), StoreError if given else DomainError)
    if given:
        error = StoreError if given > 1 else DomainError
        return Course((state, end, state), error)
    return Course((state, end))
