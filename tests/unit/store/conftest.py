"""What tests of the stores start from."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.store.file import FileStore

from ..samples import UUID


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may look into, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def store(instances: Path) -> FileStore:
    return FileStore(instances)


@pytest.fixture
def drive(instances: Path) -> Path:
    return instances / UUID / "disk.config"


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.fixture(params=[True, False], ids=["nameless", "named"])
def files_without_names(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Whether the file system has O_TMPFILE; NFS, say, hasn't."""
    has = bool(request.param)
    if not has:
        real = os.open

        def refuse(path: Any, flags: int, *args: Any, **options: Any) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "Operation not supported")
            return real(path, flags, *args, **options)

        monkeypatch.setattr(os, "open", refuse)
    return has
