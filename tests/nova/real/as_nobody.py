"""Nova as a deployment runs it: not as root, with its helper for privileges.

Run by test_unprivileged.py, as root at first::

    python -m pytest as_nobody.py

with UNPRIVILEGED in the environment: a directory, and a libvirt's URI.  The
process starts nova's privsep daemon, which stays root, and then becomes
another user for good.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bootstrap  # noqa: F401  # before anything imports nova or libvirt
import cloud as clouds
import fixtures
import nova.privsep
import nova.privsep.path
import pytest
import servers
import threads
from cloud import OURS, Cloud, cloud
from hosts import Host, Hosts
from nova.tests import fixtures as nova_fixtures
from oslo_privsep import priv_context
from servers import DRIVE, METADATA, RESCUE_DRIVE, Server, boot, meaning

from tests.guest.guests import Console, Probe
from tests.unit.processes import NOBODY

_ALL = 1 << 30


class Readable(pathlib.PosixPath):
    """A file that the service's user may not read, read by root."""

    def read_bytes(self) -> bytes:
        data, _ = nova.privsep.path.last_bytes(str(self), _ALL)
        return bytes(data)

    def read_text(self, *_: Any, **__: Any) -> str:
        try:
            return self.read_bytes().decode(errors="replace")
        except OSError as error:
            raise FileNotFoundError(self) from error


@dataclass(frozen=True)
class OnlyHost(Host):
    """The host of a service that can't go among others' mounts."""

    def directory(self, uuid: str) -> pathlib.Path:
        return Readable(self.instances / uuid)

    def console(self, uuid: str) -> Console:
        return Console(self.directory(uuid) / "console.log")


@dataclass(frozen=True)
class OnlyHosts(Hosts):
    @property
    def instances_path(self) -> pathlib.Path:
        return self.all[0].instances

    @property
    def connection_uri(self) -> str:
        return self.all[0].uri

    def here(self) -> Host:
        return self.all[0]


class _Nothing(fixtures.Fixture):
    """In place of nova's own, without which privileges are as usual."""


@pytest.fixture(scope="module")
def ours(probe: Probe) -> Iterator[Cloud]:
    top, uri = os.environ["UNPRIVILEGED"].split(" ")
    host = OnlyHost("one", uri, os.getpid(), pathlib.Path(top))
    nova.privsep.sys_admin_pctxt.start(priv_context.Method.FORK)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.environ["HOME"] = top
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nova_fixtures, "PrivsepFixture", _Nothing)
        # There is one host, and all threads are there.
        patch.setattr(
            clouds, "among_mounts", lambda _: contextlib.nullcontext()
        )
        patch.setattr(threads, "_kept_by", lambda *_: contextlib.nullcontext())
        patch.setattr(servers, "files_by_7z", _files_by_7z)
        with cloud(OnlyHosts(host.top, (host,)), probe, OURS) as made:
            yield made


_by_7z = servers.files_by_7z


def _files_by_7z(path: pathlib.Path, directory: pathlib.Path) -> Any:
    copy = directory / "drive"
    copy.write_bytes(path.read_bytes())
    (directory / "files").mkdir()
    return _by_7z(copy, directory / "files")


@pytest.fixture(scope="module", params=["iso9660", "vfat"])
def server(request: pytest.FixtureRequest, ours: Cloud) -> Iterator[Server]:
    with (
        ours.options(
            config_drive_format=request.param, allow_resize_to_same_host=True
        ),
    ):
        yield boot(ours, ours.hosts.all[0])


def reads_what_is_there(server: Server, name: str = DRIVE) -> None:
    assert server.reads().sums == server.sums(name)


def test_the_service_may_not_read_the_drive_that_the_guest_reads(
    server: Server,
) -> None:
    path = pathlib.Path(server.host.instances / server.uuid / DRIVE)
    assert os.getuid() == NOBODY
    assert path.stat().st_uid not in (0, NOBODY)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(PermissionError):
        path.read_bytes()
    reads_what_is_there(server)
    assert meaning(server.drive()) == meaning(server.rendered())


def test_after_a_hard_reboot_the_guest_reads_what_has_changed(
    server: Server,
) -> None:
    server.tag(role="second")

    server.act("reboot", {"type": "HARD"}, then="ACTIVE")

    reads_what_is_there(server)
    assert re.search(rb'"role": ?"second"', server.drive()[METADATA])


def test_a_rescued_guest_reads_a_drive_of_its_own(server: Server) -> None:
    before = server.content()

    server.act("rescue", {"adminPass": "of rescue"}, then="RESCUE")
    reads_what_is_there(server, RESCUE_DRIVE)
    server.act("unrescue", then="ACTIVE")

    reads_what_is_there(server)
    assert server.content() == before
    assert not any("rescue" in name for name in server.host.files(server.uuid))


def test_a_stopped_guest_keeps_its_drive(server: Server) -> None:
    before = server.content()

    server.act("os-stop", then="SHUTOFF")
    server.act("os-start", then="ACTIVE")

    reads_what_is_there(server)
    assert server.content() == before


@pytest.mark.parametrize("decision", ["revertResize", "confirmResize"])
def test_a_guest_that_is_resized_reads_its_drive(
    decision: str, server: Server
) -> None:
    before = meaning(server.drive())
    larger = server.cloud._create_flavor(
        memory_mb=300, vcpu=1, disk=1, ephemeral=0
    )

    server.act("resize", {"flavorRef": larger}, then="VERIFY_RESIZE")
    reads_what_is_there(server)
    server.act(decision, then="ACTIVE")

    reads_what_is_there(server)
    after = meaning(server.drive())
    assert after[METADATA]["meta"] == before[METADATA]["meta"]
    assert not any("_resize" in one for one in server.host.files(server.uuid))


def test_a_rebuilt_guest_reads_a_new_drive(server: Server) -> None:
    server.act(
        "rebuild",
        {"imageRef": server.cloud._images.server, "metadata": {"a": "third"}},
        then="ACTIVE",
    )

    reads_what_is_there(server)
    assert re.search(rb'"a": ?"third"', server.drive()[METADATA])


def test_nothing_is_left_of_a_server_that_is_deleted(server: Server) -> None:
    assert server.is_gone()
