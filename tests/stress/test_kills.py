"""Whatever hook is killed, and whenever: drives are whole or absent.

And the same hook, called again, does what the first call was to do.
"""

from __future__ import annotations

import dataclasses
import random
import sys
import uuid as uuids
from collections.abc import Callable
from functools import partial

import pytest

from . import places
from .drives import VFAT, Wish
from .hooks import Hook, Hooks
from .killing import (
    called,
    check,
    check_by_others,
    check_killed,
    killed,
    patiently,
)
from .places import Place

# Python 3.12 warns of what the tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

KILLS_OF_FILES, KILLS_OF_VOLUMES = 36, 12
#: In Ceph these write nothing.
FEW_KILLS = 4
READERS = {"migrate_disk_and_power_off", "pre_live_migration"}

OLD = Wish()
NEW = Wish(meta=1, key=1, password=1, userdata=1)
BIG = dataclasses.replace(NEW, big=1)

#: What was done before, and what is killed.
Scenario = Callable[[Callable[[Wish], Hooks]], tuple[list[Hook], Hook]]

SCENARIOS: dict[str, Scenario] = {
    "spawn": lambda on: ([], on(OLD).spawn()),
    "rebuild": lambda on: ([on(OLD).spawn()], on(NEW).rebuild()),
    "rebuild, bigger": lambda on: ([on(OLD).spawn()], on(BIG).rebuild()),
    "refresh": lambda on: ([on(OLD).spawn()], on(NEW).refresh()),
    "rescue": lambda on: ([on(OLD).spawn()], on(OLD).rescue(7)),
    "forget_secrets": lambda on: (
        [on(OLD).spawn()],
        on(OLD).forget_secrets(),
    ),
    "migrate_disk_and_power_off": lambda on: (
        [on(OLD).spawn()],
        on(OLD).migrate_disk_and_power_off(),
    ),
    "finish_migration": lambda on: (
        [on(OLD).spawn(), on(OLD).migrate_disk_and_power_off()],
        on(NEW).finish_migration(),
    ),
    "finish_revert_migration": lambda on: (
        [
            on(OLD).spawn(),
            on(OLD).migrate_disk_and_power_off(),
            on(NEW).finish_migration(),
        ],
        on(OLD).finish_revert_migration(),
    ),
    "destroy": lambda on: (
        [
            on(OLD).spawn(),
            on(OLD).migrate_disk_and_power_off(),
            on(NEW).finish_migration(),
            on(OLD).rescue(7),
        ],
        on(OLD).destroy(),
    ),
}


@dataclasses.dataclass(slots=True)
class Moment:
    """When to kill: some time that most hooks aren't through by."""

    most: float
    chance: random.Random = dataclasses.field(
        default_factory=lambda: random.Random(0)
    )
    through: int = 0

    def __call__(self) -> float:
        return self.chance.uniform(0, self.most)

    def learn(self, *, through: bool) -> None:
        """Aim at three of four that are killed on their way."""
        self.through += through
        self.most *= 0.8 if through else 1.08


def kill_all(
    place: Place,
    scenario: Scenario,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """Kill a hook on many instances; then call it again on all of them."""
    driver = place.driver(VFAT)
    moment = Moment(place.pace)
    kills = KILLS_OF_FILES if place.keeps else KILLS_OF_VOLUMES
    if name in READERS and not place.keeps:
        kills = FEW_KILLS
    instances = [str(uuids.UUID(int=number << 96)) for number in range(kills)]
    hooks = {}
    for uuid in instances:
        made = scenario(lambda wish, uuid=uuid: Hooks(
            uuid, wish, VFAT, keeps=place.keeps
        ))  # fmt: skip
        before, hook = made
        for step in before:
            step.call(driver)
        hooks[uuid] = hook
        course = hook.course(places.state(place, uuid))
        through = killed(driver, uuid, hook, moment())
        moment.learn(through=through)
        check_killed(place, uuid, course)
    for number, uuid in enumerate(instances):
        hook = hooks[uuid]
        course = hook.course(places.state(place, uuid))
        called(place, driver, uuid, hook, course)
        check(place, uuid, course.end)
        if number % 10 == 0:
            check_by_others(place, uuid)
    for uuid in instances:
        patiently(place, partial(driver.destroy, uuid))
    assert place.everything() == []
    assert moment.through < kills or kills == FEW_KILLS, (
        "none was killed on its way"
    )
    with capsys.disabled():
        sys.stdout.write(
            f"\n{type(place).__name__}, {name}: {kills} kills,"
            f" {kills - moment.through} on its way,"
            f" within {moment.most * 1000:.0f} ms "
        )


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_killed_hook_leaves_whole_drives_and_is_called_again(
    place: Place, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kill_all(place, SCENARIOS[name], capsys, name)


@pytest.mark.parametrize("there", [False, True])
def test_a_killed_pre_live_migration_leaves_a_whole_drive_or_none(
    place: Place, there: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = place.driver(VFAT)

    def scenario(on: Callable[[Wish], Hooks]) -> tuple[list[Hook], Hook]:
        uuid = on(NEW).uuid
        data = driver.build(NEW.request(uuid)).data
        # One that hosts share is there.
        before = [on(OLD).spawn()] if there or not place.keeps else []
        return before, on(NEW).pre_live_migration(data)

    kill_all(place, scenario, capsys, "pre_live_migration")
