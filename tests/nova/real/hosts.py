"""Compute hosts on this machine: a libvirtd and mounts of its own for each.

The same paths are different directories on each host: `instances`, where
nova keeps its instances, and `libvirt`, by which it finds its libvirtd.
What is beside them is the same for all: `peers`, by which hosts find each
other, and `bin`, with an ssh and a scp that go from one's mounts to another's.
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import libvirt
import pytest
from threads import whereabouts

from tests.guest.guests import Console, private_libvirtd, run
from tests.guest.hosts import pid_of

_SOCKET = "libvirt-sock"

# As nova calls them.
_SSH = """\
#!/bin/sh -eu
# ssh -o BatchMode=yes HOST PROGRAM...
pid=$(cat {peers}/"$3".pid)
shift 3
exec nsenter --mount=/proc/"$pid"/ns/mnt -- "$@"
"""
_SCP = """\
#!/bin/sh -eu
# scp [-C] -r FILE HOST:FILE
[ "$1" != -C ] || shift
pid=$(cat {peers}/"${{3%%:*}}".pid)
exec nsenter --mount=/proc/"$pid"/ns/mnt -- \
    cp --sparse=always /dev/stdin "${{3#*:}}" <"$2"
"""


@dataclass(frozen=True, slots=True)
class Host:
    """A compute host.

    :param uri: of its libvirtd, by which it can be reached from anywhere
    :param pid: one of its processes
    """

    name: str
    uri: str
    pid: int
    top: pathlib.Path

    @property
    def mounts(self) -> str:
        return f"/proc/{self.pid}/ns/mnt"

    @property
    def instances(self) -> pathlib.Path:
        """This host's instances_path, as others see it."""
        return self.top / self.name / "instances"

    def directory(self, uuid: str) -> pathlib.Path:
        return self.instances / uuid

    def console(self, uuid: str) -> Console:
        return Console(self.directory(uuid) / "console.log")

    def files(self, uuid: str) -> set[str]:
        """Names of all files and directories that are an instance's."""
        names = (
            str(path.relative_to(self.instances))
            for path in self.instances.rglob("*")
        )
        return {name for name in names if uuid in name}

    def domains(self) -> dict[str, str]:
        """XML by UUID, of all domains."""
        with contextlib.closing(libvirt.open(self.uri)) as connection:
            return {
                domain.UUIDString(): domain.XMLDesc()
                for domain in connection.listAllDomains()
            }

    def wait_until_it_leaves(self, uuid: str) -> None:
        """See a domain be copied to another host."""
        with contextlib.closing(libvirt.open(self.uri)) as connection:
            domain = connection.lookupByUUIDString(uuid)
            for _ in range(600):
                if domain.jobStats().get("data_processed"):
                    return
                time.sleep(0.1)
        pytest.fail(f"{uuid} doesn't leave {self.name}")

    def clear(self) -> None:
        """Leave no domain and no file, whatever has gone wrong before."""
        with contextlib.closing(libvirt.open(self.uri)) as connection:
            for domain in connection.listAllDomains():
                if domain.isActive():
                    domain.destroy()
                domain.undefine()
        for path in self.instances.iterdir():
            shutil.rmtree(path)


@dataclass(frozen=True, slots=True)
class Hosts:
    """All of them, and what they have in common."""

    top: pathlib.Path
    all: tuple[Host, ...]

    @property
    def instances_path(self) -> pathlib.Path:
        return self.top / "instances"

    @property
    def peers(self) -> pathlib.Path:
        return self.top / "peers"

    @property
    def programs(self) -> pathlib.Path:
        return self.top / "bin"

    @property
    def connection_uri(self) -> str:
        socket = self.top / "libvirt" / _SOCKET
        return f"qemu+unix:///system?socket={socket}"

    @property
    def live_migration_uri(self) -> str:
        """As nova's option of this name: %s is a host."""
        return f"qemu+unix:///system?socket={self.peers}/%s"

    def here(self) -> Host | None:
        """Return the host that the calling thread is on, if it is on any."""
        for host in self.all:
            if pathlib.Path(host.mounts).stat().st_ino == whereabouts():
                return host
        return None


@contextlib.contextmanager
def hosts(*names: str) -> Iterator[Hosts]:
    """Have hosts that share no storage."""
    # pytest's own temporary directories are too long for sockets
    top = pathlib.Path(tempfile.mkdtemp(prefix="cfgd-", dir="/tmp"))
    try:
        for place in ("instances", "libvirt", "peers", "bin"):
            (top / place).mkdir()
        for name, script in (("ssh", _SSH), ("scp", _SCP)):
            program = top / "bin" / name
            program.write_text(script.format(peers=top / "peers"))
            program.chmod(0o700)
        with contextlib.ExitStack() as stack:
            made = tuple(
                stack.enter_context(_host(top, name, f"{port}-{port + 29}"))
                for name, port in zip(
                    names, range(49300, 50000, 30), strict=False
                )
            )
            # libvirt asks QEMU for some seconds what it can do, once.
            with ThreadPoolExecutor() as at_once:
                list(at_once.map(_get_ready, made))
            yield Hosts(top, made)
    finally:
        shutil.rmtree(top)


@contextlib.contextmanager
def _host(top: pathlib.Path, name: str, ports: str) -> Iterator[Host]:
    with private_libvirtd(ports) as uri:
        host = Host(name, uri, pid_of(uri), top)
        socket = pathlib.Path(uri.partition("socket=")[2])
        (top / "peers" / name).symlink_to(socket)
        (top / "peers" / f"{name}.pid").write_text(str(host.pid))
        for place in ("instances", "libvirt"):
            own = top / name / place
            own.mkdir(parents=True)
            run(
                *("nsenter", f"--mount={host.mounts}", "--"),
                *("mount", "--bind", own, top / place),
            )
        (top / name / "libvirt" / _SOCKET).symlink_to(socket)
        yield host


def _get_ready(host: Host) -> None:
    with contextlib.closing(libvirt.open(host.uri)) as connection:
        connection.getCapabilities()
