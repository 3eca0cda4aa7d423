"""Nova's own tests pass with our driver, but for those that we list.

Which those are, and why it is right that they fail, says differences.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from differences import DIFFERENCES

import cfgdrive_virt

Results = dict[str, str | None]

_HERE = Path(__file__).parent
_UNIT = "nova.tests.unit.virt."

LISTED = {test for one in DIFFERENCES for test in one.tests}

#: What each process is told.
RUNS = {
    "config_drive_format not set": (),
    "config_drive_format=iso9660": ("--format=iso9660",),
    "nova's driver": ("--tests=listed", "--nova"),
}

with_every_format = pytest.mark.parametrize(
    "run", [name for name in RUNS if name.startswith("config_drive_format")]
)


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Results]]:
    """Run all, side by side; what a test ended with, by run and its name."""
    directory = tmp_path_factory.mktemp("upstream")
    root = Path(cfgdrive_virt.__file__).parents[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)]),
        # One that hangs is ended, and told of.
        "OS_TEST_TIMEOUT": "60",
    }
    running = {}
    for number, (run, arguments) in enumerate(RUNS.items()):
        log = directory / f"{number}.log"
        with log.open("wb") as output:
            running[run] = subprocess.Popen(
                [
                    sys.executable,
                    str(_HERE / "run_suites.py"),
                    *arguments,
                    str(directory / f"{number}.json"),
                ],
                cwd=directory,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
    try:
        for number, process in enumerate(running.values()):
            log = directory / f"{number}.log"
            assert process.wait(timeout=600) == 0, log.read_text()[-5000:]
        yield {
            run: {
                name.removeprefix(_UNIT): end
                for name, end in json.loads(
                    (directory / f"{number}.json").read_text()
                ).items()
            }
            for number, run in enumerate(RUNS)
        }
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def failed(results: Results) -> set[str]:
    return {name for name, end in results.items() if end is not None}


@with_every_format
def test_those_that_are_not_listed_pass(
    results: dict[str, Results], run: str
) -> None:
    unlisted = failed(results[run]) - LISTED

    assert {name: results[run][name] for name in unlisted} == {}
    assert len(results[run]) > 500


@with_every_format
def test_those_that_are_listed_fail(
    results: dict[str, Results], run: str
) -> None:
    assert LISTED - failed(results[run]) == set()


def test_those_that_are_listed_pass_with_novas_driver(
    results: dict[str, Results],
) -> None:
    found = results["nova's driver"]

    assert set(found) == LISTED
    assert failed(found) == set()
