"""Commands on instances: spawn, status, refresh, forget and destroy."""

from __future__ import annotations

import dataclasses
import sys

import click

from cfgdrive_virt.adapters import libvirt
from cfgdrive_virt.adapters.cli import inputs, options, terminal
from cfgdrive_virt.adapters.cli.connection import connected
from cfgdrive_virt.driver.driver import ConfigDriveDriver, Drive
from cfgdrive_virt.model.request import ONE_SHOT
from cfgdrive_virt.model.status import FRESH

_MAX_DOMAIN_BYTES = 16 * 1024 * 1024


@click.command()
@options.instance
@options.connect
@click.option(
    "--domain",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="XML of the domain, without the drive. Default: a small domain that"
    " has the instance's interfaces and boots nothing.",
)
@click.option("--rebuild", is_flag=True, help="Replace an existing drive.")
@options.as_json
@options.pass_driver
def spawn(
    driver: ConfigDriveDriver,
    instance: str,
    connect: str,
    domain: str | None,
    rebuild: bool,
    as_json: bool,
) -> None:
    """Define a domain, build its drive and start it.

    If a step fails, the steps before it are undone.
    """
    request = inputs.load_instance(instance)
    xml = (
        None if domain is None else inputs.read_file(domain, _MAX_DOMAIN_BYTES)
    )
    with connected(connect) as connection:
        service = libvirt.LibvirtService(connection, driver)
        spawned = service.spawn(request, xml, rebuild=rebuild)
    built = None if spawned.drive is None else spawned.drive.built
    if as_json:
        document = terminal.plan_document(spawned.plan)
        terminal.print_json(
            {"domain": spawned.domain, "built": built, **document}
        )
        return
    terminal.print_facts({"domain": f"{spawned.domain} is running"})
    terminal.print_plan(spawned.plan)
    if built is False:
        terminal.print_facts(
            {"note": "the drive existed already; not changed"}
        )


@click.command()
@options.instance
@options.as_json
@options.pass_driver
def status(driver: ConfigDriveDriver, instance: str, as_json: bool) -> None:
    """Show if a drive is fresh, stale, damaged or missing.

    For a stale drive, the keys that changed are shown, never their values.
    Exit code 1 unless the drive is fresh.
    """
    found = driver.status(inputs.load_instance(instance))
    if as_json:
        terminal.print_json(
            {
                "location": str(found.location),
                "status": found.state,
                "details": list(found.details),
            }
        )
    else:
        terminal.print_facts(
            {"drive": str(found.location), "status": found.state}
        )
        terminal.print_lines(found.details)
    if found.state != FRESH:
        sys.exit(1)


@click.command()
@options.instance
@options.connect
@options.force
@options.as_json
@options.pass_driver
def refresh(
    driver: ConfigDriveDriver,
    instance: str,
    connect: str,
    force: bool,
    as_json: bool,
) -> None:
    """Update a drive, also in a running guest."""
    request = inputs.load_instance(instance)
    with connected(connect) as connection:
        service = libvirt.LibvirtService(connection, driver)
        drive = service.refresh(request, force=force)
    _print_result(drive, as_json=as_json)


@click.command("forget-secrets")
@click.argument("uuid")
@options.connect
@click.option(
    "--secret",
    "names",
    type=click.Choice(ONE_SHOT),
    multiple=True,
    help="Secret to remove; may be repeated. Default: those of"
    " [cfgdrive_virt] one_shot_secrets.",
)
@options.force
@options.as_json
@options.pass_driver
def forget_secrets(
    driver: ConfigDriveDriver,
    uuid: str,
    connect: str,
    names: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Remove one-shot secrets from a drive.

    The instance must be up, so that it no longer needs them.
    """
    driver.location(uuid)
    with connected(connect) as connection:
        service = libvirt.LibvirtService(connection, driver)
        drive = service.forget_secrets(uuid, names or None, force=force)
    _print_result(drive, as_json=as_json)


@click.command()
@click.argument("uuid")
@options.connect
@options.as_json
@options.pass_driver
def destroy(
    driver: ConfigDriveDriver, uuid: str, connect: str, as_json: bool
) -> None:
    """Remove a domain that spawn made, and its drives.

    Other domains are left alone, with an error.
    """
    driver.location(uuid)
    with connected(connect) as connection:
        destroyed = libvirt.LibvirtService(connection, driver).destroy(uuid)
    if as_json:
        terminal.print_json(dataclasses.asdict(destroyed))
        return
    words = {True: "removed", False: "did not exist"}
    terminal.print_facts(
        {
            "domain": words[destroyed.domain],
            "drive": words[destroyed.drive],
        }
    )


def _print_result(drive: Drive | None, *, as_json: bool) -> None:
    place = None if drive is None else str(drive.location)
    rewritten = drive is not None and drive.built
    if as_json:
        terminal.print_json({"location": place, "rewritten": rewritten})
        return
    note = "rewritten" if rewritten else "already fresh; not changed"
    terminal.print_facts(
        {"drive": place or "none", "note": note if drive else "not required"}
    )
