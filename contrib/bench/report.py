"""Turn measurements into a page: tables, charts, and a fleet's arithmetic.

    python contrib/bench/report.py RESULTS SCALE SIZES

These are what ``contrib/bench --json`` wrote: with ``--ceph``, with ``--scale
1 100 10000`` and with ``--sizes``.  The page is contrib/bench/README.md, with
two charts beside it, or another directory's if that follows.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Python puts contrib/bench first, but the package "bench" lies in contrib.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.chart import chart

HERE = Path(__file__).resolve().parent

#: A fleet, and a host that starts again.
HOSTS, SPAWNS_AN_HOUR, GUESTS = 1000, 100, 200
_HOUR = 3600

_STEP = "nova-compute's step, to a file"
_STEP_RBD = "nova-compute's step, to Ceph"
_NAMES = ("our driver, flushed", "nova's driver, not flushed")

_HEAD = (
    "# What a drive costs\n\nWritten by `contrib/bench/report.py` from runs"
    " of `python contrib/bench` on two cores. Times are medians"
    " in milliseconds, CPU times means with those of child processes; ratios"
    " are to the first row of a table. Ours flushes its files, nova's and the"
    " other programs don't.\n"
)


def main() -> None:
    """Write the page and the charts."""
    results, scale, sizes = (
        json.loads(Path(path).read_text()) for path in sys.argv[1:4]
    )
    here = Path(sys.argv[4]) if sys.argv[4:] else HERE
    page = (
        _HEAD,
        *_tables(results["costs"]),
        "![time by the number of drives](drives.svg)\n",
        "![time by size](sizes.svg)\n",
        *_fleet(results),
    )
    (here / "README.md").write_text("\n".join(page))
    (here / "drives.svg").write_text(
        chart(
            "Hooks of one drive among others in files",
            "drives in instances_path",
            _by_number(scale["costs"], r"(\w+), a file among others"),
        )
    )
    (here / "sizes.svg").write_text(
        chart(
            "An image with one more file, not flushed",
            "KiB of the image",
            _by_size(sizes["costs"]),
        )
    )


def _by_number(
    costs: Sequence[dict[str, Any]], pattern: str
) -> dict[str, list[tuple[float, float]]]:
    """Return the milliseconds of each hook, by the number of drives."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for cost in costs:
        if found := re.fullmatch(pattern, cost["group"]):
            number = int(re.sub(r"\D", "", cost["name"]))
            point = (number, cost["seconds"] * 1000)
            lines.setdefault(found[1], []).append(point)
    return {name: sorted(line) for name, line in lines.items()}


def _by_size(
    costs: Sequence[dict[str, Any]],
) -> dict[str, list[tuple[float, float]]]:
    """Return the milliseconds of each way, by the size of what it makes."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for cost in costs:
        name = cost["name"]
        if name == "ours":
            name = "ours, VFAT"
        point = (cost["size"] / 1024, cost["seconds"] * 1000)
        lines.setdefault(name, []).append(point)
    return {name: sorted(line) for name, line in lines.items()}


def _tables(costs: Sequence[dict[str, Any]]) -> Iterator[str]:
    for group, found in itertools.groupby(costs, lambda cost: cost["group"]):
        rows = list(found)
        yield f"| {group} | ms | CPU ms | ratio | bytes |"
        yield "|---|---|---|---|---|"
        for cost in rows:
            size = "" if cost["size"] is None else f"{cost['size']:,}"
            ratio = cost["seconds"] / rows[0]["seconds"]
            yield (
                f"| {cost['name']} | {cost['seconds'] * 1000:.2f} |"
                f" {cost['cpu'] * 1000:.2f} | {ratio:.2f} | {size} |"
            )
        yield ""


def _fleet(results: dict[str, Any]) -> Iterator[str]:
    """Yield the page's part on many hosts."""
    costs = {(one["group"], one["name"]): one for one in results["costs"]}
    facts = results["facts"]
    spawns = HOSTS * SPAWNS_AN_HOUR
    yield (
        f"## {HOSTS:,} hosts, {SPAWNS_AN_HOUR} spawns an hour each\n\n"
        f"That is {spawns:,} of nova-compute's steps an hour,"
        f" {spawns / _HOUR:.0f} a second; InstanceMetadata, which is nova's"
        " own, is in both.\n\n"
        "| | ours | nova's |\n|---|---|---|"
    )
    for group, place in ((_STEP, "files"), (_STEP_RBD, "Ceph")):
        both = [costs[group, name] for name in _NAMES]
        hours = [f"{spawns * one['cpu'] / _HOUR:.1f}" for one in both]
        written = [f"{spawns * one['size'] / 1e9:.1f}" for one in both]
        yield _row(f"CPU hours an hour, drives in {place}", hours)
        yield _row(f"GB written an hour, drives in {place}", written)
    flushes = f"{spawns * facts['flushes of a spawn']:,}"
    yield _row("flushes an hour, drives in files", [flushes, "0"])
    operations = [
        f"{spawns * facts[f'{_STEP_RBD}: {name}'] / _HOUR:,.0f}"
        for name in _NAMES
    ]
    yield _row("operations of OSDs a second, drives in Ceph", operations)
    yield (
        "\nnova's driver flushes nothing: after a power failure its drives may"
        " be empty. The message bus carries nothing for a spawn. For a live"
        " migration with local disks it carries our drive, of the sample"
        f" {facts['bytes sent for a live migration']:,} bytes; nova's sends"
        " nothing, and the guest reads zeros.\n"
    )
    yield from _restart(costs, facts)


def _restart(
    costs: dict[tuple[str, str], dict[str, Any]], facts: dict[str, int]
) -> Iterator[str]:
    again = costs["a drive that is there and fresh", "spawn"]
    rendering = costs[_STEP, "nova's InstanceMetadata, in both"]
    spawn = costs[_STEP, _NAMES[0]]
    fresh = GUESTS * (again["seconds"] + rendering["seconds"])
    stale = GUESTS * (again["seconds"] + spawn["seconds"])
    yield (
        f"## A host that reboots {GUESTS} guests at once\n\n"
        "nova's driver leaves a drive alone at a reboot, stale or not: it"
        " costs nothing there, and the guest reads the old metadata. Ours"
        " renders what the drive should say, and compares.\n\n"
        "| | one worker | CPU | flushes |\n|---|---|---|---|\n"
        f"| all drives fresh | {fresh:.2f} s |"
        f" {GUESTS * (again['cpu'] + rendering['cpu']):.2f} s |"
        f" {GUESTS * facts['flushes of a reboot']:,} |\n"
        f"| all drives stale | {stale:.2f} s |"
        f" {GUESTS * (again['cpu'] + spawn['cpu']):.2f} s |"
        f" {GUESTS * facts['flushes of a spawn']:,} |\n"
    )


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
