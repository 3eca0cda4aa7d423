"""Commands on drives: build, plan, lint, inspect and verify."""

from __future__ import annotations

import dataclasses
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
from cfgdrive_virt.exception import ConfigDriveError, StoreError
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.readers import Loss, Reader, likely
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
@options.pass_driver
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
@options.pass_driver
def plan(driver: ConfigDriveDriver, instance: str, as_json: bool) -> None:
    """Show the planned drive, its XML and why.

    The warnings include what the guest's reader would lose. Nothing is built.
    """
    request = inputs.load_instance(instance)
    found = driver.plan(request)
    losses: tuple[Loss, ...] = ()
    problem = None
    try:
        if found.required:
            losses = driver.losses(request)
    except ConfigDriveError as error:
        # The decision is the answer all the same.
        problem = f"the drive can't be built: {error}"
    losses = tuple(map(drive_view.shortened, losses))
    if as_json:
        lost = list(map(dataclasses.asdict, losses))
        terminal.print_json(
            {
                **terminal.plan_document(found),
                "losses": lost,
                "problem": problem,
            }
        )
        return
    warnings = [problem] if problem else []
    terminal.print_plan(found, [*warnings, *map(str, losses)])


@click.command()
@options.instance
@options.readers
@options.as_json
@options.pass_driver
def lint(
    driver: ConfigDriveDriver,
    instance: str,
    readers: tuple[Reader, ...],
    as_json: bool,
) -> None:
    """Show what readers would lose of a drive.

    Nothing is built. Exit code 1 if anything would be lost.
    """
    request = inputs.load_instance(instance)
    readers = readers or likely(request.image_properties)
    losses = driver.losses(request, readers)
    losses = tuple(map(drive_view.shortened, losses))
    names = [reader.name for reader in readers]
    if as_json:
        lost = list(map(dataclasses.asdict, losses))
        terminal.print_json({"readers": names, "losses": lost})
    else:
        count = f"{len(losses):,}" if losses else "none"
        terminal.print_facts({"losses": f"{count} for {', '.join(names)}"})
        terminal.print_lines(list(map(str, losses)))
    if losses:
        sys.exit(1)


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
@options.pass_driver
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
@options.readers
@click.option("--show-secrets", is_flag=True, help="Do not mask secrets.")
@options.as_json
@options.pass_driver
def verify(
    driver: ConfigDriveDriver,
    drive: str,
    instance: str | None,
    readers: tuple[Reader, ...],
    show_secrets: bool,
    as_json: bool,
) -> None:
    """Check a drive, and compare it with an instance.

    Exit code 1 if the drive is damaged, differs from the instance file, or
    is refused by a reader. What readers lose of it is listed too.
    """
    if drive == instance == "-":
        raise click.UsageError(
            "DRIVE and --instance can't both be standard input"
        )
    request = None if instance is None else inputs.load_instance(instance)
    data = inputs.read_drive(drive, driver.settings)
    found = image.read(data)
    readers = readers or likely(request.image_properties if request else {})
    verdict = verified(found, driver.settings, request, readers, len(data))
    problems = [str(problem) for problem in verdict.problems]
    differences = [
        drive_view.difference(difference, show_secrets=show_secrets)
        for difference in verdict.differences
    ]
    losses = list(map(drive_view.shortened, verdict.losses))
    if as_json:
        terminal.print_json(
            {
                "path": drive,
                "format": found.format,
                "problems": problems,
                "differences": differences,
                "readers": [reader.name for reader in readers],
                "losses": list(map(dataclasses.asdict, losses)),
                "more": verdict.more,
            }
        )
    else:
        said = "damaged" if problems else f"intact {found.format} drive"
        if request is not None and not problems and not differences:
            said += "; it matches the instance file"
        if verdict.refused_by:
            said += f"; refused by {', '.join(verdict.refused_by)}"
        terminal.print_facts({"drive": said})
        terminal.print_lines(problems)
        terminal.print_differences(differences)
        terminal.print_lines(list(map(str, losses)))
        terminal.print_more(verdict.more, "problems, differences or losses")
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
