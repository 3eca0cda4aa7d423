"""The benchmarks' page is made of what they write down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lxml import etree

from .samples import ROOT

STEP = "nova-compute's step, to {}"
OURS, NOVAS = "our driver, flushed", "nova's driver, not flushed"
SVG = "{http://www.w3.org/2000/svg}"


def cost(group: str, name: str, **more: Any) -> dict[str, Any]:
    given = {"group": group, "name": name, "seconds": 0.002, "cpu": 0.001}
    return given | {"size": 4096} | more


RESULTS = {
    "costs": [
        cost(STEP.format("a file"), OURS, cpu=0.036, size=10_000),
        cost(STEP.format("a file"), NOVAS, cpu=0.072),
        cost(STEP.format("a file"), "nova's InstanceMetadata, in both"),
        cost(STEP.format("Ceph"), OURS),
        cost(STEP.format("Ceph"), NOVAS),
        cost("a drive that is there and fresh", "spawn"),
    ],
    "facts": {
        "flushes of a spawn": 3,
        "flushes of a reboot": 0,
        "bytes sent for a live migration": 7,
        f"{STEP.format('Ceph')}: {OURS}": 36,
        f"{STEP.format('Ceph')}: {NOVAS}": 18,
    },
}
SCALE = {
    "costs": [
        cost(f"{hook}, a file among others", f"among {count}")
        for hook in ("spawn", "status")
        for count in ("1", "10,000")
    ]
}
SIZES = {
    "costs": [cost(f"an image, {n} MiB more", "genisoimage") for n in (0, 1)]
}


def test_the_page_has_what_a_fleet_costs_and_charts(tmp_path: Path) -> None:
    files = []
    for number, found in enumerate((RESULTS, SCALE, SIZES)):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(found))
    report = ROOT / "contrib" / "bench" / "report.py"
    subprocess.run([sys.executable, report, *files, tmp_path], check=True)
    page = (tmp_path / "README.md").read_text()
    # 100,000 spawns an hour.
    assert "| CPU hours an hour, drives in files | 1.0 | 2.0 |" in page
    assert "| GB written an hour, drives in files | 1.0 | 0.4 |" in page
    assert "| flushes an hour, drives in files | 300,000 | 0 |" in page
    assert (
        "| operations of OSDs a second, drives in Ceph | 1,000 | 500" in page
    )
    for name, lines in (("drives", 2), ("sizes", 1)):
        chart = etree.parse(tmp_path / f"{name}.svg")
        assert len(chart.findall(f"{SVG}polyline")) == lines
        assert f"({name}.svg)" in page
