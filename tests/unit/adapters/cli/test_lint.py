"""The command's lint: what would readers lose of an instance's drive?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ...samples import SAMPLE, secrets_in
from .commands import HOSTILE, META_DATA, Run, instance

LOST = f"{META_DATA} meta.lost: does not arrive"
NO_VFAT = f"{META_DATA}: isn't mounted, being VFAT of None bytes"


@pytest.mark.usefixtures("two_readers")
def test_lint_says_in_one_line_that_nothing_is_lost(run: Run) -> None:
    result = run("lint", "-", data=instance())
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "losses  none for cloud-init\n"


@pytest.mark.usefixtures("two_readers")
def test_lint_lists_what_is_lost(run: Run, tmp_path: Path) -> None:
    data = instance(metadata={"lost": "x", "role": "web"})
    result = run("lint", "-", data=data)
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.splitlines() == [
        "losses  1 for cloud-init",
        f"  cloud-init: {LOST}",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("two_readers")
def test_lint_asks_each_reader_about_the_planned_format(run: Run) -> None:
    data = instance(metadata={"lost": "x", "role": "web"})
    lines = run("lint", "-", "--reader", "all", data=data).stdout.splitlines()
    assert lines == [
        "losses  3 for cloud-init, odd",
        f"  cloud-init: {LOST}",
        f"  odd: {LOST}",
        f"  odd: {NO_VFAT}",
    ]


@pytest.mark.usefixtures("two_readers")
def test_lint_asks_the_reader_that_the_image_suggests(run: Run) -> None:
    data = instance(image_properties={"os_distro": "odd"})
    told = run("lint", "-", data=data).stdout
    assert told.splitlines() == ["losses  1 for odd", f"  odd: {NO_VFAT}"]
    named = run("lint", "-", *["--reader", "cloud-init"] * 2, data=data)
    assert named.stdout == "losses  none for cloud-init\n"


@pytest.mark.usefixtures("two_readers")
def test_lint_answers_in_json(run: Run) -> None:
    data = instance(metadata={"lost": "x", "role": "web"})
    result = run("lint", "-", "--json", data=data)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "readers": ["cloud-init"],
        "losses": [
            {
                "path": META_DATA,
                "key": "meta.lost",
                "effect": "does not arrive",
                "refused": False,
                "reader": "cloud-init",
            }
        ],
    }


@pytest.mark.usefixtures("two_readers")
def test_what_lint_lists_is_printable(run: Run) -> None:
    data = instance(metadata={f"lost{HOSTILE}": "web"})
    told = run("lint", "-", data=data).stdout
    assert "meta.lost\\x1b]0;owned" in told
    assert all(line.isprintable() for line in told.splitlines())


@pytest.mark.usefixtures("two_readers")
@pytest.mark.parametrize("verb", ["lint", "plan"])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_line_is_longer_than_a_person_reads(
    run: Run, verb: str, options: tuple[str, ...]
) -> None:
    data = instance(config_drive=True, metadata={f"lost{'x' * 9999}": "x"})
    told = run(verb, "-", *options, data=data).stdout
    assert f"meta.lost{'x' * 191}..." in told
    assert "x" * 200 not in told


def test_lint_refuses_what_the_other_verbs_refuse(run: Run) -> None:
    broken = run("lint", "-", data=b"{")
    assert (broken.exit_code, broken.stdout) == (2, "")
    unknown = run("lint", "-", "--reader", "nobody", data=instance())
    assert unknown.exit_code == 2
    assert "'cloud-init'" in unknown.stderr


def test_no_reader_shows_a_secret(run: Run) -> None:
    result = run("lint", SAMPLE, "--reader", "all")
    assert result.exit_code in (0, 1)
    assert secrets_in(result.output) == []


def test_the_help_names_the_readers(run: Run) -> None:
    words = " ".join(run("lint", "--help").stdout.split())
    assert "may be repeated: cloud-init, " in words
