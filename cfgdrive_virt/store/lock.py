"""Locks of an instance, between threads and between processes.

Only one thread at a time works on an instance's drive: it holds the
instance's ``drive`` lock, a file in ``<instances_path>/locks``, while it reads
and writes.  A service that also works on the instance's domain holds the
``domain`` lock around it.  There are 4,096 locks of each kind, selected by the
uuid's first three digits, so that they needn't be removed with their instances
(removing a lock that others wait for is a race).  On a shared file system with
POSIX locks, they also exclude other hosts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from oslo_concurrency import lockutils

from cfgdrive_virt.store.file_system import give_to_owner
from cfgdrive_virt.store.os_error import explained

_LOCK_PREFIX = "cfgdrive-virt"

#: Between threads.  Not oslo's own: a service with green threads may use
#: those, and a native thread must not wait for a green one.
_SEMAPHORES = lockutils.Semaphores()


@contextlib.contextmanager
def locked(root: Path, uuid: str, what: str = "drive") -> Iterator[None]:
    """Hold one of an instance's locks.

    :param root: nova's ``instances_path``; it must exist
    :param what: the lock's kind; the locks are not reentrant
    :raises StoreError: if the lock file can't be created or locked
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
        # By name: closing a file drops all POSIX locks that the process has
        # on it, including this one.
        with explained(f"can't lock a file in {locks}"):
            give_to_owner(locks / f"{_LOCK_PREFIX}-{name}", root)
        yield
    finally:
        lock.__exit__(None, None, None)
