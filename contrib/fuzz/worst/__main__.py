"""Run the search: ``python contrib/fuzz/worst``."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Python puts contrib/fuzz/worst first, but the package "fuzz" lies in contrib.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[3]))

from fuzz import worst as package
from fuzz.worst.drive import FAMILIES, JSON, MIB, RANGES, Drive
from fuzz.worst.hooks import Costs, Host, measure

#: What any drive of at most 64 MiB may cost a hook: seconds and bytes.
MAX_SECONDS, MAX_BYTES = 0.3, 64 * MIB


def excess(costs: Costs) -> float:
    """Return the largest part of its bounds that a hook has used."""
    return max(
        max(seconds / MAX_SECONDS, mib * MIB / MAX_BYTES)
        for seconds, mib, _ in costs.values()
    )


def changed(drive: Drive, chance: random.Random) -> Drive:
    """Return a drive with some parameters changed."""
    changes: dict[str, Any] = {}
    for _ in range(chance.choice((1, 1, 2, 3))):
        name = chance.choice([one.name for one in dataclasses.fields(Drive)])
        value = getattr(drive, name)
        if name == "shape":
            changes[name] = chance.choice(list(JSON))
        elif isinstance(value, bool):
            changes[name] = not value
        else:
            least = 1 if getattr(Drive, name) else 0
            most = RANGES[name]
            near = chance.choice((0.5, 0.8, 0.95, 1.05, 1.25, 2)) * value
            far = math.exp(chance.uniform(0, math.log(most)))
            picked = near if value and chance.random() < 0.7 else far
            changes[name] = min(most, max(least, int(picked)))
    return dataclasses.replace(drive, **changes)


def search(
    host: Host,
    seconds: float,
    chance: random.Random,
    only: list[str],
    stop: int,
    families: list[str],
) -> Iterator[tuple[str, Drive, Costs]]:
    """Yield name, parameters and costs of drives."""
    pool: list[tuple[float, Drive]] = []
    for name in families or FAMILIES:
        drive = FAMILIES[name]
        costs = measure(host, drive, only, stop)
        if costs is not None:
            pool.append((excess(costs), drive))
            yield name, drive, costs
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pool = sorted(pool, key=lambda one: -one[0])[:12]
        drive = changed(chance.choice(pool)[1], chance)
        costs = measure(host, drive, only, stop)
        if costs is not None:
            pool.append((excess(costs), drive))
            yield "found", drive, costs


def _said(drive: Drive) -> str:
    plain = dataclasses.asdict(Drive())
    return " ".join(
        f"{name}={value}"
        for name, value in dataclasses.asdict(drive).items()
        if value != plain[name]
    )


def _row(name: str, costs: Costs) -> str:
    cells = "".join(
        f"{seconds:7.2f}s{mib:5.0f}M" for seconds, mib, _ in costs.values()
    )
    state = costs.get("status", (0, 0, ""))[2]
    return f"{name:<30.30}{cells}  {state}"


def main() -> None:
    """Search, and print a table of the worst drives."""
    parser = argparse.ArgumentParser(
        description=str(package.__doc__).splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stop", type=int, default=60, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hook", action="append", default=[])
    parser.add_argument("--family", action="append", default=[])
    parser.add_argument(
        "--strict", action="store_true", help="fail beyond the bounds"
    )
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    worst: dict[tuple[str, int], tuple[float, str, Drive]] = {}
    number = 0
    with tempfile.TemporaryDirectory() as root:
        host = Host(Path(root))
        names = arguments.hook or list(host.hooks())
        print(" " * 30 + "".join(f"{name:>14.14}" for name in names))
        found = search(
            host,
            arguments.seconds,
            random.Random(arguments.seed),
            arguments.hook,
            arguments.stop,
            arguments.family,
        )
        for name, drive, costs in found:
            number += 1
            if name != "found":
                print(_row(name, costs), flush=True)
            for hook, (seconds, mib, _) in costs.items():
                for kind, cost in enumerate((seconds, mib)):
                    known = worst.get((hook, kind), (-1.0, "", drive))
                    if cost > known[0]:
                        worst[hook, kind] = (cost, name, drive)
    print(f"\nthe worst of {number:,} drives")
    for (hook, kind), (cost, name, drive) in worst.items():
        unit = "MiB" if kind else "s"
        print(f"{hook:<16}{cost:8.2f} {unit:<4} {name}: {_said(drive)}")
    missed = any(
        cost > (MAX_BYTES / MIB if kind else MAX_SECONDS)
        for (_, kind), (cost, _, _) in worst.items()
    )
    if arguments.strict and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
