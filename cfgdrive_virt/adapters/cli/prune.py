"""Commands on all drives of a host or a pool: list and prune."""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from cfgdrive_virt import policy
from cfgdrive_virt.adapters import libvirt
from cfgdrive_virt.adapters.cli import drive_view, inputs, options, terminal
from cfgdrive_virt.adapters.cli.connection import connected
from cfgdrive_virt.adapters.cli.printable import printable
from cfgdrive_virt.driver import orphans, stores
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.store import file_system
from cfgdrive_virt.store.base import Progress

_HOUR = 3600


@click.command("list")
@options.as_json
@options.pass_driver
def list_drives(driver: ConfigDriveDriver, as_json: bool) -> None:
    """List the drives of this host or of the Ceph pool.

    Exit code 1 if one can't be accessed; standard error says why.
    """
    failed = False

    def rows(progress: Progress) -> Iterator[dict[str, Any]]:
        nonlocal failed
        for drive in stores.store_of(driver.settings).drives(progress):
            if drive.problem:
                failed = True
                click.echo(printable(drive.problem), err=True)
            yield drive_view.stored(drive)

    with terminal.progress(rows=True) as progress:
        terminal.print_rows(rows(progress), as_json=as_json)
    if failed:
        sys.exit(1)


@click.command()
@click.option(
    "--connect",
    "uris",
    metavar="URI",
    multiple=True,
    help="libvirt URI whose domains count as existing, such as"
    " qemu:///system; may be repeated.",
)
@click.option(
    "--living",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="File with the UUIDs of existing instances, one per line. Required"
    " where hosts share the storage: list the instances of all hosts.",
)
@click.option(
    "--older-than",
    "hours",
    metavar="HOURS",
    type=click.FloatRange(min=0),
    callback=lambda _ctx, _param, value: _finite(value),
    default=24.0,
    show_default=True,
    help="Keep drives younger than this.",
)
@click.option(
    "--remove",
    is_flag=True,
    help="Remove the drives. Default: only show them.",
)
@options.as_json
@options.pass_driver
def prune(
    driver: ConfigDriveDriver,
    uris: tuple[str, ...],
    living: str | None,
    hours: float,
    remove: bool,
    as_json: bool,
) -> None:
    """Show or remove drives without an instance.

    Drives in use are kept, and so are drives that cfgdrive_virt did not
    build and drives younger than --older-than.
    """
    settings = driver.settings
    alive = _living(settings, uris, living)
    look = functools.partial(
        orphans.prune,
        settings,
        alive,
        now=time.time(),
        minimum_age=hours * _HOUR,
    )
    if remove:
        with terminal.progress(rows=False) as progress:
            _check_living(alive, look(progress=progress))
    failed = False

    def rows(progress: Progress) -> Iterator[dict[str, Any]]:
        nonlocal failed
        for pruned in look(remove=remove, progress=progress):
            failed |= pruned.failed
            verdict = pruned.kept or ("removed" if remove else "orphan")
            yield {**drive_view.stored(pruned.drive), "verdict": verdict}

    with terminal.progress(rows=True) as progress:
        terminal.print_rows(rows(progress), as_json=as_json)
    if failed:
        sys.exit(1)


def _check_living(alive: set[str], found: Iterator[orphans.Pruned]) -> None:
    """Refuse to remove drives if the list is that of other hosts."""
    with_drive = (pruned.drive.location.uuid for pruned in found)
    first = next(with_drive, None)
    if first is None or first in alive:
        return
    if not any(uuid in alive for uuid in with_drive):
        raise click.UsageError(
            "none of the existing instances has a drive here; check that"
            " --living and --connect name the instances of these hosts. If"
            " all of them are gone, remove their drives with destroy"
        )


def _finite(hours: float) -> float:
    if not math.isfinite(hours):
        # No age is less than NaN, so it would keep no drive.
        raise click.BadParameter(f"{hours} is not a number of hours")
    return hours


def _living(
    settings: Settings, uris: tuple[str, ...], living: str | None
) -> set[str]:
    """Return the UUIDs of the existing instances."""
    kind = file_system.type_of(settings.instances_path)
    if living is None and not policy.is_local(settings, kind):
        shared = policy.sharing(settings, kind)
        may = "" if shared else ", as far as is known"
        raise click.UsageError(
            f"{shared.reason}{may}: --living FILE must list the instances of"
            " all hosts that share it, as libvirt knows only those of its own"
            " host. If no hosts share it, set [cfgdrive_virt]"
            " instances_path_shared=no"
        )
    if living is None and not uris:
        raise click.UsageError(
            "give --connect URI, --living FILE, or both, to name the"
            " existing instances"
        )
    alive = set() if living is None else inputs.load_uuids(living)
    for uri in uris:
        with connected(uri) as connection:
            alive |= libvirt.instances(connection)
    return alive
