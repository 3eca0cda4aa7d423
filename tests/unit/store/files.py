"""What the tests put in files, and what they ask of a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.lock import locked

from ..samples import UUID

OLD, NEW = b"old" * 1000, b"new" * 2000
NAMES = ["disk.config"]
AS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give files away"
)


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def take(root: Path, timeout: float = 10) -> None:
    with locked(root, UUID, timeout=timeout):
        pass


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(act: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(StoreError) as caught:
        act(*arguments)
    return str(caught.value)


def make_link(path: Path) -> None:
    target = path.parent.parent / "target"
    target.mkdir(exist_ok=True)
    path.symlink_to(target)


def make_dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def make_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


KINDS = {
    "a symbolic link": make_link,
    "a symbolic link, dangling": make_dangling,
    "a directory": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": make_socket,
    "a regular file": Path.touch,
}


def foreign(at: Path, kind: str) -> str:
    """Put something there that is no drive; return its error's words."""
    at.parent.mkdir(exist_ok=True)
    KINDS[kind](at)
    expected = "a config drive" if at.suffix else "an instance's directory"
    return (
        f"{at} is {kind.partition(',')[0]}, not {expected}; check what it is,"
        " and move it away"
    )
