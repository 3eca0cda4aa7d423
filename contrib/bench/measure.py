"""Time ways to make a drive in turn, print the results, and check goals."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make an instance's drive.

    :param name: how the results name it
    :param build: makes the drive, and returns its size in bytes
    :param clean: removes the drive again; its time is not measured
    """

    name: str
    build: Callable[[], int]
    clean: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a way takes.

    :param seconds: the median
    :param size: of the drive, in bytes
    """

    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class Goal:
    """Two ways that are compared, and the largest ratios that are accepted.

    :param ours: the name of our way
    :param other: the name of the way that it is compared with
    :param most_time: our time divided by the other's; None accepts any
    :param most_bytes: our size divided by the other's; None accepts any
    """

    ours: str
    other: str
    most_time: float | None = None
    most_bytes: float | None = None


def measure(ways: Sequence[Way], repetitions: int) -> dict[str, Cost]:
    """Return what each way takes, by its name.

    The ways take turns, so that a slow moment of the machine hits them all.
    """
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    sizes = {}
    for _ in range(repetitions):
        for way in ways:
            started = time.perf_counter()
            sizes[way.name] = way.build()
            seconds[way.name].append(time.perf_counter() - started)
            way.clean()
    return {
        way.name: Cost(statistics.median(seconds[way.name]), sizes[way.name])
        for way in ways
    }


def report(
    costs: Mapping[str, Cost], goals: Iterable[Goal], *, bytes_too: bool
) -> list[str]:
    """Print costs and ratios, and return the goals that were missed.

    A goal whose ways were not measured is left out.

    :param bytes_too: whether drives that are too large miss a goal
    """
    for name, cost in costs.items():
        milliseconds = cost.seconds * 1000
        say(f"  {name:18} {milliseconds:8.2f} ms  {cost.size:10,} bytes")
    missed = []
    for goal in goals:
        if goal.other not in costs:
            continue
        ours, other = costs[goal.ours], costs[goal.other]
        of_time = ours.seconds / other.seconds
        of_bytes = ours.size / other.size
        words = f"{goal.ours} / {goal.other}"
        say(f"  {words:30} time {of_time:.2f}, bytes {of_bytes:.2f}")
        if goal.most_time and of_time > goal.most_time:
            missed.append(f"{of_time:.2f} of the time of {goal.other}")
        if bytes_too and goal.most_bytes and of_bytes > goal.most_bytes:
            missed.append(f"{of_bytes:.2f} of the bytes of {goal.other}")
    return missed


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")
