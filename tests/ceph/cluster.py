"""A real Ceph, made by contrib/ceph/miniceph, and how to do harm to it.

Two clients: the compute service's, which may do what ``profile rbd`` allows
in one pool, and the administrator's own programs, which look at the result.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import rados

from cfgdrive_virt.store.ceph.store import RbdStore

_PROGRAM = Path(__file__).parents[2] / "contrib" / "ceph" / "miniceph"

#: What every pool holds, empty or not.
POOL = {"rbd_directory", "rbd_info", "rbd_trash", "rbd_children"}

#: Enough objects for one to be in each of the eight placement groups.
_PROBES = [f"probe.{number}" for number in range(40)]
_RESTARTS = 3

#: More than the OSD remembers of: 64 in each of eight placement groups.
_OTHERS = [f"other.{number}" for number in range(1000)]

#: Seconds in tests that wait for a time-out.
SHORT = 2
#: Seconds for a killed process to seem to have a volume open, and some more.
PATIENCE = 5


def run(*arguments: object, env: Mapping[str, str] | None = None) -> str:
    """Return what a program prints."""
    done = subprocess.run(
        list(map(str, arguments)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | env if env else None,
    )
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


@dataclasses.dataclass(frozen=True)
class Cluster:
    directory: Path
    pool: str = "compute"
    user: str = "compute"

    @property
    def conf(self) -> Path:
        """The configuration of a compute host."""
        return self.directory / "client.conf"

    def daemon(self, verb: str, *daemon: str) -> None:
        """Do something to a daemon: "mon", "osd", "mgr"."""
        run(_PROGRAM, verb, self.directory, *daemon)

    @contextlib.contextmanager
    def without(self, daemon: str, harm: str = "pause") -> Iterator[None]:
        """Have no such daemon for a while."""
        self.daemon(harm, daemon)
        try:
            yield
        finally:
            self.daemon("continue" if harm == "pause" else "start", daemon)
            self.wait()

    def wait(self) -> None:
        """Wait until the cluster answers again, in all of the pool.

        An OSD that was paused may take it up again in some placement groups
        only, for good: seen once in some hundred times.
        """
        for _ in range(_RESTARTS):
            if self._answers():
                return
            self.daemon("kill", "osd")
            self.daemon("start", "osd")
        pytest.fail(f"the OSD doesn't recover; see {self.directory}/log")

    def _answers(self) -> bool:
        options = {"rados_osd_op_timeout": "15", "client_mount_timeout": "15"}
        conf = str(self.directory / "ceph.conf")
        with (
            rados.Rados(conffile=conf, conf=options) as client,
            client.open_ioctx(self.pool) as ioctx,
        ):
            try:
                for name in _PROBES:
                    ioctx.write_full(name, b"")
                    ioctx.remove_object(name)
            except rados.TimedOut:
                return False
        return True

    def store(self, **options: Any) -> RbdStore:
        """Return a store as the compute service has it."""
        usual: dict[str, Any] = {
            "pool": self.pool,
            "user": self.user,
            "ceph_conf": str(self.conf),
            "connect_timeout": 10,
            "operation_timeout": 10,
        }
        return RbdStore(**usual | options)

    def impatient(self) -> RbdStore:
        """Return a store that waits a second for anything."""
        return self.store(connect_timeout=SHORT, operation_timeout=SHORT)

    def admin(self, program: str, *arguments: object) -> str:
        """Return what one of Ceph's programs tells the administrator."""
        conf = self.directory / "ceph.conf"
        return run(program, "-c", conf, *arguments)

    def rbd(self, *arguments: object) -> str:
        return self.admin("rbd", *arguments)

    def ceph(self, *arguments: object) -> str:
        return self.admin("ceph", *arguments)

    def ask(self, *arguments: object) -> Any:
        return json.loads(self.ceph(*arguments, "--format", "json"))

    def volumes(self) -> list[str]:
        return sorted(self.rbd("ls", self.pool).split())

    def objects(self) -> set[str]:
        """Return the objects of the pool that make volumes."""
        return {*self.admin("rados", "-p", self.pool, "ls").split()} - POOL

    def empty(self) -> None:
        """Remove all that the pool holds."""
        sure = "--yes-i-really-really-mean-it"
        self.admin("rados", "purge", self.pool, sure)

    def watchers(self, volume: str) -> list[dict[str, Any]]:
        told = self.rbd("status", f"{self.pool}/{volume}", "--format", "json")
        return list(json.loads(told)["watchers"])

    def patiently(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so that killed processes may delay."""
        with contextlib.suppress(AssertionError):
            eventually(condition, PATIENCE)
            return
        self.let_go()
        eventually(condition)

    def let_go(self) -> None:
        """Have the OSD look anew at who has volumes open.

        Of a client that was killed before its watch was answered the OSD
        keeps a record, and sets no clock: not before it has forgotten the
        object, for others, and reads it again.
        """
        conf = str(self.directory / "ceph.conf")
        with (
            rados.Rados(conffile=conf) as client,
            client.open_ioctx(self.pool) as ioctx,
        ):
            written = [ioctx.aio_write_full(name, b"") for name in _OTHERS]
            for completion in written:
                completion.wait_for_complete()
            removed = [ioctx.aio_remove(name) for name in _OTHERS]
            for completion in removed:
                completion.wait_for_complete()

    def identifier(self, volume: str) -> str:
        """Return what tells an image from others of its name."""
        told = self.rbd("info", f"{self.pool}/{volume}", "--format", "json")
        return str(json.loads(told)["id"])

    def clients(self) -> set[str]:
        """Return the addresses of the compute service's connections."""
        return {
            f"{address['addr']}/{address['nonce']}"
            for session in self.ask("tell", "mon.a", "sessions")
            if session["entity_name"] == f"client.{self.user}"
            for address in session["addrs"]["addrvec"]
        }

    def configuration(self, path: Path, **changed: str | None) -> str:
        """Return the path of a client's configuration, changed somewhat."""
        lines = [
            line
            for line in self.conf.read_text().splitlines()
            if line.partition(" = ")[0].replace(" ", "_") not in changed
        ]
        lines += [
            f"{option} = {value}"
            for option, value in changed.items()
            if value is not None
        ]
        path.write_text("\n".join(lines) + "\n")
        return str(path)


@contextlib.contextmanager
def cluster(**environment: str) -> Iterator[Cluster]:
    """Have a cluster for a while.  Its directory's name has to be short."""
    directory = Path(tempfile.mkdtemp(prefix="ceph."))
    try:
        run(_PROGRAM, "start", directory, env=environment)
        yield Cluster(directory)
    finally:
        run(_PROGRAM, "stop", directory)
        shutil.rmtree(directory)


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never was"
        time.sleep(0.2)
