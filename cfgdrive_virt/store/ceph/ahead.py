"""Calls that wait for a cluster are made by several threads, results in order.

Opening a volume takes several round trips, and much processor time in librbd,
which runs without Python's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

THREADS = 8


def call(
    act: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """Yield what a function returns for each item, in the items' order.

    It is called for the next items meanwhile: at most ``THREADS`` results are
    waiting.  An error ends the calls.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        calls: deque[Future[_Result]] = deque()
        try:
            for item in items:
                calls.append(threads.submit(act, item))
                if len(calls) == THREADS:
                    yield calls.popleft().result()
            while calls:
                yield calls.popleft().result()
        finally:
            for left in calls:
                left.cancel()
