"""What the command writes: safe on a terminal, whole or an error."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ...processes import command
from ...samples import SAMPLE
from .commands import HOSTILE, Real, Run, write_image


def test_what_is_on_a_drive_cannot_steer_a_terminal(
    run: Run, tmp_path: Path
) -> None:
    path = write_image(
        tmp_path / "x",
        {
            "openstack/latest/user_data": HOSTILE.encode(),
            "openstack/latest/meta_data.json": json.dumps(
                {HOSTILE: HOSTILE, "b": "[red]not markup[/red]"}
            ).encode(),
            "openstack/latest/raw.json": f'{{"a": "\x7f{HOSTILE[5:7]}"}}'
            .replace("\x07", "").encode(),
            "openstack/latest/\u202e\x9b": b"x",
        },
    )  # fmt: skip
    for option in ("--show-secrets", "--json", "--extract=new"):
        told = run("inspect", path, option).stdout
        assert not set(told) & set("\x1b\x07\x9b\r\u202e\x7f")
    assert "[red]not markup[/red]" in told


def test_what_is_told_on_a_real_terminal_is_safe_too(tmp_path: Path) -> None:
    path = write_image(
        tmp_path / "x", {"openstack/latest/user_data": HOSTILE.encode()}
    )
    main_side, terminal = pty.openpty()
    subprocess.run(
        command("inspect", "--show-secrets", path),
        stdout=terminal,
        check=True,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(terminal)
    told = os.read(main_side, 100_000).decode()
    os.close(main_side)
    assert "openstack" in told
    for sequence in ("\x1b]0;", "\x9b", "\u202e", "\x07"):
        assert sequence not in told


def test_what_an_error_quotes_cannot_steer_a_terminal(run: Run) -> None:
    data = json.dumps({HOSTILE: 1, "uuid": HOSTILE}).encode()
    told = run("plan", "-", data=data).stderr
    assert not set(told) & set(HOSTILE) - set("owned;0]31m[2J")


def test_a_reader_that_goes_away_is_no_failure_to_report(
    tmp_path: Path,
) -> None:
    path = write_image(
        tmp_path / "x",
        {f"openstack/latest/{n}.json": b"[1, 2]" for n in range(99)}
        | {"openstack/latest/user_data": b"line\n" * 200_000},
    )
    for option in ("--json", "--extract=new"):
        reading, writing = os.pipe()
        with subprocess.Popen(
            command("inspect", "--show-secrets", path, option),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        ) as process:
            os.close(writing)
            os.read(reading, 10)
            os.close(reading)
            _, told = process.communicate(timeout=30)
        assert told == ""


@pytest.mark.parametrize("option", [(), ("--json",)], ids=["text", "json"])
def test_a_full_standard_output_is_told(
    real: Real, option: tuple[str]
) -> None:
    for verb in (("plan", SAMPLE), ("build", SAMPLE, "-o", "drive")):
        with open("/dev/full", "wb") as full:
            done = real(*verb, *option, stdout=full)
        assert (done.returncode, done.stderr) == (
            1,
            "Error: can't write the answer: No space left on device\n",
        )


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_full_standard_output_is_told_of_the_options_too(
    real: Real, option: str
) -> None:
    with open("/dev/full", "wb") as full:
        done = real(option, stdout=full)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("closed", "arguments", "told"),
    [
        (1, ("plan", SAMPLE), "standard output is closed"),
        (1, ("plan", SAMPLE, "--json"), "standard output is closed"),
        (0, ("plan", "-"), "standard input is closed"),
        (2, ("plan", SAMPLE), None),
    ],
    ids=["stdout", "stdout-json", "stdin", "stderr"],
)
def test_a_closed_stream_makes_no_traceback(
    real: Real, closed: int, arguments: tuple[Any, ...], told: str | None
) -> None:
    done = real(*arguments, preexec_fn=lambda: os.close(closed))
    if told is None:
        assert done.returncode in (0, 1)
    else:
        assert (done.returncode, done.stderr) == (1, f"Error: {told}\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_the_output_will_do(
    real: Real, image: Path, encoding: str
) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = real("inspect", image, env=environment, errors="replace")
    assert done.returncode == 0
    assert "meta_data.json" in done.stdout
