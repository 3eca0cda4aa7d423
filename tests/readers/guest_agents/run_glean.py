"""Run glean, as systemd or OpenRC starts it, and take what it would write."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from glean import cmd

#: How systemd-resolved and other files of this machine are kept out of it.
_RESOLVED, _NO_RESOLVED = 0, 1


def _configure(job: dict[str, Any], root: Path) -> dict[str, Any]:
    """Return the files that glean writes, by path, and its errors."""
    for name, mac in job["nics"].items():
        nic = root / "sys/class/net" / name
        nic.mkdir(parents=True)
        (nic / "address").write_text(f"{mac.lower()}\n")
        (nic / "addr_assign_type").write_text("0\n")
        (nic / "carrier").write_text("1\n")
    (root / "sys/class/net").mkdir(parents=True, exist_ok=True)
    distribution = job["distribution"]
    written: dict[str, str] = {}
    commands: list[list[str]] = []
    read: list[str] = []
    errors = []

    def opened(path: str, mode: str = "r") -> Any:
        if mode != "r":
            # Some files of this machine are written past finish_files.
            return io.StringIO()
        read.append(str(path).removeprefix(f"{root}/mnt/config/"))
        return open(path)

    def called(command: list[str]) -> int:
        commands.append(command)
        return 0

    common = ["--root", str(root), "--distro", distribution]
    each = [["--interface", name] for name in job["nics"]]
    runs = [["--skip-network", "--hostname"]]
    runs += each if job["each_nic"] else [[]]
    resolved = _RESOLVED if distribution == "networkd" else _NO_RESOLVED
    with contextlib.ExitStack() as stack:
        for owner, name, stand_in in (
            (cmd, "finish_files", lambda files, _: written.update(files)),
            (cmd, "safe_open", mock.MagicMock()),
            (cmd, "open", opened),
            (cmd, "is_keyfile_format", lambda: False),
            # It asks lsb_release what this machine is.
            (cmd.distro, "linux_distribution", lambda **_: ("", "", "")),
            (cmd.os, "system", lambda _: resolved),
            (cmd.os, "symlink", lambda *_: None),
            (cmd.subprocess, "call", called),
            (cmd.systemlock, "Lock", lambda _: contextlib.nullcontext()),
        ):
            made = mock.patch.object(owner, name, stand_in, create=True)
            stack.enter_context(made)
        for run in runs:
            try:
                cmd.main([*common, *run])
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
    return {
        "files": written,
        "errors": errors,
        "read": sorted(set(read)),
        "host_name": [c[1] for c in commands if c[0] == "hostname"],
    }


def _run(job: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path, content in job["files"].items():
            place = root / "mnt/config" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(base64.b64decode(content))
        return _configure(job, root)


def main() -> None:
    with contextlib.redirect_stdout(sys.stderr):
        made = [_run(job) for job in json.load(sys.stdin)]
    json.dump(made, sys.stdout)


main()
