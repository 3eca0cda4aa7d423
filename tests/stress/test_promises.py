"""What a drive keeps, whatever the next request leaves open or brings."""

from __future__ import annotations

import dataclasses
import uuid as uuids
from collections.abc import Callable, Iterator

import pytest

from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.exception import NoWholeDrive

from . import places
from .drives import ONE_SHOT, VFAT, Harmed, Said, Wish
from .places import Place, State

FULL = Wish(injected=0)
#: As a service knows the instance later on.
LATER = dataclasses.replace(FULL, meta=1, password=None, injected=None)
OTHER = dataclasses.replace(FULL, meta=2, password=2, userdata=2)


@pytest.fixture
def driver(place: Place) -> ConfigDriveDriver:
    return place.driver(VFAT)


@pytest.fixture
def uuid(driver: ConfigDriveDriver) -> Iterator[str]:
    """The UUID of an instance whose drives are removed in the end."""
    uuid = str(uuids.uuid4())
    yield uuid
    driver.destroy(uuid)


def drive(place: Place, uuid: str) -> Said:
    """Return what an instance's drive says, which is whole."""
    found = places.state(place, uuid).drive
    assert isinstance(found, Said)
    return found


Act = Callable[[ConfigDriveDriver, str, Wish], object]

#: They have a drive say what a request says.
KEEPERS: dict[str, Act] = {
    "spawn": lambda d, uuid, wish: d.spawn(wish.request(uuid)),
    "reboot": lambda d, uuid, wish: d.reboot(wish.request(uuid)),
    "refresh": lambda d, uuid, wish: d.refresh(wish.request(uuid)),
    "evacuate": lambda d, uuid, wish: d.rebuild(
        wish.request(uuid), evacuate=True
    ),
    "finish_migration": lambda d, uuid, wish: d.finish_migration(
        wish.request(uuid)
    ),
    "finish_revert_migration": lambda d, uuid, wish: d.finish_revert_migration(
        wish.request(uuid)
    ),
}
keepers = pytest.mark.parametrize("act", KEEPERS.values(), ids=KEEPERS)


@keepers
def test_what_a_request_leaves_open_is_as_on_the_drive(
    place: Place, driver: ConfigDriveDriver, uuid: str, act: Act
) -> None:
    driver.spawn(FULL.request(uuid))
    seed = drive(place, uuid).seed
    act(driver, uuid, LATER)
    kept = dataclasses.replace(FULL, meta=LATER.meta)
    expected = Said.of(kept, frozenset(), VFAT, seed)
    assert dataclasses.replace(drive(place, uuid), sum=None) == expected


@keepers
@pytest.mark.parametrize("wish", [LATER, OTHER], ids=["open", "another"])
def test_secrets_that_are_forgotten_do_not_come_back(
    place: Place,
    driver: ConfigDriveDriver,
    uuid: str,
    act: Act,
    wish: Wish,
) -> None:
    driver.spawn(FULL.request(uuid))
    driver.forget_secrets(uuid)
    act(driver, uuid, wish)
    found = drive(place, uuid)
    assert (found.meta, found.without) == (wish.meta, ONE_SHOT)
    assert (found.password, found.userdata) == (None, None)


def test_a_rebuild_takes_the_request_as_it_is(
    place: Place, driver: ConfigDriveDriver, uuid: str
) -> None:
    driver.spawn(FULL.request(uuid))
    driver.forget_secrets(uuid)
    driver.rebuild(LATER.request(uuid))
    found = drive(place, uuid)
    assert (found.password, found.injected) == (None, None)
    assert (found.userdata, found.without) == (LATER.userdata, frozenset())


@pytest.mark.parametrize("launched", [False, True])
def test_after_a_destroy_a_spawn_has_its_secrets_again(
    place: Place, driver: ConfigDriveDriver, uuid: str, launched: bool
) -> None:
    wish = dataclasses.replace(FULL, launched=launched)
    driver.spawn(wish.request(uuid))
    driver.forget_secrets(uuid)
    driver.spawn(wish.request(uuid))
    assert drive(place, uuid).without == ONE_SHOT
    driver.destroy(uuid)
    driver.spawn(wish.request(uuid))
    found = drive(place, uuid)
    assert (found.password, found.userdata) == (wish.password, wish.userdata)
    assert found.without == frozenset()


def damaged(place: Place, driver: ConfigDriveDriver, uuid: str) -> State:
    """Have a damaged drive kept for a revert, and a whole one here."""
    driver.spawn(FULL.request(uuid))
    data = place.data(uuid)
    assert data is not None
    place.put(uuid, bytes(len(data)))
    driver.migrate_disk_and_power_off(uuid)
    if place.keeps:
        driver.spawn(OTHER.request(uuid))
    return places.state(place, uuid)


def test_a_damaged_drive_that_was_kept_replaces_no_whole_one(
    place: Place, driver: ConfigDriveDriver, uuid: str
) -> None:
    before = damaged(place, driver, uuid)
    with pytest.raises(NoWholeDrive):
        driver.finish_revert_migration(uuid)
    assert places.state(place, uuid) == before
    driver.finish_revert_migration(OTHER.request(uuid))
    after = places.state(place, uuid)
    assert isinstance(after.drive, Said)
    assert after.drive.says(OTHER)
    assert after.kept is None


def test_a_damaged_drive_that_was_kept_is_not_carried(
    place: Place, driver: ConfigDriveDriver, uuid: str
) -> None:
    damaged(place, driver, uuid)
    if place.keeps:
        place.put(uuid, None)
    before = places.state(place, uuid)
    with pytest.raises(NoWholeDrive):
        driver.finish_migration(uuid)
    assert places.state(place, uuid) == before
    driver.finish_migration(OTHER.request(uuid))
    assert drive(place, uuid).says(OTHER)
    kept = places.state(place, uuid).kept
    assert isinstance(kept, Harmed) is place.keeps
