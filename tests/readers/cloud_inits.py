"""The releases of cloud-init that read drives in the tests."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

_PROCESS = Path(__file__).with_name("cloud_init_process.py")
_CACHE = Path(
    os.environ.get("CFGDRIVE_VIRT_CACHE")
    or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache",
        "cfgdrive-virt",
    )
)


def unpacked(name: str, pattern: str) -> Path:
    """Return a file that contrib/run-tests.sh has unpacked.

    :param name: that of its directory in the cache
    :param pattern: releases have a program in /sbin or in /usr/sbin
    """
    found = next(_CACHE.joinpath(name).glob(pattern), None)
    if found is None:
        pytest.fail(
            f"{_CACHE / name} has no {pattern}: run contrib/run-tests.sh once"
        )
    return found


class CloudInit:
    """A release of cloud-init, in a process of its own.

    :param name: as for :func:`unpacked`
    """

    def __init__(self, name: str) -> None:
        packages = unpacked(name, "usr/lib/python3/dist-packages")
        self._process = subprocess.Popen(
            [sys.executable, _PROCESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # It logs what it refuses.
            stderr=subprocess.DEVNULL,
            text=True,
            env={"PYTHONPATH": str(packages), "PATH": os.defpath},
        )

    def read(
        self,
        files: Mapping[str, bytes],
        nics: Iterable[tuple[str, str]] = (),
        renderers: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Return what it makes of a drive: see cloud_init_process.answer.

        :param nics: names and MACs of the guest's
        :param renderers: those that write the guest's network
        """
        asked = {
            "files": {
                path: base64.b64encode(content).decode()
                for path, content in files.items()
            },
            "nics": list(nics),
            "renderers": list(renderers),
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps(asked)}\n")
        self._process.stdin.flush()
        answered: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answered

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
