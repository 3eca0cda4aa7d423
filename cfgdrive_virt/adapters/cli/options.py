"""Arguments and options that several commands have in common."""

from __future__ import annotations

import click

from cfgdrive_virt.adapters.cli import inputs

_file = click.Path(exists=True, dir_okay=False, allow_dash=True)


def _drive(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Accept a file, or a volume as ``rbd:pool/name``."""
    if not inputs.is_volume(value):
        _file.convert(value, param, ctx)
    return value


instance = click.argument("instance", type=_file)
drive = click.argument("drive", callback=_drive)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print the answer as JSON."
)
connect = click.option(
    "--connect",
    metavar="URI",
    required=True,
    envvar="LIBVIRT_DEFAULT_URI",
    help="libvirt URI, such as qemu:///system.",
)
force = click.option(
    "--force",
    is_flag=True,
    help="Eject a cdrom even if the guest has mounted it.",
)
