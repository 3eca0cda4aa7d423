"""A running guest, and what a conductor does to move it to another host."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import pathlib
import random
import uuid as uuids
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import libvirt
import pytest

from cfgdrive_virt import ConfigDriveRequest, InjectedFile
from cfgdrive_virt.adapters.libvirt import LibvirtMedium
from cfgdrive_virt.exception import MigrationRefused
from cfgdrive_virt.model.drive import FileLocation
from cfgdrive_virt.model.migration import MigratingDrive

from ..ceph.cluster import Cluster
from .guests import Console, Probe, moving, probe_domain_xml
from .hosts import NO_CUTS, Cuts, Host, Wire, all_configured, checked
from .test_rbd import SECRET_UUID, SECRET_XML
from .test_spawn import files_by_7z


@dataclass(frozen=True, slots=True)
class Guest:
    """A running guest, and what its drive was when it was built.

    :param checksums: of the files on the drive, as another reader has them
    """

    uuid: str
    console: Console
    hosts: tuple[Host, Host]
    drive: bytes
    checksums: dict[str, str]

    @property
    def source(self) -> Host:
        """The host that it runs on."""
        (at,) = (host for host in self.hosts if host.runs(self.uuid))
        return at

    @property
    def target(self) -> Host:
        """The host that it doesn't run on."""
        (at,) = (host for host in self.hosts if not host.runs(self.uuid))
        return at

    @property
    def path(self) -> pathlib.Path:
        """Where its drive is, on whichever host."""
        return self.hosts[0].instances / self.uuid / "disk.config"

    @property
    def files(self) -> dict[str, tuple[int, bytes]]:
        """All that its host has to have below instances_path."""
        return {f"{self.uuid}/disk.config": (0o600, self.drive)}

    def put_at_target(self, data: bytes) -> None:
        """Have a file where the drive is going to be."""
        path = self.target.seen(self.path)
        path.parent.mkdir()
        path.write_bytes(data)

    def remove_at_target(self) -> None:
        """Remove what :meth:`put_at_target` has put there."""
        path = self.target.seen(self.path)
        path.unlink()
        path.parent.rmdir()

    @contextlib.contextmanager
    def drive_out(self) -> Iterator[None]:
        """Have the drive ejected or detached for a while."""
        domain = self.source.connection.lookupByUUIDString(self.uuid)
        location = FileLocation(self.uuid, self.path)
        medium = LibvirtMedium(domain, location, None)
        medium.take()
        try:
            yield
        finally:
            medium.give()
        begun = self.console.text().count("PROBE begin ")
        for n in range(begun + 1, begun + 50):
            said = self.console.wait_for(
                rf"^PROBE begin {n} [\s\S]*?^PROBE end {n} ", 60
            )[0]
            if "PROBE nomount " not in said:
                return
        pytest.fail(f"the guest hasn't found {self.path} again")

    def still_reads_every_file(self) -> None:
        """See a round that began just now, and no second boot."""
        begun = self.console.text().count("PROBE begin ")
        assert self.console.probe_round(begun + 1) == self.checksums
        assert self.console.text().count("PROBE begin 1 ") == 1

    def is_only_at(self, here: Host, there: Host) -> None:
        """See that it runs here, with its drive, and isn't there at all."""
        assert here.runs(self.uuid)
        assert not there.runs(self.uuid)
        assert here.files() == self.files
        assert there.files() == {}
        for host in self.hosts:
            locks = host.seen(host.instances / "locks")
            assert list(locks.glob(f"{self.uuid}*")) == []
        self.still_reads_every_file()


@contextlib.contextmanager
def booted(
    hosts: tuple[Host, Host],
    machine: str,
    probe: Probe,
    directory: pathlib.Path,
    read: Callable[[str], bytes] | None = None,
) -> Iterator[Guest]:
    """A guest that starts on the first host, and ends on either.

    :param read: gives a drive's bytes, by the place that spawning told
    """
    # Several times what libvirt gives at once, and no block like another.
    content = random.Random(0).randbytes(300_000)
    request = ConfigDriveRequest(
        uuid=str(uuids.uuid4()),
        name="guest",
        hostname="guest",
        config_drive=True,
        user_data=b"#!/bin/sh\nexit 0\n",
        injected_files=(InjectedFile(path="/etc/x", content=content),),
    )
    # A directory of its own, for there may be several.
    directory = directory / request.uuid
    directory.mkdir()
    console = Console(directory / "serial.log")
    options = "probe.interval=0.05"
    xml = probe_domain_xml(
        request.uuid, request.uuid, machine, probe, console.log, options
    )
    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.callback(host.call, "destroy", request.uuid)
        # Who looks for the drive must not find the guest on another host.
        for host in hosts:
            stack.callback(host.stop, request.uuid)
        place = hosts[0].call("spawn", request, xml)
        seen = hosts[0].seen(pathlib.Path(place))
        drive = read(place) if read else seen.read_bytes()
        copy = directory / "drive"
        copy.write_bytes(drive)
        checksums = {
            path: hashlib.sha256(data).hexdigest()
            for path, data in files_by_7z(copy, directory / "files").items()
        }
        assert "openstack/latest/user_data" in checksums
        assert console.probe_round(1) == checksums
        yield Guest(request.uuid, console, hosts, drive, checksums)


def in_ceph(ceph: Cluster) -> str:
    """The options of a host that keeps its drives there."""
    return f"""
images_type = rbd
images_rbd_pool = {ceph.pool}
images_rbd_ceph_conf = {ceph.conf}
rbd_user = {ceph.user}
rbd_secret_uuid = {SECRET_UUID}"""


@contextlib.contextmanager
def file_replaced(guest: Guest, data: bytes | None) -> Iterator[None]:
    """Have another file in the drive's place, or none, for a while."""
    path = guest.source.seen(guest.path)
    aside = path.with_name("aside")
    # QEMU keeps the file that it has open.
    path.rename(aside)
    try:
        if data is not None:
            path.write_bytes(data)
        before = guest.source.files()
        yield
        assert guest.source.files() == before
    finally:
        aside.replace(path)


def live_migrate(
    uuid: str,
    source: Host,
    target: Host,
    *,
    block_migration: bool = True,
    cuts: Cuts = NO_CUTS,
    flags: int = 0,
) -> MigratingDrive:
    """Do what nova's conductor and compute services do, hooks included."""
    drive = checked(uuid, source, target, block_migration=block_migration)
    socket_of_source = pathlib.Path(source.uri.partition("socket=")[2])
    fetch = source.directory.parent / "fetch"
    try:
        with Wire(fetch, socket_of_source, cuts.fetch):
            uri = f"qemu+unix:///system?socket={fetch}"
            target.call("pre_live_migration", uuid, drive, uri)
        if block_migration:
            flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
        _migrate(uuid, source, target, cuts, flags)
    except Exception:
        target.call("rollback_live_migration_at_destination", uuid, drive)
        raise
    source.call("post_live_migration", uuid, drive)
    target.call("post_live_migration_at_destination", uuid, drive)
    return drive


def _migrate(
    uuid: str, source: Host, target: Host, cuts: Cuts, flags: int
) -> None:
    memory, disk = (source.wires / name for name in ("memory", "disk"))
    parameters = {
        libvirt.VIR_MIGRATE_PARAM_URI: f"unix://{memory}",
        libvirt.VIR_MIGRATE_PARAM_DISKS_URI: f"unix://{disk}",
    }
    domain = source.connection.lookupByUUIDString(uuid)
    with (
        Wire(source.seen(memory), target.seen(memory), cuts.memory),
        Wire(source.seen(disk), target.seen(disk), cuts.disk),
        moving(domain, target.uri),
    ):
        try:
            domain.migrateToURI3(
                target.uri,
                parameters,
                flags
                | libvirt.VIR_MIGRATE_LIVE
                | libvirt.VIR_MIGRATE_PEER2PEER
                | libvirt.VIR_MIGRATE_PERSIST_DEST
                | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE,
            )
        finally:
            for wire in (memory, disk):
                target.seen(wire).unlink(missing_ok=True)


def _refuses_to_copy_over_itself(guest: Guest) -> None:
    """See that no block migration is taken for a shared, writable drive."""
    source, target = guest.source, guest.target
    if checked(guest.uuid, source, target, block_migration=False).readonly:
        assert checked(guest.uuid, source, target).shared
    else:
        with pytest.raises(MigrationRefused, match="over itself"):
            checked(guest.uuid, source, target)


@contextlib.contextmanager
def knowing_the_key(hosts: tuple[Host, Host], ceph: Cluster) -> Iterator[None]:
    """Have libvirt know the secret of Ceph's user, on both hosts."""
    key = base64.b64decode((ceph.directory / "secret").read_text())
    with contextlib.ExitStack() as stack:
        for host in hosts:
            secret = host.connection.secretDefineXML(SECRET_XML)
            stack.callback(secret.undefine)
            secret.setValue(key)
        yield


def moved_at_last(guest: Guest, flags: int = 0) -> Iterator[None]:
    """Move a guest whose drive both hosts have, the first time in vain."""
    one, other = guest.source, guest.target
    _refuses_to_copy_over_itself(guest)
    for cuts, there in ((Cuts(memory=8 << 20), one), (NO_CUTS, other)):
        with (
            contextlib.nullcontext()
            if there == other
            else pytest.raises(libvirt.libvirtError)
        ):
            live_migrate(
                guest.uuid,
                one,
                other,
                block_migration=False,
                cuts=cuts,
                flags=flags,
            )
        assert guest.source == there
        yield
        guest.still_reads_every_file()


@contextlib.contextmanager
def always_one(
    make: Callable[[], contextlib.AbstractContextManager[Guest]],
    failed: Callable[[], int],
) -> Iterator[Callable[[], Guest]]:
    """A guest to be had again and again; another one after a failure.

    :param failed: counts the failures
    """
    made: dict[int, Guest] = {}
    with contextlib.ExitStack() as stack:

        def guest() -> Guest:
            if failed() not in made:
                stack.close()
                made[failed()] = stack.enter_context(make())
            return made[failed()]

        yield guest


#: What there is at a destination, of a drive.
DESTINATIONS: dict[str, Callable[[bytes], bytes | None]] = {
    "nothing": lambda _: None,
    "a stale file": lambda _: b"of another instance" * 500,
    "zeros of the same size": lambda drive: bytes(len(drive)),
    "the same file": lambda drive: drive,
}

Meanwhile = Callable[[Guest], contextlib.AbstractContextManager[object]]


def _elsewhere(guest: Guest) -> contextlib.AbstractContextManager[object]:
    elsewhere = guest.target.directory / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return guest.target.configured(instances_path=elsewhere)


def _said_shared(guest: Guest) -> contextlib.AbstractContextManager[object]:
    said = "[cfgdrive_virt]\ninstances_path_shared = yes"
    return all_configured(guest.hosts, said)


#: What a migration is refused for, and what the refusal says.
REFUSED: dict[str, tuple[Meanwhile, str]] = {
    "the source has no drive": (
        lambda guest: file_replaced(guest, None),
        "is missing",
    ),
    "the guest has lost its drive": (Guest.drive_out, "its drive, "),
    "instances_path is another one": (_elsewhere, "instances_path"),
    "storage is said to be shared and isn't": (
        _said_shared,
        "instances_path_shared",
    ),
}
