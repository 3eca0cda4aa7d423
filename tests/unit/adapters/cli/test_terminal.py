"""What is told on a terminal, or in a pipe."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from cfgdrive_virt import Decision, Verdict
from cfgdrive_virt.adapters.cli import terminal
from cfgdrive_virt.adapters.cli.printable import printable
from cfgdrive_virt.driver.driver import Plan

from .commands import HOSTILE


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain é 😀", "plain é 😀"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b31m", r"\x9b31m"),
        ("\r\x08\x7f\0", r"\r\x08\x7f\x00"),
        ("\u202e\u2066", r"\u202e\u2066"),
        ("\udc80", r"\udc80"),
        ("\t", r"\t"),
        ("\u2028\x85", r"\u2028\x85"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("lines", [True, False], ids=["lines", "line"])
def test_what_could_steer_a_terminal_is_spelled_out(
    text: str, safe: str, lines: bool
) -> None:
    assert printable(text, lines=lines) == safe


def test_lines_are_kept_where_there_may_be_many() -> None:
    assert printable("a\nb", lines=True) == "a\nb"
    assert printable("a\nb") == r"a\nb"


class Output(io.TextIOWrapper):
    """A standard output in an encoding, kept."""

    def __init__(self, encoding: str) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding, newline="\n")

    def told(self) -> str:
        self.flush()
        return self.bytes.getvalue().decode(self.encoding)


ENCODINGS = pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])


def tell(encoding: str, act: Callable[..., None], *arguments: Any) -> str:
    """Return what is told to a standard output in an encoding."""
    output = Output(encoding)
    with contextlib.redirect_stdout(output):
        act(*arguments)
    return output.told()


@ENCODINGS
def test_facts_are_told_a_line_each_in_any_encoding(encoding: str) -> None:
    told = tell(
        encoding,
        terminal.print_facts,
        {"a": "é 😀 [red]x[/red]", "b": f"x{HOSTILE}\ny"},
    )
    first, second = told.splitlines()
    assert first.startswith("a       ")
    assert first.endswith("[red]x[/red]")
    assert ("😀" in first) is (encoding == "utf-8")
    assert second.startswith("b       x")
    assert second.endswith(r"\ny")
    assert not set(second) & set(HOSTILE) - set("owned;0]31m[2J")


@ENCODINGS
def test_json_is_told_whole(encoding: str) -> None:
    document = {"a": ["é" * 500, HOSTILE, "[red]x[/red]", 5, None]}
    told = tell(encoding, terminal.print_json, document)
    assert json.loads(told) == document
    assert told.isascii()
    assert "\x1b" not in told


@ENCODINGS
def test_lines_stay_whole_in_a_pipe(encoding: str) -> None:
    told = tell(encoding, terminal.print_facts, {"where": "/x" * 2000})
    assert told == f"where   {'/x' * 2000}\n"


@ENCODINGS
def test_a_plan_is_told_with_its_reasons(encoding: str) -> None:
    decision = Decision(
        "vfat", "disk", "virtio", "vdz", readonly=False, reason="why not"
    )
    plan = Plan(
        Verdict(True, "asked"), decision, None, "<disk/>\n", "<controller/>\n"
    )
    told = tell(encoding, terminal.print_plan, plan)
    for words in (
        "yes: asked",
        "disk vdz on virtio, writable",
        "why not",
        "<disk/>",
        "<controller/>",
    ):
        assert words in told


@ENCODINGS
def test_a_plan_without_a_drive_is_told_in_a_line(encoding: str) -> None:
    told = tell(
        encoding, terminal.print_plan, Plan(Verdict(False, "nobody asked"))
    )
    assert told == "drive   no: nobody asked\n"


@ENCODINGS
def test_a_tree_is_told_and_what_its_newest_version_says(
    encoding: str,
) -> None:
    told = tell(
        encoding,
        terminal.print_tree,
        f"title{HOSTILE}",
        {
            "a/latest/x.json": {"size": 1234, "json": {"k": HOSTILE}},
            "a/latest/t": {"size": 1, "text": f"one\ntwo{HOSTILE}"},
            "a/latest/m": {"size": 1, "text": "<hidden>"},
            "a/2012-08-10/x.json": {"size": 1, "json": {"old": 1}},
            f"a/{HOSTILE}": {"size": 1},
        },
    )
    assert "1,234" in told
    assert '"k"' in told
    assert "one\ntwo" in told
    assert '"old"' not in told
    assert "a/latest/m" not in told
    assert not set(told) & set("\x1b\x07\x9b\r\u202e")
