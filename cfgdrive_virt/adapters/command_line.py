"""The command ``cfgdrive-virt``.

Exit codes: 0 done; 1 it could not be done; 2 what was asked for is wrong
(options, instance file, configuration).  Answers go to standard output,
all else to standard error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import click
from oslo_config import cfg
from rich.console import Console
from rich.syntax import Syntax
from rich.text import Text
from rich.tree import Tree

from cfgdrive_virt.adapters import drive_view, instance_file
from cfgdrive_virt.adapters.libvirt import LibvirtService, connected
from cfgdrive_virt.driver import ConfigDriveDriver, Plan
from cfgdrive_virt.exception import (
    ConfigDriveError,
    ImageError,
    InvalidConfiguration,
    InvalidRequest,
    StoreError,
    UnsupportedCombination,
)
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.store.file import write_file

_WRONG_CALL = (InvalidConfiguration, InvalidRequest, UnsupportedCombination)

#: Largest file that inspect reads; no drive that we build is as large.
_MOST_BYTES = 4096 * 1024 * 1024

_instance = click.argument("instance", type=click.File("rb"))
_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_connect = click.option(
    "--connect",
    metavar="URI",
    required=True,
    envvar="LIBVIRT_DEFAULT_URI",
    help="The libvirt to use, such as qemu:///system.",
)


class _Failure(click.ClickException):
    exit_code = 1


class _WrongCall(click.ClickException):
    exit_code = 2


class _Group(click.Group):
    """Print our own errors as such; only a defect makes a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigDriveError as error:
            wrong_call = isinstance(error, _WRONG_CALL)
            kind = _WrongCall if wrong_call else _Failure
            raise kind(drive_view.printable(str(error))) from error


@click.group(
    cls=_Group, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--config-file",
    "config_files",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    multiple=True,
    help="A nova.conf; may be given more than once. Default: none, nova's"
    " defaults hold.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log to standard error.")
@click.version_option(package_name="cfgdrive_virt")
@click.pass_context
def main(
    ctx: click.Context, config_files: tuple[str, ...], verbose: bool
) -> None:
    """Build config drives for libvirt guests.

    INSTANCE is an instance file (YAML or JSON), - is standard input.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s: %(message)s",
    )
    ctx.obj = _driver(config_files)


@main.command()
@_instance
@click.option(
    "-o", "--output", required=True, metavar="FILE", type=click.Path(),
    help="Written whole or not at all, for its owner's eyes only.",
)  # fmt: skip
@click.option(
    "--format",
    "image_format",
    type=click.Choice([ISO9660, VFAT]),
    help="Default: config_drive_format.",
)
@_json
@click.pass_obj
def build(
    driver: ConfigDriveDriver,
    instance: BinaryIO,
    output: str,
    image_format: str | None,
    as_json: bool,
) -> None:
    """Build a drive into a file, whether the instance needs one or not."""
    image_format = image_format or driver.settings.config_drive_format
    image = driver.build(_load(instance), image_format or ISO9660)
    # A linked directory may be meant; a link in the drive's own place not.
    path = Path(output).parent.resolve() / Path(output).name
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise StoreError(f"{path} is no regular file; name another")
    write_file(path, image.data, temporary=f".{path.name}.{os.getpid()}")
    digest = hashlib.sha256(image.data).hexdigest()
    if as_json:
        _print_json(
            {
                "path": str(path),
                "format": image.format,
                "size": len(image.data),
                "sha256": digest,
            }
        )
        return
    _print_facts(
        {
            "drive": str(path),
            "format": image.format,
            "size": f"{len(image.data):,} bytes",
            "sha256": digest,
        }
    )


@main.command()
@_instance
@_json
@click.pass_obj
def plan(driver: ConfigDriveDriver, instance: BinaryIO, as_json: bool) -> None:
    """Show what would be built, where, which XML, and why."""
    found = driver.plan(_load(instance))
    if as_json:
        _print_json(_plan_document(found))
        return
    _print_plan(found)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--show-secrets", is_flag=True, help="Mask nothing.")
@click.option(
    "--extract",
    "directory",
    metavar="DIR",
    type=click.Path(),
    help="Write the tree, secrets and all, to a new directory.",
)
@_json
def inspect(
    file: str, show_secrets: bool, directory: str | None, as_json: bool
) -> None:
    """Show the tree of a drive, secrets masked."""
    data = _read(Path(file))
    tree = iso9660.read(data)
    files = drive_view.describe(tree, show_secrets=show_secrets)
    if directory is not None:
        drive_view.extract(tree, Path(directory))
    label = iso9660.label(data)
    if as_json:
        _print_json(
            {
                "path": file,
                "format": ISO9660,
                "label": label,
                "size": len(data),
                "files": files,
            }
        )
        return
    _print_tree(f"{label} ({ISO9660}, {len(data):,} bytes)", files)


@main.command()
@_instance
@_connect
@click.option(
    "--domain",
    metavar="FILE",
    type=click.File("rb"),
    help="The domain's XML, without the drive. Default: a small domain with"
    " the instance's interfaces, which boots nothing.",
)
@click.option("--rebuild", is_flag=True, help="Replace a drive that is there.")
@_json
@click.pass_obj
def spawn(
    driver: ConfigDriveDriver,
    instance: BinaryIO,
    connect: str,
    domain: BinaryIO | None,
    rebuild: bool,
    as_json: bool,
) -> None:
    """Define a domain, build its drive, start it; all of it or nothing."""
    request = _load(instance)
    xml = None if domain is None else domain.read()
    with connected(connect) as connection:
        service = LibvirtService(connection, driver)
        spawned = service.spawn(request, xml, rebuild=rebuild)
    built = None if spawned.drive is None else spawned.drive.built
    if as_json:
        document = _plan_document(spawned.plan)
        _print_json({"domain": spawned.domain, "built": built, **document})
        return
    _print_facts({"domain": f"{spawned.domain} is running"})
    _print_plan(spawned.plan)
    if built is False:
        _print_facts({"note": "the drive was there already: left alone"})


@main.command()
@click.argument("uuid")
@_connect
@_json
@click.pass_obj
def destroy(
    driver: ConfigDriveDriver, uuid: str, connect: str, as_json: bool
) -> None:
    """Remove an instance that spawn made: its domain and its drive."""
    driver.location(uuid)
    with connected(connect) as connection:
        destroyed = LibvirtService(connection, driver).destroy(uuid)
    if as_json:
        _print_json(dataclasses.asdict(destroyed))
        return
    words = {True: "removed", False: "there was none"}
    _print_facts(
        {
            "domain": words[destroyed.domain],
            "drive": words[destroyed.drive],
        }
    )


def _driver(config_files: tuple[str, ...]) -> ConfigDriveDriver:
    conf = cfg.ConfigOpts()
    try:
        conf(
            args=[],
            project="cfgdrive-virt",
            default_config_files=list(config_files),
            default_config_dirs=[],
        )
    except cfg.ConfigFileParseError as error:
        # Its own text quotes the line, and nova.conf is full of passwords.
        line = getattr(error.__context__, "lineno", "?")
        raise InvalidConfiguration(
            f"{error.config_file}, line {line}: neither [group], name ="
            " value, nor a comment"
        ) from None
    except cfg.Error as error:
        raise InvalidConfiguration(str(error)) from error
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return ConfigDriveDriver(conf, clock=time.time)
    if not (epoch.isascii() and epoch.isdigit()):
        raise InvalidConfiguration(
            f"SOURCE_DATE_EPOCH must be seconds since 1970, not {epoch[:20]!a}"
        )
    return ConfigDriveDriver(conf, clock=lambda: int(epoch))


def _load(instance: BinaryIO) -> ConfigDriveRequest:
    source = getattr(instance, "name", "-")
    name = source if isinstance(source, str) else "standard input"
    return instance_file.load(
        instance.read(), name.replace("<stdin>", "standard input")
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # A device such as /dev/zero has no end.
            data = b"" if path.is_char_device() else file.read(_MOST_BYTES)
    except OSError as error:
        raise StoreError(f"can't read {path}: {error.strerror}") from error
    if not data or len(data) == _MOST_BYTES:
        raise ImageError(f"{path} is no config drive: it is empty or endless")
    return data


def _plan_document(plan: Plan) -> dict[str, Any]:
    decision = plan.decision
    return {
        "required": plan.requirement.required,
        "required_reason": plan.requirement.reason,
        "location": None if plan.location is None else str(plan.location),
        "decision": None if decision is None else dataclasses.asdict(decision),
        "disk_xml": plan.disk_xml,
    }


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2))


def _print_facts(facts: dict[str, str]) -> None:
    for name, value in facts.items():
        text = drive_view.printable(value)
        _console().print(Text.assemble((f"{name:<8}", "bold"), text))


def _print_plan(plan: Plan) -> None:
    verdict = "yes" if plan.requirement else "no"
    facts = {"drive": f"{verdict}: {plan.requirement.reason}"}
    if plan.decision is not None:
        decision = plan.decision
        access = "read-only" if decision.readonly else "writable"
        facts |= {
            "format": decision.format,
            "device": f"{decision.device} {decision.target} on"
            f" {decision.bus}, {access}",
            "why": decision.reason,
            "where": str(plan.location),
        }
    _print_facts(facts)
    if plan.disk_xml is not None:
        _console().print()
        _console().print(_syntax(plan.disk_xml.rstrip(), "xml"))


def _print_tree(title: str, files: dict[str, dict[str, Any]]) -> None:
    console = _console()
    root = Tree(Text(drive_view.printable(title), "bold"))
    branches = {"": root}
    for path, file in files.items():
        directory, _, name = path.rpartition("/")
        size = f"  {file['size']:,}"
        _branch(branches, directory).add(
            Text.assemble(drive_view.printable(name), (size, "dim"))
        )
    console.print(root)
    for path, file in files.items():
        content = file.get("json", file.get("text", drive_view.MASK))
        if "latest" not in path.split("/") or content == drive_view.MASK:
            continue
        text = content
        if "json" in file:
            text = json.dumps(content, indent=2, ensure_ascii=False)
        console.print()
        console.print(Text(drive_view.printable(path), "bold"))
        console.print(
            _syntax(
                drive_view.printable(text),
                "json" if "json" in file else "text",
            )
        )


def _branch(branches: dict[str, Tree], directory: str) -> Tree:
    if directory not in branches:
        parent, _, name = directory.rpartition("/")
        branches[directory] = _branch(branches, parent).add(
            Text(drive_view.printable(name))
        )
    return branches[directory]


def _syntax(text: str, language: str) -> Syntax:
    return Syntax(
        text, language, theme="ansi_dark", background_color="default"
    )


def _console() -> Console:
    # Piped, lines stay whole: somebody's grep is reading.
    width = None if sys.stdout.isatty() else 100_000
    return Console(width=width, highlight=False, soft_wrap=True)
