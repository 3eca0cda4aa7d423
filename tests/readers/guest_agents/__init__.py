"""Agents of guests, run by a Python of their own, which has nothing of ours.

Each module named ``run_`` is a program: it takes jobs on standard input, a
JSON list of objects, and prints what the agent made of each.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.model.tree import MetadataTree

from ..cloud_inits import unpacked

_HERE = Path(__file__).parent


def run(program: str, jobs: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return what a program here makes of jobs."""
    done = subprocess.run(
        [unpacked("guest-agents", "bin/python"), str(_HERE / f"{program}.py")],
        input=json.dumps(list(jobs)),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
    )
    if done.returncode:
        pytest.fail(f"{program}: {done.stderr[-2000:]}")
    made: list[Any] = json.loads(done.stdout)
    return made


def encoded(tree: MetadataTree) -> dict[str, str]:
    """Return a tree's files for a job, those that the agents read."""
    return {
        path: base64.b64encode(content).decode()
        for path, content in tree.files.items()
        if path.startswith(("openstack/latest/", "openstack/content/"))
    }
