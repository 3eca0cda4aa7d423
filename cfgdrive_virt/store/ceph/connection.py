"""One connection to each Ceph cluster, shared by all threads of the process.

It is opened when first needed, and reopened once it is broken: after a
timeout, or if the cluster has blocklisted this client.  A forked child never
uses its parent's connection, because it lacks the connection's threads.  The
connection is closed at exit.

librados ignores a timeout that is passed to ``connect``.  These options limit
each call: ``client_mount_timeout`` for connecting, ``rados_mon_op_timeout``
and ``rados_osd_op_timeout`` for the rest.  An operation that timed out may
still take effect later.  One call has no timeout: opening a pool that isn't in
the known map of the cluster waits for a monitor forever.  So the map is
checked first.

This module needs the bindings of librados and librbd, which may be missing:
other modules import it only when they need it.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import rados
import rbd

from cfgdrive_virt.exception import DriveInUse, StoreError

_T = TypeVar("_T")

#: The exceptions of both bindings; their OSErrors are not Python's.
ERRORS = (rados.Error, rbd.Error)

#: These close the connection; only a new one gets changed capabilities.
_BROKEN = (errno.ETIMEDOUT, errno.ESHUTDOWN, errno.EPERM, errno.EACCES)


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """The client and its cluster; timeouts are in seconds.

    :param user: without "client."; None: librados' default
    :param ceph_conf: a path; empty: librados' default places
    """

    user: str | None
    ceph_conf: str
    connect_timeout: int
    operation_timeout: int

    @property
    def client(self) -> str:
        """Return the user's name in Ceph."""
        return f"client.{self.user or 'admin'}"


class Refusal(Exception):
    """A request can't be carried out; the message says why."""


class InUse(Refusal):
    """A client has the volume open; try again later."""


class _Outdated(Exception):
    """The connection failed, and a new one may work."""


@dataclasses.dataclass(slots=True, eq=False)
class _Connection:
    client: rados.Rados
    users: int = 1


_lock = threading.Lock()
_kept: dict[Access, _Connection] = {}


def in_pool(
    access: Access, pool: str, lead: str, act: Callable[[rados.Ioctx], _T]
) -> _T:
    """Call a function with an open pool; see with_client."""

    def with_pool(client: rados.Rados) -> _T:
        if pool not in client.list_pools():
            raise _Outdated(
                f"there is no pool {pool}; create it, or correct [libvirt]"
                f" images_rbd_pool={pool}"
            )
        with client.open_ioctx(pool) as ioctx:
            return act(ioctx)

    return with_client(access, lead, with_pool, pool)


def with_client(
    access: Access, lead: str, act: Callable[[rados.Rados], _T], pool: str = ""
) -> _T:
    """Call a function with a connected client, and return its result.

    If the kept connection doesn't know the pool, or the cluster has
    blocklisted it, the function is called again with a new connection.

    :param lead: the failed action, for the error
    :param pool: the pool that the function uses, for the error
    :raises StoreError: if it fails
    """
    try:
        return _attempt(access, lead, act, pool)
    except _Outdated:
        _discard(access)
    try:
        return _attempt(access, lead, act, pool)
    except _Outdated as error:
        raise StoreError(f"{lead}: {error}") from error


def _attempt(
    access: Access, lead: str, act: Callable[[rados.Rados], _T], pool: str
) -> _T:
    try:
        with _connection(access, lead) as client:
            return act(client)
    except Refusal as error:
        kind = DriveInUse if isinstance(error, InUse) else StoreError
        raise kind(f"{lead}: {error}") from error
    except UnicodeDecodeError as error:
        raise StoreError(
            f"{lead}: pool {pool} has a volume whose name isn't UTF-8,"
            f" {error.object!a}; rename it"
        ) from error
    except ERRORS as error:
        reason = _reason(error, access, pool)
        if error.errno == errno.ESHUTDOWN:
            raise _Outdated(reason) from error
        raise StoreError(f"{lead}: {reason}") from error


def monitor_map(client: rados.Rados) -> bytes:
    """Return the cluster's monitor map, in JSON."""
    command = json.dumps({"prefix": "mon dump", "format": "json"})
    code, answer, status = client.mon_command(command, b"")
    if code:
        raise rados.OSError(status, errno=-code)
    return bytes(answer)


def is_broken(error: BaseException | None) -> bool:
    """Tell whether an error means that the connection is unusable."""
    return isinstance(error, ERRORS) and error.errno in _BROKEN


def _reason(error: rados.Error, access: Access, pool: str) -> str:
    timeout = access.operation_timeout
    reasons = {
        errno.ETIMEDOUT: "no answer within [cfgdrive_virt]"
        f" rbd_operation_timeout={timeout} seconds; the pool may be full or at"
        " its quota, or its OSDs down (ceph health detail).  A requested"
        " change may still take effect",
        errno.ESHUTDOWN: "the cluster has blocklisted this client; see ceph"
        " osd blocklist ls",
        errno.ENOSPC: f"pool {pool} is full; make room",
        errno.EDQUOT: f"pool {pool} is at its quota; raise it, or make room",
        errno.ENOENT: f"pool {pool} is gone, or has lost an object of this"
        " volume",
    }
    reasons[errno.EPERM] = reasons[errno.EACCES] = (
        f"permission denied to [libvirt] rbd_user={access.user};"
        f" {access.client} needs the capabilities mon 'profile rbd' and osd"
        f" 'profile rbd pool={pool}' (ceph auth caps)"
    )
    return reasons.get(error.errno) or str(error)


@contextlib.contextmanager
def _connection(access: Access, lead: str) -> Iterator[rados.Rados]:
    connection = _acquire(access, lead)
    try:
        yield connection.client
    except ERRORS as error:
        if is_broken(error):
            _discard(access, connection)
        raise
    finally:
        _release(connection)


def _acquire(access: Access, lead: str) -> _Connection:
    with _lock:
        if kept := _kept.get(access):
            kept.users += 1
            return kept
    # Outside the lock: other clusters' users must not wait for this one.
    new = _Connection(_connect(access, lead))
    with _lock:
        kept = _kept.setdefault(access, new)
        if kept is new:
            return new
        kept.users += 1
    new.client.shutdown()
    return kept


def _discard(access: Access, connection: _Connection | None = None) -> None:
    """Stop keeping a connection; its last user closes it."""
    with _lock:
        kept = _kept.get(access)
        if kept is None or connection not in (None, kept):
            return
        del _kept[access]
        unused = not kept.users
    if unused:
        kept.client.shutdown()


def _release(connection: _Connection) -> None:
    with _lock:
        connection.users -= 1
        done = not connection.users and connection not in _kept.values()
    if done:
        connection.client.shutdown()


def _connect(access: Access, lead: str) -> rados.Rados:
    client = rados.Rados(rados_id=access.user or "")
    try:
        _configure(client, access, lead)
        # librados makes a client's address from a random generator of the
        # thread.  A forked child inherits its state: in the same thread,
        # parent and child would get the same address, and the cluster would
        # confuse them.
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(client.connect).result()
    except rados.Error as error:
        reason = _why_not_connected(error, client, access)
        client.shutdown()
        raise StoreError(f"{lead}: {reason}") from error
    except BaseException:
        client.shutdown()
        raise
    return client


def _configure(client: rados.Rados, access: Access, lead: str) -> None:
    path = access.ceph_conf
    try:
        if path:
            with open(path, "rb"):
                pass
        client.conf_read_file(path or None)
    except OSError as error:
        raise StoreError(
            f"{lead}: [libvirt] images_rbd_ceph_conf={path} can't be read:"
            f" {error.strerror}"
        ) from error
    except rados.ObjectNotFound as error:
        raise StoreError(
            f"{lead}: librados finds no Ceph configuration in its default"
            " places ($CEPH_CONF, /etc/ceph/ceph.conf, ...); set [libvirt]"
            " images_rbd_ceph_conf"
        ) from error
    except rados.Error as error:
        raise StoreError(
            f"{lead}: [libvirt] images_rbd_ceph_conf={path} is not a valid"
            " Ceph configuration"
        ) from error
    operation = str(access.operation_timeout)
    for option, value in (
        ("client_mount_timeout", str(access.connect_timeout)),
        ("rados_mon_op_timeout", operation),
        ("rados_osd_op_timeout", operation),
        # With a cache, a successful flush proves nothing: if an OSD is lost
        # between a flush and close(), later writes are lost silently.
        ("rbd_cache", "false"),
        # Errors are raised instead.
        ("log_to_stderr", "false"),
        ("err_to_stderr", "false"),
    ):
        client.conf_set(option, value)


def _why_not_connected(
    error: rados.Error, client: rados.Rados, access: Access
) -> str:
    conf = access.ceph_conf or "the Ceph configuration"
    monitors = client.conf_get("mon_host")
    keyrings = client.conf_get("keyring") or ""
    user = f"[libvirt] rbd_user={access.user} ({access.client})"
    if error.errno == errno.ETIMEDOUT:
        return (
            f"no monitor of {monitors or conf} answered within [libvirt]"
            f" rbd_connect_timeout={access.connect_timeout} seconds; check"
            " that they are up, and reachable from this host"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"the monitors refuse {user}: they don't know this user, or have"
            f" another key than {keyrings}; compare with ceph auth get"
            f" {access.client}"
        )
    if not monitors:
        return (
            f"{conf} names no monitors; set mon_host there, or name another"
            " file in [libvirt] images_rbd_ceph_conf"
        )
    if not any(map(_readable, keyrings.split(","))):
        return (
            f"there is no readable keyring for {user}; searched for {keyrings}"
        )
    return f"can't connect to {monitors} as {user}: {error}"


def _readable(path: str) -> bool:
    return os.access(path.strip(), os.R_OK)


def _forget_all() -> None:
    """Drop the parent's connections in a forked child, without closing."""
    global _lock  # noqa: PLW0603 - another thread may hold the parent's
    _lock = threading.Lock()
    for connection in _kept.values():
        # Else the destructor would shut it down, with threads that are gone.
        connection.client.state = "shutdown"
    _kept.clear()


def _close_all() -> None:
    for connection in tuple(_kept.values()):
        if not connection.users:
            connection.client.shutdown()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
