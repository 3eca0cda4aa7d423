"""A host of a live migration that lies to the other one."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver, MigratingDrive
from cfgdrive_virt.exception import MigrationRefused
from cfgdrive_virt.model.migration import sum_of

from ..model.peers import WRONG, wrong_for
from ..samples import UUID, wanted
from .drives import FORMATS
from .hosts import Hosts, unpickled

#: Another instance, which has its drive on both hosts.
OTHER = "0" + UUID[1:]

#: The hooks that are given a drive, and what else they are given.
HOOKS: dict[str, tuple[Any, ...]] = {
    "read_migrating": (),
    "must_fetch": (),
    "pre_live_migration": (lambda: pytest.fail("fetched"),),
    "post_live_migration": (),
    "post_live_migration_at_destination": (),
    "rollback_live_migration_at_destination": (),
}
#: Those that are given a check.
CHECKED = (
    "check_can_live_migrate_source",
    "cleanup_live_migration_destination_check",
)
ALL_HOOKS = pytest.mark.parametrize("hook", HOOKS)


@pytest.fixture
def hosts(
    conf: Callable[..., cfg.ConfigOpts], instances: Path
) -> Iterator[Hosts]:
    """Yield two hosts; see that nothing has changed on either one."""
    made = Hosts(
        instances,
        ConfigDriveDriver(
            conf("[DEFAULT]\nconfig_drive_format = iso9660\n"),
            architecture="x86_64",
        ),
    )
    with made.at("a") as driver:
        driver.spawn(wanted())
    for home in made.homes.values():
        (home / OTHER).mkdir()
        (home / OTHER / "disk.config").write_bytes(b"another one's")
        # As if it had just arrived: a rollback would remove it.
        (home / OTHER / "disk.config.migrating").touch()
    with made.at("b") as driver:
        driver.check_can_live_migrate_destination(OTHER)
    before = everything(made)
    yield made
    assert everything(made) == before


def everything(hosts: Hosts) -> dict[str, Any]:
    """Return all files of both hosts but locks, and their directories."""
    found: dict[str, Any] = {}
    for home in hosts.homes.values():
        for path in home.rglob("*"):
            if path.is_dir():
                found[str(path)] = None
            elif "cfgdrive-virt-drive" not in path.name:
                found[str(path)] = (path.stat().st_ino, path.read_bytes())
    return found


def drive_of(hosts: Hosts) -> MigratingDrive:
    data = hosts.drive("a").read_bytes()
    return MigratingDrive(
        UUID,
        str(hosts.driver.location(UUID)),
        shared=False,
        readonly=True,
        size=len(data),
        sha256=sum_of(data),
        inode=hosts.drive("a").stat().st_ino,
    )


def call(
    driver: ConfigDriveDriver, hook: str, given: Any, uuid: str = UUID
) -> Any:
    if hook == "check_can_live_migrate_source":
        return driver.check_can_live_migrate_source(
            uuid, given, "<domain/>", block_migration=True
        )
    return getattr(driver, hook)(uuid, given, *HOOKS.get(hook, ()))


class TestAnotherInstances:
    """Neither host reaches a drive but that of its own guest."""

    @ALL_HOOKS
    @pytest.mark.parametrize("at", "ab")
    @pytest.mark.parametrize("shared", [True, False])
    def test_drive(
        self, hosts: Hosts, hook: str, at: str, shared: bool
    ) -> None:
        drive = drive_of(hosts)
        others = dataclasses.replace(
            drive,
            uuid=OTHER,
            location=drive.location.replace(UUID, OTHER),
            shared=shared,
            inode=(hosts.homes[at] / OTHER / "disk.config").stat().st_ino,
        )
        with (
            hosts.at(at) as driver,
            pytest.raises(MigrationRefused, match=f"{OTHER}, not of {UUID}"),
        ):
            call(driver, hook, others)

    @ALL_HOOKS
    @pytest.mark.parametrize("at", "ab")
    def test_place(self, hosts: Hosts, hook: str, at: str) -> None:
        drive = drive_of(hosts)
        place = drive.location.replace(UUID, OTHER)
        others = dataclasses.replace(drive, location=place)
        with (
            hosts.at(at) as driver,
            pytest.raises(MigrationRefused, match="on the other host, and"),
        ):
            call(driver, hook, others)

    @pytest.mark.parametrize("hook", CHECKED)
    def test_check(self, hosts: Hosts, hook: str) -> None:
        [path] = hosts.homes["b"].glob("locks/cfgdrive-virt-shared-*")
        name = path.name.rpartition("-")[2]
        with hosts.at("a") as driver:
            check = driver.check_can_live_migrate_destination(UUID)
            driver.cleanup_live_migration_destination_check(UUID, check)
        others = dataclasses.replace(check, uuid=OTHER, test_file=name)
        with (
            hosts.at("b") as driver,
            pytest.raises(MigrationRefused, match=f"{OTHER}, not of {UUID}"),
        ):
            call(driver, hook, others)

    @pytest.mark.parametrize(
        "form", [OTHER, OTHER.upper(), OTHER.replace("-", "")]
    )
    def test_domain(self, hosts: Hosts, form: str) -> None:
        with hosts.at("b") as driver:
            check = driver.check_can_live_migrate_destination(UUID)
            driver.cleanup_live_migration_destination_check(UUID, check)
        domain = hosts.domain().replace(
            "<domain>", f"<domain><uuid>{form}</uuid>"
        )
        with (
            hosts.at("a") as driver,
            pytest.raises(MigrationRefused, match="the domain's UUID is '"),
        ):
            driver.check_can_live_migrate_source(
                UUID, check, domain, block_migration=True
            )


@pytest.mark.parametrize("form", [UUID, UUID.upper(), UUID.replace("-", "")])
def test_a_domains_own_uuid_is_accepted(hosts: Hosts, form: str) -> None:
    with hosts.at("b") as driver:
        check = driver.check_can_live_migrate_destination(UUID)
        driver.cleanup_live_migration_destination_check(UUID, check)
    domain = hosts.domain().replace("<domain>", f"<domain><uuid>{form}</uuid>")
    with hosts.at("a") as driver:
        assert driver.check_can_live_migrate_source(
            UUID, check, domain, block_migration=True
        ) == drive_of(hosts)


@ALL_HOOKS
@pytest.mark.parametrize(
    "field", [f.name for f in dataclasses.fields(MigratingDrive)]
)
def test_a_field_that_is_not_valid_is_refused_by_every_hook(
    hosts: Hosts, hook: str, field: str
) -> None:
    drive = drive_of(hosts)
    names = [name for name in wrong_for(field) if name not in UNPICKLABLE]
    with hosts.at("b") as driver:
        for name in names:
            forged = unpickled(drive, **{field: WRONG[name]})
            with pytest.raises(MigrationRefused) as caught:
                call(driver, hook, forged)
            assert str(caught.value).isprintable(), name


#: They can't be sent by pickling.
UNPICKLABLE = {"deep list", "object"}


@pytest.mark.parametrize("hook", CHECKED)
@pytest.mark.parametrize(
    "field", ["uuid", "locations", "cluster", "test_file"]
)
def test_a_check_that_is_not_valid_is_refused(
    hosts: Hosts, hook: str, field: str
) -> None:
    with hosts.at("b") as driver:
        check = driver.check_can_live_migrate_destination(UUID)
        driver.cleanup_live_migration_destination_check(UUID, check)
        for name in wrong_for(field):
            if name not in UNPICKLABLE:
                forged = unpickled(check, **{field: WRONG[name]})
                with pytest.raises(MigrationRefused):
                    call(driver, hook, forged)


@pytest.mark.parametrize("hook", [*HOOKS, *CHECKED])
def test_what_is_no_value_is_refused(hosts: Hosts, hook: str) -> None:
    with hosts.at("b") as driver:
        for wrong in WRONG.values():
            with pytest.raises(MigrationRefused, match=r"^expected a "):
                call(driver, hook, wrong)


@pytest.mark.parametrize("hook", [*HOOKS, *CHECKED])
def test_a_value_of_another_version_is_refused(
    hosts: Hosts, hook: str
) -> None:
    with hosts.at("b") as driver:
        given: Any = drive_of(hosts)
        if hook in CHECKED:
            given = driver.check_can_live_migrate_destination(UUID)
            driver.cleanup_live_migration_destination_check(UUID, given)
        old = unpickled(given)
        object.__delattr__(old, "uuid")
        with pytest.raises(MigrationRefused, match="upgrade both hosts"):
            call(driver, hook, old)


@ALL_HOOKS
def test_a_drive_that_is_too_large_here_is_not_asked_for(
    hosts: Hosts, hook: str
) -> None:
    drive = dataclasses.replace(drive_of(hosts), size=1 << 50)
    with (
        hosts.at("b") as driver,
        pytest.raises(MigrationRefused, match="max_drive_size allows"),
    ):
        call(driver, hook, drive)


def cut(data: bytes, size: int = 1000) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def endless(part: bytes, taken: list[int]) -> Iterator[bytes]:
    while True:
        taken.append(len(part))
        assert len(taken) < 10_000
        yield part


#: What a source sends in place of its drive, and what the error says.
SOURCES: dict[str, tuple[Callable[[bytes], Any], str]] = {
    "nothing": (lambda _: [], "fewer than the source's"),
    "one byte too few": (lambda data: cut(data[:-1]), "fewer than the"),
    "one byte too many": (lambda data: cut(data + b"\0"), "more than the"),
    "a part too many": (lambda data: [*cut(data), b"x"], "more than the"),
    "all at once, too many": (lambda data: [data * 2], "more than the"),
    "another byte": (lambda data: cut(data[:-1] + b"x"), "SHA-256 sum"),
    "another order": (lambda data: cut(data)[::-1], "SHA-256 sum"),
    "zeros": (lambda data: cut(bytes(len(data))), "SHA-256 sum"),
    "an empty part": (lambda data: [*cut(data), b""], "bytes of 0, not some"),
    "strings": (lambda data: ["x" * len(data)], "a string of"),
    "numbers": (list, "is a number, not some bytes"),
    "bytearrays": (lambda data: [bytearray(data)], "bytearray of"),
    "nothings": (lambda _: [None], "is nothing, not some bytes"),
    "bytes alone": (lambda data: data, "must be fetched as parts"),
    "a string alone": (lambda _: "x", "must be fetched as parts"),
    "nothing at all": (lambda _: None, "must be fetched as parts"),
}


@pytest.mark.parametrize(("send", "told"), SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("there", ["nothing", "a directory", "a drive"])
def test_a_source_that_sends_something_else_leaves_nothing(
    hosts: Hosts, send: Callable[[bytes], Any], told: str, there: str
) -> None:
    drive = drive_of(hosts)
    data = hosts.drive("a").read_bytes()
    if there != "nothing":
        hosts.drive("b").parent.mkdir()
    if there == "a drive":
        hosts.drive("b").write_bytes(b"another one")
    before = everything(hosts)
    with (
        hosts.at("b") as driver,
        pytest.raises(MigrationRefused, match=told),
    ):
        driver.pre_live_migration(UUID, drive, lambda: send(data))
    assert everything(hosts) == before
    if there != "nothing":
        hosts.drive("b").unlink(missing_ok=True)
        hosts.drive("b").parent.rmdir()


@pytest.mark.parametrize("size", [0, 1, 4096, 1 << 20])
def test_a_source_that_never_ends_is_left(hosts: Hosts, size: int) -> None:
    drive = drive_of(hosts)
    drive = dataclasses.replace(drive, size=min(drive.size, size * 20))
    taken: list[int] = []
    part = bytes(size)
    with (
        hosts.at("b") as driver,
        pytest.raises(MigrationRefused),
    ):
        driver.pre_live_migration(UUID, drive, lambda: endless(part, taken))
    assert sum(taken) <= drive.size + size
    assert len(taken) <= 21


def test_a_large_drive_is_never_held_in_memory(hosts: Hosts) -> None:
    """Until all of it has come, and its sum is right."""
    size = 128 << 20
    drive = dataclasses.replace(drive_of(hosts), size=size)
    part = bytes(1 << 20)
    tracemalloc.start()
    try:
        with (
            hosts.at("b") as driver,
            pytest.raises(MigrationRefused, match="SHA-256 sum"),
        ):
            driver.pre_live_migration(UUID, drive, lambda: [part] * 128)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_what_only_pretends_to_be_a_drive_gets_no_name(hosts: Hosts) -> None:
    zeros = bytes(4096)
    drive = dataclasses.replace(
        drive_of(hosts), size=len(zeros), sha256=sum_of(zeros)
    )
    with (
        hosts.at("b") as driver,
        pytest.raises(MigrationRefused, match=r"the source's .* is damaged"),
    ):
        driver.pre_live_migration(UUID, drive, lambda: [zeros])


def test_the_lock_is_free_while_the_source_is_waited_for(
    hosts: Hosts,
) -> None:
    drive = drive_of(hosts)
    data = hosts.drive("a").read_bytes()
    #: Its lock is that of the drive that is fetched.
    neighbour = UUID[:3] + "0" * 5 + UUID[8:]

    def slow() -> Iterable[bytes]:
        yield data[:1000]
        assert hosts.driver.spawn(
            dataclasses.replace(wanted(), uuid=neighbour)
        )
        hosts.driver.destroy(neighbour)
        assert not hosts.drive("b").parent.exists()
        yield data[1000:]

    with hosts.at("b") as driver:
        driver.pre_live_migration(UUID, drive, slow)
        assert hosts.drive("b").read_bytes() == data
        driver.rollback_live_migration_at_destination(UUID, drive)


@FORMATS
@pytest.mark.parametrize("size", [1, 511, 1 << 30])
def test_a_drive_may_come_in_any_parts(
    conf: Callable[..., cfg.ConfigOpts], instances: Path, form: str, size: int
) -> None:
    opts = conf(f"[DEFAULT]\nconfig_drive_format = {form}\n")
    made = Hosts(instances, ConfigDriveDriver(opts, architecture="x86_64"))
    with made.at("a") as driver:
        driver.spawn(wanted())
    data = made.drive("a").read_bytes()
    drive = made.checked()
    with made.at("b") as driver:
        assert driver.must_fetch(UUID, drive)
        driver.pre_live_migration(UUID, drive, lambda: cut(data, size))
        assert not driver.must_fetch(UUID, drive)
        driver.post_live_migration_at_destination(UUID, drive)
    assert made.drive("b").read_bytes() == data
    assert made.drive("b").stat().st_mode & 0o777 == 0o600


def test_what_both_hosts_share_is_not_fetched(hosts: Hosts) -> None:
    drive = dataclasses.replace(drive_of(hosts), shared=True)
    with hosts.at("b") as driver:
        assert not driver.must_fetch(UUID, drive)
