"""The command ``cfgdrive-virt``.

Exit codes: 0 success; 1 failure, or verify, status or lint found something; 2
invalid input (options, instance file, domain, configuration).  Answers go to
standard output, everything else to standard error.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any, NoReturn

import click

from cfgdrive_virt.adapters.cli import (
    drives,
    inputs,
    instances,
    prune,
    terminal,
)
from cfgdrive_virt.adapters.libvirt import silence
from cfgdrive_virt.exception import (
    ConfigDriveError,
    InvalidConfiguration,
    InvalidDomain,
    InvalidRequest,
    UnsupportedCombination,
)

_WRONG_CALL = (
    InvalidConfiguration,
    InvalidDomain,
    InvalidRequest,
    UnsupportedCombination,
)


class _Failure(click.ClickException):
    exit_code = 1


class _WrongCall(click.ClickException):
    exit_code = 2


class _Group(click.Group):
    """Print our own errors without a traceback: one means a bug."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if sys.stdout is None:
            sys.exit("Error: standard output is closed")
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Without this, Python would flush standard output again when it
            # exits, and print an error of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(f"Error: can't write the answer: {error.strerror}")

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except ConfigDriveError as error:
            wrong_call = isinstance(error, _WRONG_CALL)
            kind = _WrongCall if wrong_call else _Failure
            raise kind(terminal.printable(str(error), lines=True)) from error
        except OSError as error:
            # Without a file name, it comes from standard output.
            if error.filename is None:
                raise
            name = terminal.printable(str(error.filename))
            raise _Failure(f"{name}: {error.strerror}") from error
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
    help="A nova.conf; may be repeated. Default: none, so that nova's"
    " defaults apply.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Log what is done, to standard error.",
)
@click.version_option(package_name="cfgdrive_virt")
@click.pass_context
def main(
    ctx: click.Context, config_files: tuple[str, ...], verbose: bool
) -> None:
    """Build config drives for libvirt guests.

    INSTANCE is an instance file (YAML or JSON). DRIVE is an image file or
    rbd:POOL/VOLUME. Either may be - for standard input.
    """
    silence()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup, for example, SIGHUP is ignored and must stay ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s: %(message)s",
    )
    ctx.obj = inputs.make_driver(config_files)


for _command in (
    drives.build,
    drives.plan,
    drives.lint,
    drives.inspect,
    drives.verify,
    instances.spawn,
    instances.status,
    instances.refresh,
    instances.forget_secrets,
    instances.destroy,
    prune.list_drives,
    prune.prune,
):
    main.add_command(_command)


def _end(number: int, _: object) -> NoReturn:
    """Exit by an exception, so that unfinished work is undone."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
