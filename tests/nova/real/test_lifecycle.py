"""What a guest reads from its drive, from first boot to deletion.

Tests of one kind of drive share a server, which each leaves running.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from cloud import OURS, Cloud, cloud
from hosts import Hosts
from servers import (
    METADATA,
    RESCUE_DRIVE,
    Server,
    always_one,
    boot,
    meaning,
)

from tests.guest.guests import Probe

#: What the drive is, by config_drive_format.
KINDS = {"vfat": ("disk", "virtio"), "iso9660": ("cdrom", "ide")}


@pytest.fixture(scope="module")
def ours(hosts: Hosts, probe: Probe) -> Iterator[Cloud]:
    with cloud(hosts, probe, OURS, OURS) as made:
        yield made


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, ours: Cloud) -> Iterator[str]:
    with ours.options(config_drive_format=request.param):
        yield request.param


@pytest.fixture(scope="module")
def servers(
    request: pytest.FixtureRequest, ours: Cloud, kind: str
) -> Callable[[], Server]:
    # Its options hold meanwhile.
    del kind
    one, _ = ours.hosts.all
    return always_one(
        lambda: boot(ours, one), lambda: request.session.testsfailed
    )


@pytest.fixture
def server(servers: Callable[[], Server]) -> Server:
    return servers()


def test_the_guest_reads_what_nova_renders(server: Server, kind: str) -> None:
    read = server.reads()

    assert read.filesystem == kind
    assert read.sums == server.sums()
    assert meaning(server.drive()) == meaning(server.rendered())
    assert server.attached() == KINDS[kind]


def test_after_a_hard_reboot_the_guest_reads_what_has_changed(
    server: Server,
) -> None:
    server.tag(role="second")

    server.act("reboot", {"type": "HARD"}, then="ACTIVE")

    assert server.reads().sums == server.sums()
    assert meaning(server.drive()) == meaning(server.rendered())
    assert json.loads(server.drive()[METADATA])["meta"] == {"role": "second"}


def test_a_start_after_which_nothing_has_changed_leaves_the_drive_alone(
    server: Server,
) -> None:
    before = server.content()

    server.act("os-stop", then="SHUTOFF")
    server.act("os-start", then="ACTIVE")

    assert server.reads().sums == server.sums()
    assert server.content() == before


def test_a_rescued_guest_reads_a_drive_of_its_own(server: Server) -> None:
    before = server.content()

    server.act("rescue", {"adminPass": "of rescue"}, then="RESCUE")

    assert server.reads().sums == server.sums(RESCUE_DRIVE)
    told = json.loads(server.drive(RESCUE_DRIVE)[METADATA])
    assert told["admin_pass"] == "of rescue"

    server.act("unrescue", then="ACTIVE")

    assert server.reads().sums == server.sums()
    assert server.content() == before
    assert not any("rescue" in name for name in server.host.files(server.uuid))


@pytest.mark.parametrize("decision", ["confirmResize", "revertResize"])
def test_a_guest_that_is_stopped_and_moved_reads_its_drive(
    decision: str, server: Server
) -> None:
    source, target = server.host, server.elsewhere
    before = meaning(server.drive())

    server.act("migrate", then="VERIFY_RESIZE")

    assert (target.directory(server.uuid) / "disk.config").exists()
    server.act(decision, then="ACTIVE")
    at, away = (
        (target, source) if decision == "confirmResize" else (source, target)
    )
    assert server.host == at
    assert server.reads().sums == server.sums()
    assert meaning(server.drive()) == before
    assert away.files(server.uuid) == set()


def leaves_in_vain(server: Server) -> None:
    with server.cloud.disconnected():
        server.migrates_live("error", then="ERROR")


def is_called_back(server: Server) -> None:
    # In MiB/s: it has some time.
    with server.cloud.options("libvirt", live_migration_bandwidth=1):
        server.is_called_back()


@pytest.mark.parametrize("tries", [leaves_in_vain, is_called_back])
def test_a_guest_that_does_not_arrive_keeps_its_drive(
    tries: Callable[[Server], None], server: Server
) -> None:
    source, target = server.host, server.elsewhere
    before, last = server.content(), server.reads()

    tries(server)
    # nova has its operator look at it.
    server.act("os-resetState", {"state": "active"}, then="ACTIVE")

    assert server.host == source
    read = server.reads()
    assert read.number > last.number
    assert read.sums == last.sums
    assert server.content() == before
    assert target.files(server.uuid) == set()


def test_a_running_guest_that_moves_reads_the_same_there_and_back(
    server: Server,
) -> None:
    source, target = server.host, server.elsewhere
    before, sums = server.content(), server.sums()
    last = server.reads()

    for there, back in ((source, target), (target, source)):
        server.migrates_live()

        assert server.host == back
        read = server.reads()
        assert read.number > last.number
        assert read.sums == sums
        assert server.content() == before
        assert there.files(server.uuid) == set()
        last = read


def test_nothing_is_left_of_a_server_that_is_deleted(server: Server) -> None:
    assert server.is_gone()
