"""Run blocking calls in native threads, if nova-compute runs on eventlet.

nova-compute does so up to release 33 by default.
"""

from __future__ import annotations

import functools
import sys
from typing import Any


def is_green() -> bool:
    """Tell whether this nova-compute runs on eventlet.

    Do not import eventlet to find out: nova 34 refuses that if it runs on
    threads.
    """
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def threaded(of: Any) -> Any:
    """Return an object whose methods don't block green threads."""
    return InTurns(of) if is_green() else of


class InTurns:
    """An object whose methods run in a native thread, one at a time.

    A slow disk or a slow Ceph cluster would otherwise block all green
    threads, including nova's heartbeat.  Only one method runs at a time, as
    eventlet's locks don't work between native threads; so no method may wait
    for one of nova's own locks.
    """

    def __init__(self, of: Any) -> None:
        # Imported only here: see is_green.
        from eventlet import semaphore, tpool  # noqa: PLC0415

        self._of = of
        self._turn = semaphore.Semaphore(1)
        self._execute = tpool.execute

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        return (
            functools.partial(self._call, found) if callable(found) else found
        )

    def _call(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        with self._turn:
            return self._execute(method, *args, **kwargs)
