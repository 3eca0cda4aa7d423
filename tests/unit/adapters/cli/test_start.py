"""The command loads what its verb needs, and nothing besides."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from cfgdrive_virt.adapters import cli
from cfgdrive_virt.adapters.cli.main import COMMANDS, main
from cfgdrive_virt.lazy import load

from ...processes import python
from ...samples import SAMPLE, UUID
from .commands import TEST

LIBVIRT = {"libvirt", "libvirtmod"}
#: What takes long to load.
LARGE = LIBVIRT | {
    "cfgdrive_virt.driver.driver", "cfgdrive_virt.model.request", "lxml",
    "oslo_concurrency", "oslo_config", "pycdlib", "rich", "yaml",
}  # fmt: skip

#: Runs the command, where one library may be missing.
PROGRAM = """
import sys
missing = sys.argv.pop(1)
if missing:
    sys.modules[missing] = None
sys.stderr = sys.stdout
from cfgdrive_virt.adapters.cli.main import main
try:
    main()
except SystemExit as end:
    print("\\nEXIT", end.code)
print("LOADED", *sys.modules)
"""


def run(*arguments: Any, missing: str = "") -> tuple[str, int, set[str]]:
    """Return what a command printed, its exit code, and what it loaded."""
    printed = python(PROGRAM, missing, *map(str, arguments))
    text, _, rest = printed.partition("\nEXIT ")
    code, _, modules = rest.partition("\nLOADED ")
    return text, int(code), set(modules.split())


@pytest.mark.parametrize("option", ["--version", "--help", "-h"])
def test_version_and_help_load_no_library(option: str) -> None:
    text, code, loaded = run(option)
    assert text
    assert code == 0
    assert not loaded & LARGE


def test_an_unknown_command_loads_no_library() -> None:
    _, code, loaded = run("fly")
    assert code == 2
    assert not loaded & LARGE


def test_the_help_of_a_command_reads_no_configuration(tmp_path: Path) -> None:
    broken = tmp_path / "nova.conf"
    broken.write_text("[")
    text, code, _ = run("--config-file", broken, "build", "--help")
    assert code == 0
    assert "Build a drive into a file." in text


@pytest.mark.parametrize("missing", ["", "libvirt"])
def test_what_works_on_drives_needs_no_libvirt(
    tmp_path: Path, instances: Path, missing: str
) -> None:
    drive = tmp_path / "drive"
    conf = tmp_path / "nova.conf"
    conf.write_text(f"[DEFAULT]\ninstances_path = {instances}\n")
    uuids = tmp_path / "uuids"
    uuids.write_text(UUID)
    for expected, *arguments in (
        (0, "build", SAMPLE, "-o", drive),
        (0, "plan", SAMPLE),
        (0, "inspect", drive),
        (0, "verify", drive, "--instance", SAMPLE),
        (1, "status", SAMPLE),
        (0, "list"),
        (0, "prune", "--living", uuids),
    ):
        options = ("--config-file", conf, *arguments)
        text, code, loaded = run(*options, missing=missing)
        assert code == expected, text
        assert "oslo_config" in loaded
        assert missing or not loaded & LIBVIRT


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("libvirt", ("destroy", UUID, *TEST)),
        ("libvirt", ("spawn", SAMPLE, *TEST)),
        ("libvirt", ("prune", *TEST)),
        ("oslo_config", ("build", SAMPLE, "-o", "x")),
        ("lxml", ("build", "--help")),
    ],
)
def test_a_missing_library_is_an_error(
    missing: str, arguments: tuple[Any, ...]
) -> None:
    text, code, _ = run(*arguments, missing=missing)
    assert code == 1
    assert text.startswith("Error: can't load a library: ")
    assert missing in text


def commands() -> Iterator[tuple[str, str, click.Command]]:
    """Yield the commands of all modules, with module and name there."""
    for module in pkgutil.iter_modules(cli.__path__):
        members = load(f"{cli.__name__}.{module.name}", "__dict__")
        for name, member in members.items():
            if isinstance(member, click.Command) and member is not main:
                yield module.name, name, member


def test_every_command_is_in_the_table_with_its_help() -> None:
    found = {
        command.name: (command.get_short_help_str(200), module, name)
        for module, name, command in commands()
    }
    assert found == COMMANDS
