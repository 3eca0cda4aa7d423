"""Compute hosts with storage of their own, in one process.

All hosts have the same ``[DEFAULT] instances_path``, as live migration wants
it; behind it each one has its own directory.  While a host does something,
that path is a symbolic link to its directory, and nova's options that differ
by host have its values.  Where nobody does, the link leads nowhere: what
touches a host's storage from outside fails.

It is a stack, since nova's fixtures make every cast a call and every thread a
function: a host that calls another one waits for it.  Two that work at the
same time are an error, and told.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nova.conf

CONF = nova.conf.CONF

_MISSING = object()


@dataclass(kw_only=True)
class Host:
    """A compute host.

    :param directory: what is behind its instances_path
    :param options: of its nova.conf, by name; ``group.name`` where they have
        a group
    """

    name: str
    address: str
    directory: Path
    options: dict[str, Any] = field(default_factory=dict)


class Hosts:
    """The hosts, and which one is at work.

    :param directory: for all that they have
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, Host] = {}
        self._at_work: list[tuple[Host, dict[str, Any]]] = []
        self._lock = threading.Lock()
        self.instances_path = directory / "instances"
        self.instances_path.symlink_to(directory / "nowhere")

    def __getitem__(self, name: str) -> Host:
        return self._known[name]

    def add(self, name: str, shared_with: str | None = None) -> Host:
        """Add a host.

        :param shared_with: the host whose storage is this one's too
        """
        number = len(self._known) + 1
        if shared_with:
            directory = self._known[shared_with].directory
        else:
            directory = self._directory / "storage" / name
            directory.mkdir(parents=True)
        made = Host(
            name=name, address=f"192.0.2.{number}", directory=directory
        )
        made.options |= {"host": name, "my_ip": made.address}
        self._known[name] = made
        return made

    def by_address(self, address: str) -> Host:
        """Return the host of an IP address or a name."""
        return next(
            host
            for host in self._known.values()
            if address in (host.name, host.address)
        )

    def there(self, host: Host, path: str | Path) -> Path:
        """Return where a path on a host really is."""
        return host.directory / Path(path).relative_to(self.instances_path)

    @contextlib.contextmanager
    def on(self, name: str) -> Iterator[Host]:
        """Have a host at work."""
        host = self._known[name]
        with self._lock:
            entry = (host, _override(host.options))
            self._at_work.append(entry)
            self._turn_to(host)
        try:
            yield host
        finally:
            with self._lock:
                left = self._at_work.pop()
                if left is not entry:
                    self._at_work.append(left)
                    self._at_work.remove(entry)
                    raise AssertionError(
                        f"{left[0].name} and {name} work at the same time"
                    )
                _restore(entry[1])
                self._turn_to(self._at_work[-1][0] if self._at_work else None)

    def serving(self, get_server: Callable[..., Any]) -> Callable[..., Any]:
        """Return nova.rpc.get_server, for endpoints that work on a host.

        Of every server of a compute host: nova's own, and a driver's.
        """

        @functools.wraps(get_server)
        def get(target: Any, *args: Any, **kwargs: Any) -> Any:
            server = get_server(target, *args, **kwargs)
            if target.server in self._known:
                dispatch = server.dispatcher.dispatch

                def dispatch_on_host(incoming: Any) -> Any:
                    with self.on(target.server):
                        return dispatch(incoming)

                server.dispatcher.dispatch = dispatch_on_host
            return server

        return get

    def locking(self, lock: Callable[..., Any]) -> Callable[..., Any]:
        """Return lockutils.internal_lock, for locks of one process each.

        Else a host would wait for one that waits for it.
        """

        @functools.wraps(lock)
        def lock_of_host(name: str, *args: Any, **kwargs: Any) -> Any:
            at_work = self._at_work[-1][0].name if self._at_work else ""
            return lock(f"{at_work}:{name}", *args, **kwargs)

        return lock_of_host

    def _turn_to(self, host: Host | None) -> None:
        directory = host.directory if host else self._directory / "nowhere"
        new = self._directory / "instances.new"
        new.symlink_to(directory)
        new.replace(self.instances_path)


class RemoteFiles:
    """What nova does on another host by ssh and scp, or by rsync.

    There is no sshd for each host here.  In the place of
    ``nova.virt.libvirt.volume.remotefs.SshDriver``.
    """

    hosts: Hosts

    def _there(self, host: str, path: str) -> Path:
        return self.hosts.there(self.hosts.by_address(host), path)

    def create_file(self, host: str, path: str, *_: Any, **__: Any) -> None:
        self._there(host, path).touch()

    def remove_file(self, host: str, path: str, *_: Any, **__: Any) -> None:
        self._there(host, path).unlink()

    def create_dir(self, host: str, path: str, *_: Any, **__: Any) -> None:
        self._there(host, path).mkdir(parents=True, exist_ok=True)

    def remove_dir(self, host: str, path: str, *_: Any, **__: Any) -> None:
        shutil.rmtree(self._there(host, path))

    def copy_file(self, src: str, dst: str, *_: Any, **__: Any) -> None:
        places = []
        for address in (src, dst):
            host, colon, path = address.rpartition(":")
            places.append(self._there(host, path) if colon else Path(path))
        shutil.copy(*places)


def _override(options: dict[str, Any]) -> dict[str, Any]:
    """Set options; return what they were overridden with before."""
    before = {}
    for name, value in options.items():
        group, _, option = name.rpartition(".")
        info = CONF._get_opt_info(option, group or None)
        before[name] = info.get("override", _MISSING)
        CONF.set_override(option, value, group or None)
    return before


def _restore(before: dict[str, Any]) -> None:
    for name, value in before.items():
        group, _, option = name.rpartition(".")
        if value is _MISSING:
            CONF.clear_override(option, group or None)
        else:
            CONF.set_override(option, value, group or None)
