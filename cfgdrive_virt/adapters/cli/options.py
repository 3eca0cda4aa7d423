"""Arguments and options that several commands have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import click

from cfgdrive_virt.adapters.cli import inputs
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.readers import READERS, Reader

_P = ParamSpec("_P")
_R = TypeVar("_R")
_ALL = "all"
_file = click.Path(exists=True, dir_okay=False, allow_dash=True)


def _drive(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Accept a file, or a volume as ``rbd:pool/name``."""
    if not inputs.is_volume(value):
        _file.convert(value, param, ctx)
    return value


def _readers(
    _ctx: click.Context, _param: click.Parameter, names: tuple[str, ...]
) -> tuple[Reader, ...]:
    chosen = READERS if _ALL in names else dict.fromkeys(names)
    return tuple(READERS[name] for name in chosen)


def pass_driver(
    command: Callable[Concatenate[ConfigDriveDriver, _P], _R],
) -> Callable[_P, _R]:
    """Give a command the driver that the files of --config-file configure."""

    @click.pass_obj
    def call(
        config_files: tuple[str, ...], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        return command(inputs.make_driver(config_files), *args, **kwargs)

    functools.update_wrapper(call, command)
    return call


instance = click.argument("instance", type=_file)
drive = click.argument("drive", callback=_drive)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print the answer as JSON."
)
readers = click.option(
    "--reader",
    "readers",
    metavar="NAME",
    type=click.Choice([*READERS, _ALL]),
    multiple=True,
    callback=_readers,
    help="Program in the guest that reads the drive; may be repeated:"
    f" {', '.join(READERS)}, or {_ALL}. Default: those that the image"
    f" properties of INSTANCE suggest, else {next(iter(READERS))}.",
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
