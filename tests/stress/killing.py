"""Hooks that are called, killed, and called again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from cfgdrive_virt import ConfigDriveDriver, image
from cfgdrive_virt.exception import DriveInUse

from ..unit.processes import Child
from . import drives, places
from .drives import Said
from .hooks import Course, Hook
from .places import Place, State


def killed(
    driver: ConfigDriveDriver, uuid: str, hook: Hook, delay: float
) -> bool:
    """Kill a process that calls a hook; tell whether it had got through."""
    reading, writing = os.pipe()

    def live() -> None:
        # In Ceph, that connects.
        driver.exists(uuid)
        os.write(writing, b"starts")
        hook.call(driver)
        os.write(writing, b"ends")

    child = Child(live)
    os.close(writing)
    with open(reading, "rb", buffering=0) as pipe:
        assert pipe.read(6) == b"starts"
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        told = child.answer()
        assert told is None or "Traceback" not in told, told
        return pipe.read() == b"ends"


def called(
    place: Place,
    driver: ConfigDriveDriver,
    uuid: str,
    hook: Hook,
    course: Course,
) -> None:
    """Call a hook, which is to go well or wrong as the model says."""
    if course.error is None:
        patiently(place, lambda: hook.call(driver))
        if hook.name == "forget_secrets":
            assert place.secrets(uuid) == []
    else:
        with pytest.raises(course.error):
            hook.call(driver)


def patiently(place: Place, act: Callable[[], object]) -> None:
    """Do something that what a killed process had open may delay."""

    def done() -> bool:
        try:
            act()
        except DriveInUse:
            return False
        return True

    place.patiently(done)


def check(place: Place, uuid: str, expected: State) -> State:
    """See that an instance has what it is to have, and nothing else."""
    found = places.state(place, uuid)
    assert expected.agrees(found), f"{found} is not {expected}"
    assert place.others(uuid) == []
    return found


def check_killed(place: Place, uuid: str, course: Course) -> State:
    """See what a killed hook left; it is what some step on its way leaves.

    A volume that can't be rewritten in its place is absent for a moment.
    """
    found = places.state(place, uuid)
    place.others(uuid)
    absent = not place.keeps and found.drive is None
    assert any(
        state.agrees(found)
        or (absent and State(None, state.rescue).agrees(found))
        for state in course.states
    ), f"{found} is none of {course.states}"
    return found


def check_by_others(place: Place, uuid: str) -> None:
    """See that somebody else's program finds the same in all drives."""
    for which, content in places.state(place, uuid):
        if isinstance(content, Said):
            data = place.data(uuid, which)
            assert data is not None
            files = dict(image.read(data).tree.files)
            assert drives.others_read(data) == files
