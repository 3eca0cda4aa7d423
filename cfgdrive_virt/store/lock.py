"""Locks of an instance, for threads and processes alike.

Builders of one instance take turns: each holds its ``drive`` lock, a file in
``<instances_path>/locks``, while it looks and writes.  A service that works
on the instance's domain too holds ``domain`` around it.  There are 4,096 of
each, picked by the uuid's first three digits, so that they needn't be removed
when instances go (removing a lock that others wait for is a race).  On a
shared file system hosts take turns as well, so far as it has POSIX locks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from oslo_concurrency import lockutils

from cfgdrive_virt.store.file_system import give_to_owner
from cfgdrive_virt.store.os_error import explained

_LOCK_PREFIX = "cfgdrive-virt"

#: Between threads.  Of our own: a service that uses oslo's itself may be one
#: of green threads, which a native one must not wait for.
_SEMAPHORES = lockutils.Semaphores()


@contextlib.contextmanager
def locked(root: Path, uuid: str, what: str = "drive") -> Iterator[None]:
    """Hold one of an instance's locks.

    :param root: nova's ``instances_path``; it must exist
    :param what: the lock's name; nobody takes the same one twice
    :raises StoreError: if there is no place for locks
    """
    locks = root / "locks"
    name = f"{what}-{uuid[:3]}"
    with explained(f"instances_path {root} can't be used"):
        root.stat()
    with explained(f"can't lock a file in {locks}"):
        with contextlib.suppress(FileExistsError):
            locks.mkdir(mode=0o755)
            give_to_owner(locks, root)
        lock = lockutils.lock(
            name,
            lock_file_prefix=_LOCK_PREFIX,
            external=True,
            lock_path=str(locks),
            do_log=False,
            semaphores=_SEMAPHORES,
        )
        lock.__enter__()
    try:
        # By name: to open and close a file gives up all of a process' POSIX
        # locks on it, another thread's among them.
        with explained(f"can't lock a file in {locks}"):
            give_to_owner(locks / f"{_LOCK_PREFIX}-{name}", root)
        yield
    finally:
        lock.__exit__(None, None, None)
