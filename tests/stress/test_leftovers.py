"""What a killed spawn left holds secrets, until some hook removes it."""

from __future__ import annotations

import os
import signal
import uuid as uuids
from collections.abc import Callable
from functools import partial

import pytest

from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.exception import StoreError

from ..unit.processes import Child
from . import places
from .drives import VFAT, Said, Wish
from .killing import patiently
from .places import Place

# Python 3.12 warns of what the tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

OLD, NEW = Wish(), Wish(meta=1)


def new_uuid() -> str:
    return str(uuids.uuid4())


def killed_at_last(place: Place, uuid: str) -> None:
    """Kill a rebuild when it only has to give the drive its name."""
    driver = place.driver(VFAT)
    if place.keeps:
        # Only a file that replaces another has a temporary name.
        driver.spawn(NEW.request(uuid))
    before = places.state(place, uuid)

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def rebuild() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place.renames, die)
            driver.rebuild(OLD.request(uuid))

    assert Child(rebuild).answer() is None
    assert places.state(place, uuid) == before
    assert len(place.secrets(uuid)) == 1


def test_secrets_are_forgotten_once_no_leftover_has_them(place: Place) -> None:
    driver, uuid = place.driver(VFAT), new_uuid()
    killed_at_last(place, uuid)
    driver.spawn(OLD.request(uuid))
    before = places.state(place, uuid)
    assert isinstance(before.drive, Said)
    if place.watches:
        # It wrote beside what nobody can remove yet.
        assert len(place.secrets(uuid)) == 1
        with pytest.raises(StoreError, match="in use by"):
            driver.forget_secrets(uuid)
        assert places.state(place, uuid) == before
    patiently(place, partial(driver.forget_secrets, uuid))
    after = places.state(place, uuid)
    assert isinstance(after.drive, Said)
    assert (after.drive.password, after.drive.userdata) == (None, None)
    assert place.secrets(uuid) == []
    assert place.left(uuid) == []
    driver.destroy(uuid)


Act = Callable[[ConfigDriveDriver, str], object]

#: They write a drive, or find it fresh.
ACTS: dict[str, Act] = {
    "spawn": lambda d, uuid: d.spawn(OLD.request(uuid)),
    "rebuild": lambda d, uuid: d.rebuild(OLD.request(uuid)),
    "reboot": lambda d, uuid: d.reboot(OLD.request(uuid)),
    "reboot, anew": lambda d, uuid: d.reboot(NEW.request(uuid)),
    "refresh": lambda d, uuid: d.refresh(OLD.request(uuid)),
    "refresh, anew": lambda d, uuid: d.refresh(NEW.request(uuid)),
    "finish_migration": lambda d, uuid: d.finish_migration(OLD.request(uuid)),
    "destroy": lambda d, uuid: d.destroy(uuid),
}


def test_whatever_looks_after_a_drive_removes_leftovers(place: Place) -> None:
    driver = place.driver(VFAT)
    instances = {name: new_uuid() for name in ACTS}
    for uuid in instances.values():
        killed_at_last(place, uuid)
        driver.spawn(OLD.request(uuid))
    # None that somebody may have open can be removed.
    place.patiently(
        lambda: not any(map(place.users_of_left, instances.values()))
    )
    for name, uuid in instances.items():
        assert bool(place.left(uuid)) is place.watches
        ACTS[name](driver, uuid)
        assert place.left(uuid) == [], name
        driver.destroy(uuid)
