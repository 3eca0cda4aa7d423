"""Print what was measured: as a table, and as JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence

from bench.measure import Cost, say


def table(costs: Sequence[Cost]) -> None:
    """Print a table; each time also as a multiple of the group's first."""
    for group, rows in itertools.groupby(costs, lambda cost: cost.group):
        say(f"\n{group:46} {'ms':>9} {'CPU ms':>9} {'ratio':>8} {'bytes':>11}")
        first: float | None = None
        for cost in rows:
            first = first or cost.seconds
            size = "" if cost.size is None else f"{cost.size:,}"
            say(
                f"  {cost.name:44} {cost.seconds * 1000:9.3f}"
                f" {cost.cpu * 1000:9.3f} {cost.seconds / first:8.2f}"
                f" {size:>11}"
            )


def facts(found: Mapping[str, int]) -> None:
    """Print what drives take beside time."""
    if found:
        say("\nBeside time; with Ceph, operations of its OSD")
    for name, count in found.items():
        say(f"  {name:72} {count:9,}")


def document(costs: Sequence[Cost], found: Mapping[str, int]) -> str:
    """Return the same in JSON: seconds and bytes, and what facts has."""
    rows = [dataclasses.asdict(cost) for cost in costs]
    return json.dumps({"costs": rows, "facts": found}, indent=1) + "\n"
