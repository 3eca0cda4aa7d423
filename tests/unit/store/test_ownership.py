"""A drive is its owner's alone, and its owner is that of the root."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked

from ..processes import NOBODY, as_nobody
from ..samples import UUID
from .files import AS_ROOT, NEW, OLD, mode, take


@pytest.mark.parametrize("mask", [0, 0o077, 0o777], ids=oct)
def test_a_drive_is_its_owners_alone_whatever_the_umask(
    store: FileStore, drive: Path, umask: Callable[[int], int], mask: int
) -> None:
    drive.parent.mkdir()
    umask(mask)
    store.write(UUID, NEW)
    assert mode(drive) == 0o600


def test_a_drive_is_its_owners_alone_from_its_first_byte(
    store: FileStore,
    drive: Path,
    umask: Callable[[int], int],
    files_without_names: bool,
) -> None:
    umask(0)
    modes: set[int] = set()
    sizes: set[int] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for name in (drive, drive.with_name("disk.config.new")):
                try:
                    status = name.stat()
                except FileNotFoundError:
                    continue
                modes.add(stat.S_IMODE(status.st_mode))
                sizes.add(status.st_size)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(4):
            store.write(UUID, b"x" * (32 << 20))
    finally:
        done.set()
        looking.join()
    assert modes == {0o600}
    if files_without_names:
        assert sizes == {32 << 20}
    else:
        assert len(sizes) > 1, "nobody looked while it was written"


def test_a_drive_that_was_readable_by_all_no_longer_is(
    store: FileStore, drive: Path
) -> None:
    drive.parent.mkdir()
    drive.write_bytes(OLD)
    drive.chmod(0o644)
    store.write(UUID, NEW)
    assert mode(drive) == 0o600


def test_a_new_instances_directory_is_novas(
    store: FileStore, drive: Path, umask: Callable[[int], int]
) -> None:
    umask(0)
    store.write(UUID, NEW)
    assert mode(drive.parent) == 0o755


def test_another_user_cannot_read_a_drive(open_directory: Path) -> None:
    path = FileStore(open_directory).write(UUID, NEW).path

    def read() -> str:
        try:
            return str(path.read_bytes())
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    assert as_nobody(read) == "EACCES"


@AS_ROOT
def test_what_root_makes_is_given_to_the_owner_of_the_root(
    store: FileStore, instances: Path
) -> None:
    os.chown(instances, NOBODY, NOBODY)
    for what in ("drive", "domain"):
        with locked(store.root, UUID, what, timeout=10):
            store.write(UUID, NEW)
    made = sorted(instances.rglob("*"))
    assert len(made) == 4
    for path in made:
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (NOBODY, NOBODY), path


@AS_ROOT
def test_what_is_there_keeps_its_owner(
    store: FileStore, instances: Path, drive: Path
) -> None:
    os.chown(instances, NOBODY, NOBODY)
    drive.parent.mkdir()
    (drive.parent / "disk").touch()
    take(store.root)
    (instances / "locks" / "mine").touch()
    store.write(UUID, NEW)
    for path in (drive.parent, drive.parent / "disk"):
        assert path.stat().st_uid == 0
    assert (instances / "locks" / "mine").stat().st_uid == 0
    assert drive.stat().st_uid == NOBODY


@AS_ROOT
def test_who_cannot_give_files_away_keeps_them(open_directory: Path) -> None:
    open_directory.chmod(0o777)
    store = FileStore(open_directory)

    def write() -> str:
        with locked(store.root, UUID, timeout=10):
            return str(store.write(UUID, NEW))

    path = store.location(UUID).path
    assert as_nobody(write) == str(path)
    assert path.stat().st_uid == NOBODY
