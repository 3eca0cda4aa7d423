"""Whatever call of librbd fails, or is the last: drives are whole or absent.

Every call of every hook fails in turn, before it does its work or after it;
then the same hook, called again, does what the first call was to do.  Each
place in the store's code that calls has every error once, in the first hook
that gets there; the calls of all other hooks have one of them, by turns.

A kill leaves in the cluster what the calls before it have changed.  So a
process is killed before and after each call that changes something: where it
is killed among others makes no difference.
"""

from __future__ import annotations

import collections
import dataclasses
import errno
import functools
import itertools
import sys
import uuid as uuids
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cfgdrive_virt import ConfigDriveDriver, ConfigDriveError

from ..ceph.cluster import Cluster
from ..unit.processes import Child
from . import places
from .drives import VFAT
from .hooks import Course
from .injecting import (
    CHANGES,
    NEVER_FAIL,
    Call,
    Fault,
    Injector,
    Lasts,
    injector,
)
from .killing import called, check, check_killed, patiently
from .places import State
from .scenarios import WITHOUT, Instance, Scenario
from .volumes import RbdPlace

# Python 3.12 warns of what the tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

UUID = "6a1d4b1c-1378-4288-a2d4-70e13ec132aa"
SCENARIOS = Instance(UUID).scenarios()

#: The OSDs don't answer; an object is damaged; this client is shut out, and
#: comes back by another connection; it has lost its capabilities.
GENERAL = (
    (errno.ETIMEDOUT, Lasts.HOOK),
    (errno.EIO, Lasts.ONCE),
    (errno.ESHUTDOWN, Lasts.CONNECTION),
    (errno.EPERM, Lasts.HOOK),
)

_FULL = (errno.ENOSPC, errno.EDQUOT)
#: What else a call may say, by its name.
SPECIAL = {
    "Image (read-only).open": (errno.ENOENT,),
    "Image.open": (errno.ENOENT, errno.EROFS),
    "Image.metadata_set": (errno.ENOENT, errno.EROFS, *_FULL),
    "Image.resize": (errno.EINVAL, *_FULL),
    "Image.write": (errno.ENOENT, errno.EROFS, errno.EINVAL, *_FULL),
    "Image.flush": (errno.ENOENT, *_FULL),
    "Ioctx.stat": (errno.ENOENT,),
    "Ioctx.remove_object": (errno.ENOENT,),
    "Rados.open_ioctx": (errno.ENOENT,),
    "RBD.create": (errno.EEXIST, errno.EINVAL, *_FULL),
    "RBD.remove": (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT),
    "RBD.rename": (errno.EEXIST, errno.ENOENT),
}
#: What is said of a change that was made, if it is asked for once more.
AGAIN = {
    "Ioctx.remove_object": errno.ENOENT,
    "RBD.create": errno.EEXIST,
    "RBD.remove": errno.ENOENT,
    "RBD.rename": errno.EEXIST,
}

#: They concern no volume.
OF_THE_CLUSTER = {"Rados.get_fsid", "Rados.mon_command"}


@dataclasses.dataclass(slots=True)
class Bench:
    """Where hooks fail.

    :param tried: the places whose calls have had every error
    :param ready: the scenario that all is ready for, and what there is then
    """

    place: RbdPlace
    driver: ConfigDriveDriver
    injector: Injector
    tried: set[Call] = dataclasses.field(default_factory=set)
    ready: tuple[Scenario, State, dict[str, object]] | None = None

    def prepare(
        self, scenario: Scenario, instance: Instance
    ) -> tuple[State, dict[str, object]]:
        """Have what there is before a scenario's hook.

        Nothing else is in the pool then, unless it is of other instances.
        """
        if self.ready and self.ready[0] is scenario:
            return self.ready[1:]
        self.injector.begin(None)
        if instance.uuid == UUID:
            self.place.wipe()
        if scenario.before:
            scenario.before(instance, self.place, self.driver)
        state = places.state(self.place, instance.uuid)
        if instance.uuid != UUID:
            return state, {}
        self.ready = (scenario, state, self.place.versions())
        return self.ready[1:]

    def calls(self, scenario: Scenario) -> list[Call]:
        """Return the calls of a hook to which nothing happens."""
        state, _ = self.prepare(scenario, Instance(UUID))
        course = scenario.hook.course(state)
        self._connect(scenario)
        self.injector.begin(None)
        called(self.place, self.driver, UUID, scenario.hook, course)
        calls, refused = self.injector.calls, self.injector.refused
        check(self.place, UUID, course.end)
        self.ready = None
        return [
            dataclasses.replace(
                call, changes=call.name in CHANGES and number not in refused
            )
            for number, call in enumerate(calls)
        ]

    def _connect(self, scenario: Scenario) -> None:
        if scenario.cold:
            self.injector.disconnect()
        else:
            self.driver.exists(UUID)

    def fail(self, scenario: Scenario, call: Call, fault: Fault) -> str:
        """Call a hook, to which something happens; then call it again.

        Return what came of it.
        """
        state, before = self.prepare(scenario, Instance(UUID))
        course = scenario.hook.course(state)
        self._connect(scenario)
        self.injector.begin(fault)
        error = None
        try:
            scenario.hook.call(self.driver)
        except ConfigDriveError as caught:
            error = caught
        calls = self.injector.calls
        assert self.injector.happened
        assert calls[fault.number].stack == call.stack, "another course"
        self.injector.begin(None)
        if error is not None:
            text = str(error)
            assert "compute" in text or "the Ceph cluster" in text
            assert UUID in text or (
                call.name in OF_THE_CLUSTER or scenario.method == "prune"
            )
            if self.place.versions() == before:
                # Then it does as it did when nothing happened to it.
                self.driver.exists(UUID)
                return "failed, nothing changed"
        self.ready = None
        assert not self.place.users_of(UUID), "left open"
        found = self._check_failed(scenario, course, fault, failed=bool(error))
        absent = found.drive is None and state.drive is not None
        if absent and course.end.drive and fault.error != errno.ENOENT:
            # Only where the new one is to take the place of another volume.
            done = [one.name for one in calls[: fault.number + 1]]
            assert {"RBD.remove", "Ioctx.remove_object"} & {*done}, found
        self._check_again(scenario, found)
        if error is None:
            return "went well"
        return "failed, no drive" if absent else "failed"

    def _check_failed(
        self, scenario: Scenario, course: Course, fault: Fault, *, failed: bool
    ) -> State:
        ends = course.states[-1:]
        if fault.error == errno.ENOENT and not fault.after:
            # It may take a drive for absent that isn't.
            absent = dataclasses.replace(course.states[0], drive=None)
            more = scenario.hook.course(absent).states
            course = Course((*course.states, *more), course.error)
            ends = course.states
        found = check_killed(self.place, UUID, course)
        assert failed or any(end.agrees(found) for end in ends), found
        return found

    def _check_again(self, scenario: Scenario, found: State) -> None:
        course = scenario.hook.course(found)
        called(self.place, self.driver, UUID, scenario.hook, course)
        check(self.place, UUID, course.end)
        if self.place.left(UUID) or self.place.orphans():
            self.driver.destroy(UUID)
            assert self.place.everything() == []
            assert self.place.orphans() == []

    def kill(
        self, scenario: Scenario, instance: Instance, fault: Fault
    ) -> Course:
        """Kill a process in a hook's call; return what the hook was to do."""
        state, _ = self.prepare(scenario, instance)
        course = scenario.hook.course(state)

        def live() -> None:
            if not scenario.cold:
                self.driver.exists(instance.uuid)
            self.injector.begin(fault)
            scenario.hook.call(self.driver)

        told = Child(live).answer()
        assert told is None, f"not killed: {told}"
        self.ready = None
        check_killed(self.place, instance.uuid, course)
        return course


@pytest.fixture(scope="module")
def bench(
    running: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """A driver whose calls are counted, for all tests; they leave nothing."""
    root = tmp_path_factory.mktemp("calls") / "instances"
    root.mkdir()
    with RbdPlace.of(root, running) as place, injector() as one:
        yield Bench(place, place.hurried(VFAT), one)


@pytest.fixture(autouse=True)
def _empty(bench: Bench) -> Iterator[None]:
    yield
    bench.ready = None
    bench.injector.begin(None)
    bench.driver.destroy(UUID)
    left = bench.place.everything(), bench.place.orphans()
    if any(left):
        bench.place.cluster.empty()
    assert left == ([], [])


def faults(calls: list[Call], tried: set[Call]) -> Iterator[Fault]:
    """Return what happens to a hook's calls, one at a time."""
    turns = itertools.cycle(GENERAL)
    sides = itertools.cycle((False, True))
    for number, call in enumerate(calls):
        if call.name in NEVER_FAIL:
            continue
        if call.below in tried:
            error, lasts = next(turns)
            after = call.changes and next(sides)
            yield Fault(number, error, after=after, lasts=lasts)
            continue
        tried.add(call.below)
        for error, lasts in GENERAL if call.changes else GENERAL[:2]:
            yield Fault(number, error, lasts=lasts)
            # Who lacks a capability changes nothing.
            if call.changes and error != errno.EPERM:
                yield Fault(number, error, after=True, lasts=lasts)
        for error in SPECIAL.get(call.name, ()):
            yield Fault(number, error)
        if call.changes and call.name in AGAIN:
            yield Fault(number, AGAIN[call.name], after=True)


def test_every_hook_fails() -> None:
    hooks = {name for name in dir(ConfigDriveDriver) if name[0] != "_"}
    tried = {one.method for one in SCENARIOS.values()} - {"prune"}
    assert tried == hooks - WITHOUT
    assert not tried & WITHOUT


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_failed_call_leaves_a_whole_drive_and_the_hook_is_called_again(
    bench: Bench, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = SCENARIOS[name]
    calls = bench.calls(scenario)
    done: collections.Counter[str] = collections.Counter()
    wrong = []
    for fault in faults(calls, bench.tried):
        call = calls[fault.number]
        try:
            done[bench.fail(scenario, call, fault)] += 1
        except AssertionError as error:
            wrong.append(f"{call.name}: {fault}: {error}")
            bench.ready = None
    with capsys.disabled():
        told = ", ".join(f"{n} {what}" for what, n in sorted(done.items()))
        sys.stdout.write(f"\n{name}: {len(calls)} calls: {told} ")
    assert not wrong, "\n".join(wrong)


def killed_at(calls: list[Call]) -> Iterator[Fault]:
    """Return where to kill a hook's process."""
    changing = [n for n, call in enumerate(calls) if call.changes]
    for number in changing:
        yield Fault(number, 0)
    # What is after any other of them is before the next.
    for number in changing[-1:]:
        yield Fault(number, 0, after=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Killed:
    """A hook that was killed, and what it was."""

    instance: Instance
    name: str
    call: Call
    fault: Fault

    def __str__(self) -> str:
        return f"{self.name}: {self.call.name}: {self.fault}"

    @property
    def scenario(self) -> Scenario:
        return self.instance.scenarios()[self.name]


def test_a_killed_hook_leaves_a_whole_drive_and_is_called_again(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are killed before one is called again: watches last a while."""
    calls = {
        name: bench.calls(scenario)
        for name, scenario in SCENARIOS.items()
        # It would remove what the others left, too.
        if scenario.writes and name != "prune"
    }
    bench.place.wipe()
    kills = [
        Killed(
            Instance(str(uuids.uuid4())), name, of_hook[fault.number], fault
        )
        for name, of_hook in calls.items()
        for fault in killed_at(of_hook)
    ]
    wrong = []
    for kill in kills:
        try:
            bench.kill(kill.scenario, kill.instance, kill.fault)
        except AssertionError as error:
            wrong.append(f"{kill}: {error}")
    bench.place.patiently(
        lambda: (
            not any(bench.place.users_of(kill.instance.uuid) for kill in kills)
        )
    )
    for kill in kills:
        uuid, hook = kill.instance.uuid, kill.scenario.hook
        course = hook.course(places.state(bench.place, uuid))
        try:
            called(bench.place, bench.driver, uuid, hook, course)
            check(bench.place, uuid, course.end)
        except (AssertionError, ConfigDriveError) as error:
            wrong.append(f"{kill}, again: {error}")
    with ThreadPoolExecutor(4) as threads:
        list(
            threads.map(
                lambda kill: patiently(
                    bench.place,
                    functools.partial(
                        bench.driver.destroy, kill.instance.uuid
                    ),
                ),
                kills,
            )
        )
    with capsys.disabled():
        sys.stdout.write(f"\n{len(kills)} kills in {len(calls)} hooks ")
    assert not wrong, "\n".join(wrong)
