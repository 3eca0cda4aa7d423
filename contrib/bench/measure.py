"""Time ways to do one thing in turn."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do what others do, too.

    :param group: what all of them do
    :param name: how the results name this one
    :param run: does it, and returns the size of a drive in bytes, if it has
        one
    :param clean: undoes it; its time is not measured
    :param times: how often in a row, at each of its turns
    """

    group: str
    name: str
    run: Callable[[], int | None]
    clean: Callable[[], object] = _nothing
    times: int = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What a way takes.

    :param seconds: the median
    :param cpu: seconds of CPU time, of its child processes too: the mean
    :param size: of the drive, in bytes; None without one
    """

    group: str
    name: str
    seconds: float
    cpu: float
    size: int | None


@dataclass(frozen=True, slots=True)
class Goal:
    """Two ways of a group, and the largest ratio of their times.

    :param ours: the name of our way
    :param other: the name of the way that it is compared with
    """

    group: str
    ours: str
    other: str
    most: float


def measure(ways: Sequence[Way], repetitions: int) -> list[Cost]:
    """Return what each way takes.

    The ways take turns, so that a slow moment of the machine hits them all.
    """
    seconds: list[list[float]] = [[] for _ in ways]
    cpu = [0.0] * len(ways)
    sizes: list[int | None] = [None] * len(ways)
    for _ in range(repetitions):
        for number, way in enumerate(ways):
            for _ in range(way.times):
                before, started = _cpu(), time.perf_counter()
                sizes[number] = way.run()
                seconds[number].append(time.perf_counter() - started)
                cpu[number] += _cpu() - before
                way.clean()
    return [
        Cost(
            way.group,
            way.name,
            statistics.median(seconds[number]),
            cpu[number] / len(seconds[number]),
            sizes[number],
        )
        for number, way in enumerate(ways)
    ]


def missed(costs: Sequence[Cost], goals: Iterable[Goal]) -> list[str]:
    """Print the ratio of each goal, and return those that are missed.

    A goal whose ways were not measured is left out.
    """
    times = {(cost.group, cost.name): cost.seconds for cost in costs}
    found = []
    for goal in goals:
        ours = times.get((goal.group, goal.ours))
        other = times.get((goal.group, goal.other))
        if ours is None or other is None:
            continue
        words = f"{goal.group}: {goal.ours} / {goal.other}"
        ratio = f"{ours / other:.4f}, at most {goal.most:.4f}"
        good = ours / other <= goal.most
        say(f"  {words:72} {ratio}{'' if good else ': MISSED'}")
        if not good:
            found.append(f"{words}: {ratio}")
    return found


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _cpu() -> float:
    usage = map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return sum(one.ru_utime + one.ru_stime for one in usage)
