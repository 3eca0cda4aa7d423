"""What README.md quotes and points to is what the product says and has."""

from __future__ import annotations

import ast
import importlib
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.adapters.cli import instance_file
from cfgdrive_virt.exception import InvalidRequest

from .samples import MAC, ROOT, UUID, wanted

PACKAGE = ROOT / "cfgdrive_virt"
README = (ROOT / "README.md").read_text()
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)

#: What nova and Python say, not the product.
FOREIGN = {
    "Unable to load the virtualization driver",
    "No module named 'nova.virt.cfgdrive_virt'",
}

#: Stands in a text for what is known only when the product runs.
HOLE = "\0"


def texts(module: Path) -> Iterator[str]:
    """Yield a module's strings, but for docstrings, holes in their place."""
    tree = ast.parse(module.read_text())
    parts_of_others = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr | ast.JoinedStr)
        for part in ast.iter_child_nodes(node)
        if isinstance(part, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else HOLE
                for part in node.values
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in parts_of_others
        ):
            yield re.sub(r"%[.0-9]*[a-z]", HOLE, node.value)


TEXTS = [text for module in PACKAGE.rglob("*.py") for text in texts(module)]


def pattern(quote: str) -> re.Pattern[str]:
    """Return what finds a quoted text among the product's.

    ``...`` stands for anything, and a name or number may be a hole.
    """
    parts = (
        ".*"
        if part == "..."
        else f"(?:{re.escape(part)}|{HOLE})"
        if re.search(r"[0-9_]", part)
        else re.escape(part)
        for part in re.split(r"(\.\.\.|\w+)", quote)
    )
    return re.compile("".join(parts), re.DOTALL)


def rows(heading: str) -> Iterator[str]:
    """Yield the first cells of all tables whose first heading this is."""
    for table in re.findall(rf"^\| {heading} \|.*?\n\n", README, re.M | re.S):
        for row in table.strip().splitlines()[2:]:
            yield re.split(r"(?<!\\)\|", row)[1]


SYMPTOMS = [
    quote for row in rows("symptom") for quote in re.findall("`(.*?)`", row)
]
SEARCHED = [
    quote
    for row in rows("command")
    for quote in re.findall("'(.*?)'", row)
    if "grep" in row
]


def test_the_readme_has_symptoms() -> None:
    assert len(SYMPTOMS) > 15
    assert set(SYMPTOMS) >= FOREIGN
    assert len(SEARCHED) == 2


@pytest.mark.parametrize("quote", [*SYMPTOMS, *SEARCHED])
def test_the_product_says_what_the_readme_quotes(quote: str) -> None:
    said = any(map(pattern(quote).search, TEXTS))

    assert said is (quote not in FOREIGN)


def test_a_text_that_has_changed_is_found() -> None:
    assert not any(map(pattern("permission withheld to").search, TEXTS))
    assert pattern("nova 29 to 34, and").search("nova \0 to \0, and this")
    assert not pattern("nova 29 to 34").search("nova 28 to 34, and this")
    assert not pattern("nova 29 or 34").search("nova \0 to \0, and this")
    assert pattern("no ... within ... x_y").search(
        "no \0 in \0 within \0: x_y"
    )
    assert not pattern("no ... within").search("no \0 in")


def test_the_errors_of_an_instance_file_are_those_of_the_readme() -> None:
    example = re.findall(r"^Error: (.*?)```", README, re.M | re.S)[0]
    document = f"""
        {{uuid: {UUID}, name: web, hostname: web, user_dta: text,
          network: {{interfaces: [{{mac: {MAC[:8]!r}}}]}}}}"""

    with pytest.raises(InvalidRequest) as refused:
        instance_file.load(document.encode(), "web.yaml")

    assert str(refused.value) == example.strip()


def test_the_log_line_is_that_of_the_readme(
    conf: Callable[..., cfg.ConfigOpts], caplog: pytest.LogCaptureFixture
) -> None:
    example = re.findall(r"^```\n(Config drive .*?)\n```", README, re.M | re.S)
    logger = re.findall(r"logger\s+`(.*?)`", README)[0]
    driver = ConfigDriveDriver(conf("[cfgdrive_virt]\nlive_migration=always"))
    driver.spawn(wanted(metadata={"role": "web"}))
    caplog.clear()
    caplog.set_level(logging.INFO, logger)

    driver.spawn(wanted(metadata={"role": "database"}))

    line = re.escape(" ".join(example[0].split()))
    line = re.sub(r"(\\\.){3}|/var/lib/nova/instances", ".*", line)
    line = re.sub(r"[0-9](?:[0-9,]|\\\.)*", r"[0-9.,a-f-]*", line)
    [record] = caplog.records
    assert re.fullmatch(line, record.getMessage())
    assert record.name == logger


NAMES = sorted(set(re.findall(r"(?<![\w/.-])cfgdrive_virt(?:\.\w+)+", README)))


def test_the_name_for_nova_is_in_the_module_that_nova_loads() -> None:
    shim = PACKAGE / "adapters" / "nova" / "shim" / "cfgdrive_virt.py"

    assert "cfgdrive_virt.LibvirtDriver" in NAMES
    assert '__all__ = ["LibvirtDriver"]' in shim.read_text()


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name != "cfgdrive_virt.LibvirtDriver"]
)
def test_a_dotted_name_exists(name: str) -> None:
    package, _, last = name.rpartition(".")

    if not hasattr(importlib.import_module(package), last):
        importlib.import_module(name)


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"driver\.(\w+)\(", PROSE)))
)
def test_the_driver_has_a_method(name: str) -> None:
    assert callable(getattr(ConfigDriveDriver, name))


LINKS = sorted(set(re.findall(r"\]\(([^)\s]+)\)", README)))


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_somewhere(link: str) -> None:
    path, _, anchor = link.partition("#")
    headings = re.findall(r"^#+ (.*)$", PROSE, re.M)

    assert (ROOT / path).exists()
    if anchor:
        assert not path
        assert anchor in [h.lower().replace(" ", "-") for h in headings]


@pytest.mark.parametrize(
    "path",
    sorted(
        set(re.findall(r"`((?:contrib|etc|tests)/[\w./-]+)", README))
        | set(re.findall(r"^((?:contrib|etc|tests)/[\w./-]+)", README, re.M))
    ),
)
def test_a_file_of_this_repository_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?!nova/|tests/)[\w/*<>]+\.py)`", PROSE))),
)
def test_a_module_of_the_package_exists(path: str) -> None:
    assert list(PACKAGE.glob(re.sub("<.*?>", "*", path)))
