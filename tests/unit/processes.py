"""Other processes for the tests: children, other users, small file systems.

As root, or with sudo: mounting a file system takes that.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cfgdrive_virt import ConfigDriveError

NOBODY = 65_534
_COMMAND = Path(sys.executable).with_name("cfgdrive-virt")


class Child:
    """A process that runs a function and answers with what it returned.

    A ConfigDriveError is answered as text, "StoreError: ...".
    """

    def __init__(
        self, function: Callable[[], Any], *, as_nobody: bool = False
    ) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            try:
                self._answer(function, writing, as_nobody=as_nobody)
            finally:
                os._exit(0)
        os.close(writing)
        self._reading = reading

    @staticmethod
    def _answer(
        function: Callable[[], Any], writing: int, *, as_nobody: bool
    ) -> None:
        answer: Any
        try:
            if as_nobody and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            answer = function()
        except ConfigDriveError as error:
            answer = f"{type(error).__name__}: {error}"
        except BaseException:
            answer = traceback.format_exc()
        with open(writing, "wb") as pipe:
            pickle.dump(answer, pipe)

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.answer()

    def answer(self) -> Any:
        """Wait for the answer; None if it was killed."""
        with open(self._reading, "rb") as pipe:
            data = pipe.read()
        os.waitpid(self.pid, 0)
        return pickle.loads(data) if data else None


def as_nobody(function: Callable[[], Any]) -> Any:
    """Return what a function returns to a user without any rights."""
    return Child(function, as_nobody=True).answer()


def on_tmpfs(directory: Path, options: str, program: str) -> str:
    """Return what a program prints that sees a tmpfs on a directory.

    The program is Python, in a mount namespace of its own: what it mounts
    is gone with it.  ``sys.argv[1]`` is the directory.
    """
    become = [] if os.geteuid() == 0 else ["sudo"]
    mount = f'mount -t tmpfs -o {options} tmpfs "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        [
            *become, "unshare", "--mount", "sh", "-c", mount, "sh",
            str(directory), sys.executable, program,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*arguments: str | os.PathLike[str]) -> list[str]:
    """Return the command line of a real cfgdrive-virt."""
    return [str(_COMMAND), *map(os.fspath, arguments)]


def python(program: str, *arguments: str) -> str:
    """Return what a Python program of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
