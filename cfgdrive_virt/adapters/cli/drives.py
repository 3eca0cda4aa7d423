"""Commands on drives: build, plan, inspect and verify."""

from __future__ import annotations

import hashlib
import stat
import sys
from pathlib import Path

import click

from cfgdrive_virt import image
from cfgdrive_virt.adapters.cli import (
    drive_view,
    extraction,
    inputs,
    options,
    terminal,
)
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.driver.verification import verify as verified
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.store.atomic_write import write_file
from cfgdrive_virt.store.directory import Directory, kind
from cfgdrive_virt.store.os_error import explained


@click.command()
@options.instance
@click.option(
    "-o", "--output", required=True, metavar="FILE", type=click.Path(),
    help="Image file to write, with mode 0600. It appears complete or not at"
    " all.",
)  # fmt: skip
@click.option(
    "--format",
    "image_format",
    type=click.Choice([ISO9660, VFAT]),
    help="Image format. Default: the one that plan shows.",
)
@options.as_json
@click.pass_obj
def build(
    driver: ConfigDriveDriver,
    instance: str,
    output: str,
    image_format: str | None,
    as_json: bool,
) -> None:
    """Build a drive into a file.

    It is built even if the instance does not need one.
    """
    built = driver.build(inputs.load_instance(instance), image_format)
    path = Path(output).absolute()
    _write(path, built.data)
    digest = hashlib.sha256(built.data).hexdigest()
    if as_json:
        terminal.print_json(
            {
                "path": str(path),
                "format": built.format,
                "size": len(built.data),
                "sha256": digest,
            }
        )
        return
    terminal.print_facts(
        {
            "drive": str(path),
            "format": built.format,
            "size": f"{len(built.data):,} bytes",
            "sha256": digest,
        }
    )


@click.command()
@options.instance
@options.as_json
@click.pass_obj
def plan(driver: ConfigDriveDriver, instance: str, as_json: bool) -> None:
    """Show the planned drive, its XML and why.

    Nothing is built.
    """
    found = driver.plan(inputs.load_instance(instance))
    if as_json:
        terminal.print_json(terminal.plan_document(found))
        return
    terminal.print_plan(found)


@click.command()
@options.drive
@click.option("--show-secrets", is_flag=True, help="Do not mask secrets.")
@click.option(
    "--extract",
    "directory",
    metavar="DIR",
    type=click.Path(),
    help="Write the files, including all secrets, to a new directory.",
)
@options.as_json
@click.pass_obj
def inspect(
    driver: ConfigDriveDriver,
    drive: str,
    show_secrets: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    """Show the files of a drive, secrets masked."""
    data = inputs.read_drive(drive, driver.settings)
    found = image.read(data)
    files = drive_view.describe(found.tree, show_secrets=show_secrets)
    if directory is not None:
        extraction.extract(found.tree, Path(directory))
    facts = {
        "path": drive,
        "format": found.format,
        "label": found.label,
        "size": len(data),
    }
    if as_json:
        terminal.print_json({**facts, "files": files})
        return
    title = f"{found.label} ({found.format}, {len(data):,} bytes)"
    terminal.print_tree(title, files)


@click.command()
@options.drive
@click.option(
    "--instance",
    metavar="INSTANCE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Compare the drive with this instance file.",
)
@click.option("--show-secrets", is_flag=True, help="Do not mask secrets.")
@options.as_json
@click.pass_obj
def verify(
    driver: ConfigDriveDriver,
    drive: str,
    instance: str | None,
    show_secrets: bool,
    as_json: bool,
) -> None:
    """Check a drive, and compare it with an instance.

    Exit code 1 if the drive is damaged, or differs from the instance file.
    """
    if drive == instance == "-":
        raise click.UsageError(
            "DRIVE and --instance can't both be standard input"
        )
    request = None if instance is None else inputs.load_instance(instance)
    found = image.read(inputs.read_drive(drive, driver.settings))
    verdict = verified(found, driver.settings, request)
    problems = [str(problem) for problem in verdict.problems]
    differences = [
        drive_view.difference(difference, show_secrets=show_secrets)
        for difference in verdict.differences
    ]
    if as_json:
        terminal.print_json(
            {
                "path": drive,
                "format": found.format,
                "problems": problems,
                "differences": differences,
                "more": verdict.more,
            }
        )
    else:
        same = "; it matches the instance file" if instance and verdict else ""
        whole = "damaged" if problems else f"intact {found.format} drive"
        terminal.print_facts({"drive": whole + same})
        terminal.print_lines(problems)
        terminal.print_differences(differences)
        terminal.print_more(verdict.more, "problems or differences")
    if not verdict:
        sys.exit(1)


def _write(path: Path, data: bytes) -> None:
    """Write an image; follow links to its directory, but not as the file.

    :raises StoreError: if it can't be written
    """
    with (
        explained(f"can't write {path}"),
        Directory.of(path.parent) as directory,
    ):
        status = directory.status(path.name)
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise StoreError(
                f"{path} is {kind(status.st_mode)}, not a regular file;"
                " choose another one"
            )
        write_file(
            directory,
            path.name,
            (data,),
            temporary=extraction.temporary_name(path.name),
        )
