"""Whichever system call of a hook fails, and however: nothing is lost.

Each call that the product makes fails once with each error.  The hook then
succeeds or raises a ConfigDriveError, the drives are whole or absent, and the
same hook, called again, does its work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import itertools
import os
import sys
import uuid as uuids
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.exception import ConfigDriveError, StoreError
from cfgdrive_virt.store import file as store_file

from . import places
from .drives import VFAT
from .hooks import Course, Hook, Hooks
from .killing import called, check, check_by_others, check_killed
from .places import FilePlace, State
from .test_kills import NEW, OLD, SCENARIOS, Scenario

_ERRORS = {
    "EIO": OSError(errno.EIO, "Input/output error"),
    "EACCES": PermissionError(errno.EACCES, "Permission denied"),
    "ESTALE": OSError(errno.ESTALE, "Stale file handle"),
}
#: What the product calls by these modules; closing fails after it has closed.
_CALLS: dict[Any, tuple[str, ...]] = {
    os: (
        "open", "close", "stat", "fstat", "mkdir", "rmdir", "unlink",
        "rename", "link", "fsync", "fchmod", "fchown", "write", "pread",
        "listdir",
    ),
    fcntl: ("fcntl",),
}  # fmt: skip

MORE: dict[str, Scenario] = {
    "spawn, a fresh one": lambda on: ([on(OLD).spawn()], on(OLD).spawn()),
    "evacuate": lambda on: ([], on(OLD).evacuate()),
    "reboot": lambda on: ([on(OLD).spawn()], on(NEW).reboot()),
    "unrescue": lambda on: (
        [on(OLD).spawn(), on(OLD).rescue(7)],
        on(OLD).unrescue(),
    ),
    "confirm_migration": lambda on: (
        [
            on(OLD).spawn(),
            on(OLD).migrate_disk_and_power_off(),
            on(NEW).finish_migration(),
        ],
        on(OLD).confirm_migration(),
    ),
}
#: A larger drive is written in the same way.
HOOKS = {**SCENARIOS, **MORE}
del HOOKS["rebuild, bigger"]


class Faults:
    """Count the product's system calls, and fail one of them.

    :ivar made: the names of the calls so far
    """

    def __init__(self, number: int = -1, error: OSError | None = None) -> None:
        self.made: list[str] = []
        self._number = number
        self._error = error

    @contextlib.contextmanager
    def injected(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for module, names in _CALLS.items():
                for name in names:
                    real = getattr(module, name)
                    patch.setattr(module, name, self._wrapped(name, real))
            patch.setattr(store_file, "open", self._opened, raising=False)
            yield

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            caller = sys._getframe(1).f_globals["__name__"]
            if not caller.startswith("cfgdrive_virt."):
                return real(*arguments, **options)
            if self._is_next(name):
                if name == "close":
                    real(*arguments, **options)
                assert self._error is not None
                raise self._error
            return real(*arguments, **options)

        return call

    def _is_next(self, name: str) -> bool:
        self.made.append(name)
        return len(self.made) - 1 == self._number

    def _opened(self, *arguments: Any, **options: Any) -> Any:
        file = open(*arguments, **options)  # noqa: SIM115
        if self._is_next("read"):
            file.close()
            raise self._error or AssertionError
        return file


@pytest.fixture
def files(tmp_path: Path) -> FilePlace:
    root = tmp_path / "instances"
    root.mkdir()
    return FilePlace(root)


def prepared(
    driver: ConfigDriveDriver, name: str
) -> tuple[str, Callable[[], None], Hook]:
    uuid = str(uuids.uuid4())
    before, hook = HOOKS[name](
        lambda wish: Hooks(uuid, wish, VFAT, keeps=True)
    )

    def prepare() -> None:
        for step in before:
            step.call(driver)

    return uuid, prepare, hook


def _parts(state: State) -> Iterator[State]:
    """Yield what is left once some of the drives are gone."""
    names = [which for which, _ in state]
    for gone in itertools.product([False, True], repeat=len(names)):
        changes = dict.fromkeys(itertools.compress(names, gone))
        yield dataclasses.replace(state, **changes)


def _without_kept(hook: Hook, course: Course) -> tuple[State, ...]:
    """Return what the hook makes if no drive was set aside."""
    kept = course.states[0].kept
    made = hook.course(dataclasses.replace(course.states[0], kept=None))
    return tuple(
        dataclasses.replace(state, kept=kept) for state in made.states
    )


@pytest.mark.parametrize("name", HOOKS)
def test_whichever_call_fails_nothing_is_lost(
    files: FilePlace, name: str
) -> None:
    driver = files.driver(VFAT)
    raised = 0
    for kind, error in _ERRORS.items():
        number = 0
        while True:
            uuid, prepare, hook = prepared(driver, name)
            prepare()
            course = hook.course(places.state(files, uuid))
            faults = Faults(number, error)
            with faults.injected():
                try:
                    hook.call(driver)
                except ConfigDriveError:
                    raised += 1
                except BaseException as other:
                    where = faults.made[number]
                    pytest.fail(f"{kind} at call {number}, {where}: {other!r}")
            if number >= len(faults.made):
                driver.destroy(uuid)
                break
            where = f"{kind} at call {number}, {faults.made[number]}"
            if name == "destroy":
                # It removes all that it can.
                course = Course((*course.states, *_parts(course.states[0])))
            elif kind == "EACCES" and name == "finish_migration":
                # A kept drive that can't be read doesn't hold up a guest.
                course = Course((*course.states, *_without_kept(hook, course)))
            found = check_killed(files, uuid, course)
            if course.error is None:
                course = hook.course(found)
                called(files, driver, uuid, hook, course)
                check(files, uuid, course.end)
            if number % 20 == 0:
                check_by_others(files, uuid)
            driver.destroy(uuid)
            assert files.everything() == [], where
            number += 1
    assert raised


@pytest.mark.parametrize("kind", _ERRORS)
def test_whichever_call_fails_a_question_is_answered_or_refused(
    files: FilePlace, kind: str
) -> None:
    driver = files.driver(VFAT)
    uuid, prepare, _ = prepared(driver, "reboot")
    prepare()
    request = OLD.request(uuid)
    questions: dict[str, Callable[[], Any]] = {
        "status": lambda: driver.status(request),
        "recall": lambda: driver.recall(uuid),
        "plan": lambda: driver.plan(request),
        "losses": lambda: driver.losses(request),
        "exists": lambda: driver.exists(uuid),
        "power_off": lambda: driver.power_off(uuid),
        "check": lambda: driver.check_can_live_migrate_destination(uuid),
    }
    for name, ask in questions.items():
        number = 0
        while True:
            faults = Faults(number, _ERRORS[kind])
            with faults.injected():
                try:
                    ask()
                except ConfigDriveError:
                    pass
                except BaseException as other:
                    where = faults.made[number]
                    pytest.fail(f"{name}: {number}, {where}: {other!r}")
            if number >= len(faults.made):
                break
            number += 1
    driver.destroy(uuid)


@pytest.mark.parametrize("kind", _ERRORS)
def test_a_list_goes_on_past_what_cannot_be_looked_at(
    files: FilePlace, kind: str
) -> None:
    driver = files.driver(VFAT)
    instances = [str(uuids.UUID(int=number << 96)) for number in range(3)]
    for uuid in instances:
        driver.spawn(OLD.request(uuid))
    store = store_file.FileStore(files.root)
    whole = {drive.location.uuid: drive for drive in store.drives()}
    number = 0
    while True:
        faults = Faults(number, _ERRORS[kind])
        with faults.injected():
            try:
                found = list(store.drives())
            except StoreError:
                # The root itself.
                assert number < 6
                number += 1
                continue
        if number >= len(faults.made):
            break
        failed = [drive for drive in found if drive.problem]
        rest = [drive for drive in found if not drive.problem]
        assert len(failed) <= 1
        for drive in rest:
            known = whole[drive.location.uuid]
            # Who has no permission to read it still sees its size.
            assert drive.size == known.size
        assert {drive.location.uuid for drive in found} == set(instances)
        number += 1
    for uuid in instances:
        driver.destroy(uuid)
