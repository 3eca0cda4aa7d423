"""Files of a guest, and programs of its that read them here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, str]


class RefusedError(Exception):
    """The guest's program uses none of the files."""


def write(files: Files, root: Path) -> None:
    """Write files below a directory, readable for their owner only."""
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o600)
        file.write_text(text)


def run(
    program: Path, *arguments: str | Path, libraries: Path | None = None
) -> str:
    """Return what a program of a guest prints.

    :raises RefusedError: if it fails
    """
    done = subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
        env={"LD_LIBRARY_PATH": str(libraries or ""), "PATH": os.defpath},
    )
    if done.returncode:
        raise RefusedError(done.stdout)
    return done.stdout
