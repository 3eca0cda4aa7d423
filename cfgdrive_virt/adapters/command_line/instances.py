"""Commands on instances: spawn and destroy."""

from __future__ import annotations

import dataclasses

import click

from cfgdrive_virt.adapters import inputs, terminal
from cfgdrive_virt.adapters.command_line import options
from cfgdrive_virt.adapters.libvirt import LibvirtService, connected
from cfgdrive_virt.driver import ConfigDriveDriver

_MOST_DOMAIN_BYTES = 16 * 1024 * 1024


@click.command()
@options.instance
@options.connect
@click.option(
    "--domain",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="The domain's XML, without the drive. Default: a small domain with"
    " the instance's interfaces, which boots nothing.",
)
@click.option("--rebuild", is_flag=True, help="Replace a drive that is there.")
@options.as_json
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
        document = terminal.plan_document(spawned.plan)
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


@click.command()
@click.argument("uuid")
@options.connect
@options.as_json
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
