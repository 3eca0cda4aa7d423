"""Any sequence of hooks, with harm and kills in between.

After every step a model says what there is, and what each drive says.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cfgdrive_virt import image
from cfgdrive_virt.exception import MigrationRefused, StoreError

from . import drives, places
from .drives import ISO9660, VFAT, Harmed, Said, Wish
from .hooks import Hook, Hooks, Tray
from .killing import called, check, check_by_others, check_killed, killed
from .places import Place, State

# Python 3.12 warns of what the tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

#: Hooks that take nothing but an instance.
PLAIN = (
    "spawn",
    "rebuild",
    "evacuate",
    "reboot",
    "reboot_by_uuid",
    "unrescue",
    "migrate_disk_and_power_off",
    "finish_migration",
    "finish_migration_by_uuid",
    "confirm_migration",
    "finish_revert_migration",
    "finish_revert_migration_by_uuid",
    "refresh",
    "forget_secrets",
    "leave",
)
NUMBERS = itertools.count(1)


class Life(RuleBasedStateMachine):
    """One instance's life."""

    def __init__(self, place: Place, done: Counter[str]) -> None:
        super().__init__()
        self.place = place
        self.done = done
        self.uuid = f"{next(NUMBERS):08x}-1378-4288-a2d4-70e13ec132aa"
        self.wish = Wish()
        self.format = VFAT
        self.state = State()

    @property
    def hooks(self) -> Hooks:
        keeps = self.place.keeps
        return Hooks(self.uuid, self.wish, self.format, keeps)

    @property
    def driver(self) -> Any:
        return self.place.driver(self.format)

    def call(self, hook: Hook) -> None:
        course = hook.course(self.state)
        called(self.place, self.driver, self.uuid, hook, course)
        self.state = check(self.place, self.uuid, course.end)
        self.done["calls"] += 1
        self.done["refusals"] += course.error is not None

    @initialize(launched=st.booleans())
    def begin(self, launched: bool) -> None:
        self.wish = dataclasses.replace(self.wish, launched=launched)
        self.call(self.hooks.spawn())

    @rule(name=st.sampled_from(PLAIN))
    def a_hook_is_called(self, name: str) -> None:
        self.call(getattr(self.hooks, name)())

    @rule(name=st.sampled_from(("destroy", "cleanup")))
    def it_is_destroyed(self, name: str) -> None:
        self.call(getattr(self.hooks, name)())
        assert self.state == State()

    @rule(password=st.integers(100, 102))
    def it_is_rescued(self, password: int) -> None:
        self.call(self.hooks.rescue(password))

    @rule(
        name=st.sampled_from((*PLAIN, "destroy", "cleanup")),
        share=st.floats(0, 1),
    )
    def a_hook_is_killed_and_called_again(
        self, name: str, share: float
    ) -> None:
        hook = getattr(self.hooks, name)()
        delay = share * 2 * self.place.pace
        through = killed(self.driver, self.uuid, hook, delay)
        self.done["kills"] += 1
        self.done["kills on its way"] += not through
        course = hook.course(self.state)
        self.state = check_killed(self.place, self.uuid, course)
        self.call(hook)

    @rule(
        name=st.sampled_from(("refresh", "forget_secrets")),
        take_fails=st.booleans(),
        give_fails=st.integers(0, 2),
    )
    def a_running_guest_gets_another(
        self, name: str, take_fails: bool, give_fails: int
    ) -> None:
        tray = Tray(take_fails, give_fails)
        before = self.state
        self.call(getattr(self.hooks, name)(tray))
        gives = 1 + give_fails
        if isinstance(before.drive, Said) and not take_fails:
            assert tray.done in (["give"], ["take", *["give"] * min(gives, 2)])
        assert before == self.state or tray.done[0] == "take"

    @rule(
        part=st.sampled_from(("password", "injected")),
        number=st.none() | st.integers(0, 3),
    )
    def the_request_says_more_or_less(
        self, part: str, number: int | None
    ) -> None:
        changes: dict[str, Any] = {part: number}
        self.wish = dataclasses.replace(self.wish, **changes)

    @rule(
        part=st.sampled_from(("meta", "key", "userdata")),
        number=st.integers(0, 3),
    )
    def the_request_changes(self, part: str, number: int) -> None:
        changes: dict[str, Any] = {part: number}
        self.wish = dataclasses.replace(self.wish, **changes)

    @rule(launched=st.booleans())
    def the_guest_was_launched(self, launched: bool) -> None:
        self.wish = dataclasses.replace(self.wish, launched=launched)

    @rule(image_format=st.sampled_from((ISO9660, VFAT)))
    def the_configuration_changes(self, image_format: str) -> None:
        self.format = image_format

    @precondition(lambda self: self.state.drive is not None)
    @rule(harm=st.sampled_from(("gone", "short", "zeros", "flipped")))
    def harm_is_done(self, harm: str) -> None:
        data = self.place.data(self.uuid)
        assert data is not None
        at = data.find(b"meta-") + 5
        harmed = {
            "gone": None,
            "short": data[: len(data) // 1024 * 512],
            "zeros": bytes(len(data)),
            "flipped": data[:at] + b"\x39" + data[at + 1 :],
        }[harm]
        if harm == "flipped" and at == 4:
            return
        self.place.put(self.uuid, harmed)
        self.state = places.state(self.place, self.uuid)
        if harm == "gone":
            assert self.state.drive is None
        elif harm == "zeros":
            assert isinstance(self.state.drive, Harmed)

    @rule(number=st.integers(0, 3))
    def nova_made_the_drive(self, number: int) -> None:
        wish = dataclasses.replace(self.wish, meta=number)
        built = self.driver.build(wish.request(self.uuid), VFAT)
        files = image.read(built.data).tree.files
        data = drives.made_by_nova(dict(files))
        self.place.put_foreign(self.uuid, data)
        self.state = places.state(self.place, self.uuid)
        assert isinstance(self.state.drive, Said)

    @rule(comes=st.booleans())
    def it_migrates_live_where_hosts_share_drives(self, comes: bool) -> None:
        source = self.driver
        here = self.place.driver(self.format)
        plan = source.plan(self.wish.request(self.uuid))
        xml = f"<domain><devices>{plan.disk_xml}</devices></domain>"
        told = here.check_can_live_migrate_destination(self.uuid)
        test_files = [n for n in self.place.everything() if "locks/" in n]
        assert len(test_files) == self.place.keeps
        moving = source.check_can_live_migrate_source(
            self.uuid, told, xml, block_migration=False
        )
        here.cleanup_live_migration_destination_check(self.uuid, told)
        assert moving is not None
        assert moving.shared is True
        whole = isinstance(self.state.drive, Said)
        # What is read-only has to be whole, not only there.
        if self.state.drive is None or (moving.readonly and not whole):
            with pytest.raises(MigrationRefused):
                here.pre_live_migration(self.uuid, moving, list)
        else:
            here.pre_live_migration(self.uuid, moving, list)
        if not comes:
            here.rollback_live_migration_at_destination(self.uuid, moving)
        else:
            source.post_live_migration(self.uuid, moving)
            if isinstance(self.state.drive, Said):
                here.post_live_migration_at_destination(self.uuid, moving)
            elif self.state.drive is None:
                with pytest.raises(StoreError):
                    here.post_live_migration_at_destination(self.uuid, moving)
        check(self.place, self.uuid, self.state)

    def teardown(self) -> None:
        check_by_others(self.place, self.uuid)
        note(f"at the end: {self.state}")
        hook = self.hooks.destroy()
        course = hook.course(self.state)
        called(self.place, self.driver, self.uuid, hook, course)
        assert check(self.place, self.uuid, State()) == State()
        left = [name for name in self.place.everything() if self.uuid in name]
        assert left == []


def test_whatever_happens_an_instance_has_what_the_hooks_promise(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    done: Counter[str] = Counter()
    run_state_machine_as_test(
        lambda: Life(place, done),
        settings=settings(
            settings.get_profile("lifecycle"),
            max_examples=80 if place.keeps else 24,
            stateful_step_count=25,
            # In Ceph, to look for a shorter sequence would take minutes.
            phases=(Phase.generate, Phase.shrink)
            if place.keeps
            else (Phase.generate,),
        ),
    )
    with capsys.disabled():
        told = ", ".join(f"{count} {what}" for what, count in done.items())
        sys.stdout.write(f"\n{type(place).__name__}: {told} ")
    assert done["refusals"] > 0
    assert done["kills on its way"] > 0
