"""What an input may cost, and how a run that costs more is stopped."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What an input may cost.

    :param seconds: of CPU, for at most 1 MiB; more in proportion for larger
    :param memory: bytes for an input of any size
    :param factor: bytes for each byte of an input
    :param text: characters of an error, or of one line of a list of problems
    """

    seconds: float = 2.0
    memory: int = 4 * _MIB
    factor: int = 8
    text: int = 4096

    def seconds_for(self, size: int) -> float:
        """Return the limit of CPU time for an input of a size."""
        return self.seconds * max(1.0, size / _MIB)

    def memory_for(self, size: int) -> int:
        """Return the limit of memory for an input of a size."""
        return self.memory + self.factor * size


class Hang(BaseException):
    """A run took too much CPU time; handlers of errors don't catch it."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise Hang after so many seconds of CPU time."""

    def hang(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    former = signal.signal(signal.SIGPROF, hang)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)
