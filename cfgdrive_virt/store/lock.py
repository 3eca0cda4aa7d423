"""Locks of an instance, between threads and between processes.

Only one thread at a time works on an instance's drive: it holds the
instance's ``drive`` lock while it reads and writes.  A service that also works
on the instance's domain holds the ``domain`` lock around it.

Threads wait for each other at a semaphore, and processes at one byte of the
file ``<instances_path>/locks/cfgdrive-virt``, which the UUID selects.  So the
file is the only one, is there before a disk runs full, and needn't be removed
with an instance (removing a lock that others wait for is a race).  The locks
are those of an open file description (fcntl(2)): no other file that the
process closes gives them up.  On a shared file system with POSIX locks, they
also exclude other hosts.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from oslo_concurrency import lockutils

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.directory import Directory, close
from cfgdrive_virt.store.os_error import explained

LOG = logging.getLogger(__name__)

#: Below ``instances_path``; nova has its own locks there.
DIRECTORY = "locks"
_FILE = "cfgdrive-virt"
_KINDS = ("drive", "domain")
#: Digits of the UUID that select a lock: offsets of 32 bits work on all file
#: systems.
_DIGITS = 7

#: struct flock: type, whence, start, length, pid.
_RECORD = "hhqqi4x"

#: Seconds between two attempts, and until a caller that waits says so.
_FIRST_PAUSE, _LONGEST_PAUSE, _SILENCE = 0.001, 0.05, 10


class _Held:
    """The locks of this process; a forked child has none of them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        # Not oslo's own: a service with green threads may use those, and a
        # native thread must not wait for a green one.
        self.semaphores = lockutils.Semaphores()
        self.handles: set[int] = set()

    def leave_to_parent(self) -> None:
        """Close the copies of the parent's files, which doesn't unlock."""
        for handle in self.handles:
            close(handle)
        # The threads that would release them don't exist here.
        self.forget()


_HELD = _Held()
os.register_at_fork(after_in_child=_HELD.leave_to_parent)


@contextlib.contextmanager
def locked(
    root: Path, uuid: str, what: str = "drive", *, timeout: float
) -> Iterator[None]:
    """Hold one of an instance's locks.

    :param root: nova's ``instances_path``; it must exist
    :param what: the lock's kind, ``drive`` or ``domain``; the locks are not
        reentrant
    :param timeout: seconds to wait for it
    :raises StoreError: if the lock file can't be opened or locked, or the
        lock isn't free in time
    """
    path = root / DIRECTORY / _FILE
    name = f"the {what} lock of instance {uuid}"
    end = time.monotonic() + timeout
    semaphore = _HELD.semaphores.get(f"{what}-{uuid[:_DIGITS]}")
    holder = "another thread of this process has it"
    _wait(lambda pause: semaphore.acquire(timeout=pause), name, holder, end)
    try:
        handle = _opened(root)
        _HELD.handles.add(handle)
        try:
            holder = f"to find the process that has it: fuser {path}"
            place = _KINDS.index(what) << 4 * _DIGITS | int(uuid[:_DIGITS], 16)
            with explained(f"can't lock {path}"):
                _wait(
                    lambda pause: _lock(handle, place, pause),
                    name,
                    holder,
                    end,
                )
            yield
        finally:
            _release(handle)
    finally:
        semaphore.release()


def record(kind: int, start: int = 0, length: int = 0) -> bytes:
    """Return what fcntl(2) wants to know of a lock (struct flock).

    :param kind: such as ``fcntl.F_WRLCK``
    :param start: the first byte
    :param length: in bytes; 0: to the end of the file
    """
    return struct.pack(_RECORD, kind, os.SEEK_SET, start, length, 0)


def kind_and_holder(answer: bytes) -> tuple[int, int]:
    """Return the kind and the process of fcntl's answer."""
    kind, _, _, _, pid = struct.unpack(_RECORD, answer)
    return kind, pid


def _wait(
    attempt: Callable[[float], bool], name: str, holder: str, end: float
) -> None:
    """Repeat an attempt, which takes the seconds that it may wait."""
    pause, started, silent = _FIRST_PAUSE, time.monotonic(), True
    while not attempt(pause):
        now = time.monotonic()
        if now >= end:
            raise StoreError(
                f"{name} was not free within [cfgdrive_virt] lock_timeout;"
                f" {holder}"
            )
        if silent and now >= started + _SILENCE:
            silent = False
            LOG.warning("Waiting for %s; %s", name, holder)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _opened(root: Path) -> int:
    """Return the lock file's descriptor; make the file if it is missing."""
    with explained(f"instances_path {root} can't be used"):
        top = Directory.of(root)
    path = root / DIRECTORY / _FILE
    # Other users may not read it: a shared lock would keep us waiting.
    with (
        top,
        explained(f"can't open {path}"),
        top.made(DIRECTORY, 0o700) as directory,
    ):
        # nova makes it for everybody to read, and locks are only its own.
        if _owner(directory.handle) == _owner(top.handle):
            _keep_private(directory.handle, 0o700)
        try:
            new = os.O_RDWR | os.O_CREAT | os.O_EXCL
            handle, made = directory.open(_FILE, new, 0o600), True
        except FileExistsError:
            handle, made = directory.open(_FILE, os.O_RDWR), False
        try:
            if made:
                top.give(handle)
            _check(handle, top, path)
        except BaseException:
            close(handle)
            raise
        return handle


def _check(handle: int, root: Directory, path: Path) -> None:
    """Make sure that the lock file is this user's or the service's alone.

    An existing file is not given to the service: its user may have moved
    another one here.

    :raises StoreError: if it may be another file, to which somebody has put a
        link here
    """
    status = os.fstat(handle)
    owner = _owner(root.handle)
    if status.st_nlink != 1 or status.st_uid not in (owner, os.geteuid()):
        raise StoreError(
            f"{path} has {status.st_nlink} names and owner {status.st_uid},"
            f" not one name and owner {owner}; check what it is, and remove it"
        )
    _keep_private(handle, 0o600)


def _owner(handle: int) -> int:
    return os.fstat(handle).st_uid


def _keep_private(handle: int, mode: int) -> None:
    """Take away what others may do with a file or directory."""
    if os.fstat(handle).st_mode & 0o777 != mode:
        with contextlib.suppress(PermissionError):
            os.fchmod(handle, mode)


def _lock(handle: int, place: int, pause: float) -> bool:
    """Try to lock one byte; wait after a failure."""
    asked = record(fcntl.F_WRLCK, place, 1)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, asked)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        time.sleep(pause)
        return False
    return True


def _release(handle: int) -> None:
    # A child that was forked meanwhile has closed its copy, and may have the
    # number in use for another file.
    if handle not in _HELD.handles:
        return
    _HELD.handles.discard(handle)
    # A child's copy must not keep the lock.
    with contextlib.suppress(OSError):
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, record(fcntl.F_UNLCK))
    close(handle)
