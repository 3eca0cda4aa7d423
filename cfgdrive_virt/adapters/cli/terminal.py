"""Print answers to a terminal or a pipe.

No other module imports rich.  Text from a drive or a request is not trusted:
only its printable characters reach the terminal, all others are escaped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.syntax import Syntax
from rich.text import Text
from rich.tree import Tree

from cfgdrive_virt.adapters.cli.drive_view import MASK
from cfgdrive_virt.adapters.cli.printable import printable
from cfgdrive_virt.driver.driver import Plan
from cfgdrive_virt.metadata import layout_in
from cfgdrive_virt.store.base import Progress, ignore

#: Lines of a file that are printed.
_MAX_LINES = 1000


def print_json(document: Any) -> None:
    """Print an answer as JSON, for programs."""
    # In pieces: all of them together take many times the text's memory.
    file = _console().file
    json.dump(document, file, indent=2)
    file.write("\n")


def print_facts(facts: dict[str, str]) -> None:
    """Print names and values, one per line."""
    for name, value in facts.items():
        text = printable(value)
        _console().print(Text.assemble((f"{name:<8}", "bold"), text))


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return a plan as values for JSON."""
    decision = plan.decision
    return {
        "required": plan.required.answer,
        "required_reason": plan.required.reason,
        "location": None if plan.location is None else str(plan.location),
        "decision": None if decision is None else dataclasses.asdict(decision),
        "disk_xml": plan.disk_xml,
        "controller_xml": plan.controller_xml,
    }


def print_plan(plan: Plan, losses: Sequence[str] = ()) -> None:
    """Print a plan, its reasons, its warnings, and the XML.

    :param losses: what readers would lose, for the warnings
    """
    verdict = "yes" if plan.required else "no"
    facts = {"drive": f"{verdict}: {plan.required.reason}"}
    warnings = list(losses)
    if plan.decision is not None:
        decision = plan.decision
        warnings = [*decision.warnings, *losses]
        access = "read-only" if decision.readonly else "writable"
        facts |= {
            "format": decision.format,
            "device": f"{decision.device} {decision.target} on"
            f" {decision.bus}, {access}",
            "why": decision.reason,
            "where": str(plan.location),
        }
    print_facts(facts)
    for warning in warnings:
        print_facts({"warning": warning})
    for xml in (plan.controller_xml, plan.disk_xml):
        if xml is not None:
            _console().print()
            _console().print(_syntax(xml.rstrip(), "xml"))


def print_lines(lines: Sequence[str]) -> None:
    """Print indented lines, as details of the line above."""
    for line in lines:
        _console().print(f"  {printable(line)}", markup=False)


def print_differences(differences: list[dict[str, Any]]) -> None:
    """Print differences, as drive_view.difference returns them."""
    for found in differences:
        sides = [
            f"{side} {_cell(found.get(side, 'nothing'))}"
            for side in ("expected", "found")
        ]
        where = f"{found['path']} {found['key']}".rstrip()
        print_lines([f"{where}: {', '.join(sides)}"])


@contextlib.contextmanager
def progress(*, rows: bool) -> Iterator[Progress]:
    """Show on standard error how many drives have been looked at.

    Only if it is a terminal; in the context, call what it yields.

    :param rows: whether rows are printed meanwhile; on a terminal, they show
        the progress themselves
    """
    # It is None if it is closed.
    if not (sys.stderr and sys.stderr.isatty()) or (
        rows and sys.stdout.isatty()
    ):
        yield ignore
        return
    console = Console(stderr=True, highlight=False)
    with Live(console=console, transient=True, redirect_stdout=False) as line:
        yield lambda done, total: line.update(f"{done:,} of {total:,}")


def print_rows(rows: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    """Print a table, or a list in JSON, row by row as they come.

    A store may hold very many drives, and take minutes to list them.

    :param rows: with the same keys, as a table's header
    """
    if as_json:
        _print_list(rows)
        return
    console = _console()
    file = console.file
    widths: list[int] = []
    for row in rows:
        names = list(row)
        cells = [printable(_column(value)) for value in row.values()]
        # Columns become wider, never narrower.
        widest = widths or [len(name) for name in names]
        lengths = zip(widest, map(len, cells), strict=True)
        is_first, widths = not widths, [max(pair) for pair in lengths]
        if is_first:
            console.print(Text(_line(names, widths), "bold"))
        # Rich would ask for the terminal's size for each.
        file.write(f"{_line(cells, widths)}\n")
        file.flush()


def _line(cells: list[str], widths: list[int]) -> str:
    padded = map(str.ljust, cells, widths)
    return "  ".join(padded).rstrip()


def _print_list(rows: Iterable[dict[str, Any]]) -> None:
    file = _console().file
    before = "["
    try:
        for row in rows:
            text = json.dumps(row, indent=2).replace("\n", "\n  ")
            file.write(f"{before}\n  {text}")
            file.flush()
            before = ","
    finally:
        # An error must not leave half a list behind.
        file.write("[]\n" if before == "[" else "\n]\n")


def print_tree(title: str, files: dict[str, dict[str, Any]]) -> None:
    """Print a drive's tree, and the files of its newest version.

    :param files: as drive_view.describe returns them
    """
    console = _console()
    root = Tree(Text(printable(title), "bold"))
    branches = {"": root}
    for path, file in files.items():
        directory, _, name = path.rpartition("/")
        size = f"  {file['size']:,}"
        _branch(branches, directory).add(
            Text.assemble(printable(name), (size, "dim"))
        )
    console.print(root)
    layout = layout_in(files)
    for path, file in files.items():
        content = file.get("json", file.get("text", MASK))
        left_out = file.get("left_out")
        if not layout.is_newest(path) or (content == MASK and not left_out):
            continue
        console.print()
        console.print(Text(printable(path), "bold"))
        if left_out:
            why = f"left out, sha256 {file['sha256']}: {left_out}"
            print_lines([f"{why}; --extract writes it"])
            continue
        text = content
        if "json" in file:
            text = json.dumps(content, indent=2, ensure_ascii=False)
        lines = text.split("\n")
        console.print(
            _syntax(
                printable("\n".join(lines[:_MAX_LINES]), lines=True),
                "json" if "json" in file else "text",
            )
        )
        print_more(len(lines) - _MAX_LINES, "lines")


def print_more(count: int, what: str) -> None:
    """Print how many items of a list are left out, if any."""
    if count > 0:
        print_lines([f"and {count:,} more {what}"])


def _branch(branches: dict[str, Tree], directory: str) -> Tree:
    if directory not in branches:
        parent, _, name = directory.rpartition("/")
        branches[directory] = _branch(branches, parent).add(
            Text(printable(name))
        )
    return branches[directory]


def _column(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "?"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return str(value)


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _syntax(text: str, language: str) -> Syntax:
    return Syntax(
        text, language, theme="ansi_dark", background_color="default"
    )


def _console() -> Console:
    # On an ASCII terminal print escapes, instead of failing.
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # In a pipe, don't wrap lines: programs such as grep read them.
    width = None if sys.stdout.isatty() else 100_000
    return Console(width=width, highlight=False, soft_wrap=True)
