"""The command ``cfgdrive-virt``.

Exit codes: 0 done; 1 it could not be done; 2 what was asked for is wrong
(options, instance file, configuration).  Answers go to standard output,
all else to standard error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from cfgdrive_virt.adapters import drive_view, inputs, terminal
from cfgdrive_virt.adapters.libvirt import LibvirtService, connected, silence
from cfgdrive_virt.driver import ConfigDriveDriver, Plan
from cfgdrive_virt.exception import (
    ConfigDriveError,
    InvalidConfiguration,
    InvalidDomain,
    InvalidRequest,
    StoreError,
    UnsupportedCombination,
)
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.store.file import write_file

_WRONG_CALL = (
    InvalidConfiguration,
    InvalidDomain,
    InvalidRequest,
    UnsupportedCombination,
)

#: Largest file that inspect reads, unless max_drive_size is larger.
_MOST_BYTES = 256 * 1024 * 1024
_MOST_DOMAIN_BYTES = 16 * 1024 * 1024

_instance = click.argument(
    "instance", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
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

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if sys.stdout is None:
            sys.exit("Error: standard output is closed")
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Python tries once more at its end, and complains by itself.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(f"Error: can't answer: {error.strerror}")

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except ConfigDriveError as error:
            wrong_call = isinstance(error, _WRONG_CALL)
            kind = _WrongCall if wrong_call else _Failure
            raise kind(terminal.printable(str(error), lines=True)) from error
        return result


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
    silence()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup, say, one is ignored, and stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s: %(message)s",
    )
    ctx.obj = inputs.make_driver(config_files)


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
    instance: str,
    output: str,
    image_format: str | None,
    as_json: bool,
) -> None:
    """Build a drive into a file, whether the instance needs one or not."""
    image_format = image_format or driver.settings.config_drive_format
    image = driver.build(
        inputs.load_instance(instance), image_format or ISO9660
    )
    # A linked directory may be meant; a link in the drive's own place not.
    path = Path(output).parent.resolve() / Path(output).name
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise StoreError(f"{path} is no regular file; name another")
    write_file(path, image.data, temporary=f".cfgdrive_virt.{os.getpid()}")
    digest = hashlib.sha256(image.data).hexdigest()
    if as_json:
        terminal.print_json(
            {
                "path": str(path),
                "format": image.format,
                "size": len(image.data),
                "sha256": digest,
            }
        )
        return
    terminal.print_facts(
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
def plan(driver: ConfigDriveDriver, instance: str, as_json: bool) -> None:
    """Show what would be built, where, which XML, and why."""
    found = driver.plan(inputs.load_instance(instance))
    if as_json:
        terminal.print_json(_plan_document(found))
        return
    terminal.print_plan(found)


@main.command()
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option("--show-secrets", is_flag=True, help="Mask nothing.")
@click.option(
    "--extract",
    "directory",
    metavar="DIR",
    type=click.Path(),
    help="Write the tree, secrets and all, to a new directory.",
)
@_json
@click.pass_obj
def inspect(
    driver: ConfigDriveDriver,
    file: str,
    show_secrets: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    """Show the tree of a drive, secrets masked."""
    data = inputs.read_file(
        file, max(_MOST_BYTES, driver.settings.max_drive_size)
    )
    tree = iso9660.read(data)
    files = drive_view.describe(tree, show_secrets=show_secrets)
    if directory is not None:
        drive_view.extract(tree, Path(directory))
    label = iso9660.label(data)
    if as_json:
        terminal.print_json(
            {
                "path": file,
                "format": ISO9660,
                "label": label,
                "size": len(data),
                "files": files,
            }
        )
        return
    terminal.print_tree(f"{label} ({ISO9660}, {len(data):,} bytes)", files)


@main.command()
@_instance
@_connect
@click.option(
    "--domain",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="The domain's XML, without the drive. Default: a small domain with"
    " the instance's interfaces, which boots nothing.",
)
@click.option("--rebuild", is_flag=True, help="Replace a drive that is there.")
@_json
@click.pass_obj
def spawn(
    driver: ConfigDriveDriver,
    instance: str,
    connect: str,
    domain: str | None,
    rebuild: bool,
    as_json: bool,
) -> None:
    """Define a domain, build its drive, start it; all of it or nothing."""
    request = inputs.load_instance(instance)
    xml = (
        None
        if domain is None
        else inputs.read_file(domain, _MOST_DOMAIN_BYTES)
    )
    with connected(connect) as connection:
        service = LibvirtService(connection, driver)
        spawned = service.spawn(request, xml, rebuild=rebuild)
    built = None if spawned.drive is None else spawned.drive.built
    if as_json:
        document = _plan_document(spawned.plan)
        terminal.print_json(
            {"domain": spawned.domain, "built": built, **document}
        )
        return
    terminal.print_facts({"domain": f"{spawned.domain} is running"})
    terminal.print_plan(spawned.plan)
    if built is False:
        terminal.print_facts(
            {"note": "the drive was there already: left alone"}
        )


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
        terminal.print_json(dataclasses.asdict(destroyed))
        return
    words = {True: "removed", False: "there was none"}
    terminal.print_facts(
        {
            "domain": words[destroyed.domain],
            "drive": words[destroyed.drive],
        }
    )


def _end(number: int, _: object) -> NoReturn:
    """End as by an exception, so that what was begun is undone."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _plan_document(plan: Plan) -> dict[str, Any]:
    decision = plan.decision
    return {
        "required": plan.requirement.required,
        "required_reason": plan.requirement.reason,
        "location": None if plan.location is None else str(plan.location),
        "decision": None if decision is None else dataclasses.asdict(decision),
        "disk_xml": plan.disk_xml,
    }
