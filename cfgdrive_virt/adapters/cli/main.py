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

from cfgdrive_virt import lazy
from cfgdrive_virt.adapters.cli.printable import printable
from cfgdrive_virt.exception import (
    ConfigDriveError,
    InvalidConfiguration,
    InvalidDomain,
    InvalidRequest,
    UnsupportedCombination,
)

#: The first line of each command's help, and its module and function, which
#: are loaded, with the libraries that they need, when the command is called.
COMMANDS = {
    "build": ("Build a drive into a file.", "drives", "build"),
    "plan": ("Show the planned drive, its XML and why.", "drives", "plan"),
    "lint": ("Show what readers would lose of a drive.", "drives", "lint"),
    "inspect": (
        "Show the files of a drive, secrets masked.", "drives", "inspect",
    ),
    "verify": (
        "Check a drive, and compare it with an instance.", "drives", "verify",
    ),
    "spawn": (
        "Define a domain, build its drive and start it.",
        "instances", "spawn",
    ),
    "status": (
        "Show if a drive is fresh, stale, damaged or missing.",
        "instances", "status",
    ),
    "refresh": (
        "Update a drive, also in a running guest.", "instances", "refresh",
    ),
    "forget-secrets": (
        "Remove one-shot secrets from a drive.",
        "instances", "forget_secrets",
    ),
    "destroy": (
        "Remove a domain that spawn made, and its drives.",
        "instances", "destroy",
    ),
    "list": (
        "List the drives of this host or of the Ceph pool.",
        "prune", "list_drives",
    ),
    "prune": (
        "Show or remove drives without an instance.", "prune", "prune",
    ),
}  # fmt: skip

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
    """Load commands when they are called, and print their errors.

    Our own errors are printed without a traceback: one means a bug.
    """

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(
        self, _ctx: click.Context, cmd_name: str
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        _, module, function = COMMANDS[cmd_name]
        command: click.Command = lazy.load(
            f"cfgdrive_virt.adapters.cli.{module}", function
        )
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        with formatter.section("Commands"):
            names = self.list_commands(ctx)
            formatter.write_dl([(name, COMMANDS[name][0]) for name in names])

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
            raise kind(printable(str(error), lines=True)) from error
        except OSError as error:
            # Without a file name, it comes from standard output.
            if error.filename is None:
                raise
            name = printable(str(error.filename))
            raise _Failure(f"{name}: {error.strerror}") from error
        except ImportError as error:
            raise _Failure(f"can't load a library: {error}") from error
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
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup, for example, SIGHUP is ignored and must stay ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s: %(message)s",
    )
    ctx.obj = config_files


def _end(number: int, _: object) -> NoReturn:
    """Exit by an exception, so that unfinished work is undone."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
