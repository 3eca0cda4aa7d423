"""Compute hosts on this machine, and the wires between them.

Each of two has a libvirtd and a process of the compute service, in a mount
namespace of their own.  There the same two paths are different directories
on each: instances_path, and WIRES, where sockets stand for addresses that
one host listens on and others connect to.  What goes over such a wire passes
through the test, which may cut it.
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import libvirt

from cfgdrive_virt.adapters.libvirt import connected
from cfgdrive_virt.model.migration import MigratingDrive

from .guests import private_libvirtd, run

#: Seconds within which a host's process has to answer.
_PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Host:
    """A compute host; paths are those that its own processes use.

    :param directory: of its own, at the same path for everybody
    :param pid: one of its processes
    """

    uri: str
    connection: libvirt.virConnect
    directory: pathlib.Path
    pid: int
    channel: Connection

    @property
    def instances(self) -> pathlib.Path:
        return self.directory.parent / "instances"

    @property
    def wires(self) -> pathlib.Path:
        return self.directory.parent / "wires"

    def seen(self, path: pathlib.Path) -> pathlib.Path:
        """The path under which others see what this host has there."""
        return pathlib.Path(f"/proc/{self.pid}/root{path}")

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Modes and bytes of all files below instances_path.

        Empty directories are there too, and locks aren't, for they stay.
        """
        top = self.seen(self.instances)
        found: dict[str, tuple[int, bytes]] = {}
        for path in top.rglob("*"):
            name = str(path.relative_to(top))
            mode = path.stat().st_mode & 0o777
            if name.partition("/")[0] == "locks":
                continue
            if path.is_file():
                found[name] = mode, path.read_bytes()
            elif not any(path.iterdir()):
                found[f"{name}/"] = mode, b""
        return found

    @contextlib.contextmanager
    def configured(
        self, libvirt_options: str = "", **options: object
    ) -> Iterator[None]:
        """Have a nova.conf with other options for a while."""
        options = {"instances_path": self.instances} | options
        lines = [f"{name} = {value}" for name, value in options.items()]
        path = self.directory / "nova.conf"
        before = path.read_text() if path.exists() else None
        path.write_text(
            "\n".join(["[DEFAULT]", *lines, "[libvirt]", "virt_type = qemu"])
            + f"\n{libvirt_options}\n"
        )
        try:
            yield
        finally:
            if before is not None:
                path.write_text(before)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """What the compute service's method returns there, or raises."""
        self.channel.send((method, arguments, options))
        assert self.channel.poll(_PATIENCE), f"{method} takes too long"
        went_well, result = self.channel.recv()
        if not went_well:
            raise result
        return result

    def mount(self, *arguments: str | pathlib.Path) -> None:
        run(*_among_mounts_of(self.pid), "mount", *arguments)

    @contextlib.contextmanager
    def mounted(self, *arguments: str | pathlib.Path) -> Iterator[None]:
        """Have something else as instances_path for a while."""
        self.mount(*arguments, self.instances)
        try:
            yield
        finally:
            run(*_among_mounts_of(self.pid), "umount", self.instances)

    def runs(self, uuid: str) -> bool:
        """Tell whether a domain runs here; there is none that doesn't."""
        states = {
            domain.UUIDString(): domain.state()[0]
            for domain in self.connection.listAllDomains()
        }
        assert states.get(uuid) in (None, libvirt.VIR_DOMAIN_RUNNING)
        return uuid in states

    def stop(self, uuid: str) -> None:
        """End a domain, if it runs here."""
        if self.runs(uuid):
            self.connection.lookupByUUIDString(uuid).destroy()


def _among_mounts_of(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--mount=/proc/{pid}/ns/mnt", "--")


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that share no storage."""
    # pytest's own temporary directories are too long for sockets
    top = pathlib.Path(tempfile.mkdtemp(prefix="cfgd-", dir="/tmp"))
    try:
        (top / "instances").mkdir()
        (top / "wires").mkdir()
        with (
            _host(top / "a", "49300-49339") as one,
            _host(top / "b", "49340-49379") as other,
        ):
            yield one, other
    finally:
        shutil.rmtree(top)


@contextlib.contextmanager
def _host(directory: pathlib.Path, ports: str) -> Iterator[Host]:
    with contextlib.ExitStack() as stack:
        uri = stack.enter_context(private_libvirtd(ports))
        pid = pid_of(uri)
        connection = stack.enter_context(connected(uri))
        channel = stack.enter_context(service_process(directory, uri, pid))
        host = Host(uri, connection, directory, pid, channel)
        for place in (host.instances, host.wires):
            own = directory / place.name
            own.mkdir()
            host.mount("--bind", own, place)
        yield host


def pid_of(uri: str) -> int:
    directory = pathlib.Path(uri.partition("socket=")[2]).parents[1]
    return int((directory / "libvirtd.pid").read_text())


@contextlib.contextmanager
def service_process(
    directory: pathlib.Path, uri: str, pid: int, user: int = 0
) -> Iterator[Connection]:
    directory.mkdir()
    ours, theirs = socket.socketpair()
    program = pathlib.Path(__file__).with_name("host_process.py")
    process = subprocess.Popen(
        [
            *_among_mounts_of(pid),
            *(sys.executable, program, str(theirs.fileno())),
            *(directory / "nova.conf", uri, str(user)),
        ],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    try:
        with Connection(ours.detach()) as channel:
            yield channel
        process.wait(_PATIENCE)
    finally:
        process.kill()
        process.wait()


class Wire:
    """A unix socket whose connections go on to another one.

    :param cut_after: so many bytes, both ways together, may pass through,
        and then nothing does any more; fewer are an error of the test
    """

    def __init__(
        self, end: pathlib.Path, to: pathlib.Path, cut_after: int | None
    ) -> None:
        self.passed = 0
        self.is_cut = False
        self._end = end
        self._to = to
        self._cut_after = cut_after
        self._open = True
        self._lock = threading.Lock()
        self._sockets = [socket.socket(socket.AF_UNIX)]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> None:
        self._sockets[0].bind(str(self._end))
        self._sockets[0].listen()
        self._start(self._accept)

    def __exit__(self, *_: object) -> None:
        self._shut()
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()
        self._end.unlink()
        assert self.is_cut == (self._cut_after is not None), self.passed

    def _start(self, target: Any, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _shut(self) -> None:
        with self._lock:
            self._open = False
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._sockets[0].accept()
                with self._lock:
                    far = socket.socket(socket.AF_UNIX)
                    self._sockets += [near, far]
                    if not self._open:
                        return
                    far.connect(str(self._to))
                    self._start(self._pass_on, near, far)
                    self._start(self._pass_on, far, near)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                self.passed += len(data)
                if self._cut_after is not None:
                    self.is_cut |= self.passed > self._cut_after
                if self.is_cut:
                    self._shut()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@dataclass(frozen=True, slots=True)
class Cuts:
    """After how many bytes which wire is cut; None: never."""

    fetch: int | None = None
    memory: int | None = None
    disk: int | None = None


NO_CUTS = Cuts()


@contextlib.contextmanager
def all_configured(
    hosts: tuple[Host, Host], *libvirt_options: str, **options: str
) -> Iterator[None]:
    """Have the same nova.conf everywhere for a while."""
    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.enter_context(host.configured(*libvirt_options, **options))
        yield


def checked(
    uuid: str, source: Host, target: Host, *, block_migration: bool = True
) -> MigratingDrive:
    """Have both hosts look before anything is done."""
    xml = source.connection.lookupByUUIDString(uuid).XMLDesc()
    check = target.call("check_can_live_migrate_destination", uuid)
    try:
        drive = source.call(
            "check_can_live_migrate_source",
            uuid,
            check,
            xml,
            block_migration=block_migration,
        )
    finally:
        target.call("cleanup_live_migration_destination_check", uuid, check)
    assert isinstance(drive, MigratingDrive)
    return drive
