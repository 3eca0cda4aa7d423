"""A drive is whole or absent, and its owner's alone, whatever happens."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import re
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import BUILDER, FileLocation
from cfgdrive_virt.store import file as store_file
from cfgdrive_virt.store.atomic_write import write_file
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.file_system import supports_direct_io
from cfgdrive_virt.store.lock import locked

from ..processes import NOBODY, Child, as_nobody, on_tmpfs
from ..samples import OTHER_UUID, UUID

OLD, NEW = b"old" * 1000, b"new" * 2000
NAMES = ["disk.config"]


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


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def take(root: Path) -> None:
    with locked(root, UUID):
        pass


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(act: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(StoreError) as caught:
        act(*arguments)
    return str(caught.value)


def test_a_drive_is_where_nova_has_it(store: FileStore, drive: Path) -> None:
    location = store.write(UUID, NEW)
    assert location == store.location(UUID)
    assert (location.path, location.uuid) == (drive, UUID)
    assert drive.read_bytes() == NEW
    assert names(drive.parent) == NAMES


def test_a_relative_root_gives_an_absolute_location(
    instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(instances.parent)
    location = FileStore(Path("instances")).write(UUID, NEW)
    assert location.path == instances / UUID / "disk.config"


def test_a_drive_takes_the_place_of_the_one_before(
    store: FileStore, drive: Path
) -> None:
    store.write(UUID, OLD)
    with drive.open("rb") as opened:
        store.write(UUID, NEW)
        assert opened.read() == OLD
    assert drive.read_bytes() == NEW


@pytest.mark.parametrize("mask", [0, 0o077, 0o777], ids=oct)
def test_a_drive_is_its_owners_alone_whatever_the_umask(
    store: FileStore, drive: Path, umask: Callable[[int], int], mask: int
) -> None:
    drive.parent.mkdir()
    umask(mask)
    store.write(UUID, NEW)
    assert mode(drive) == 0o600


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


def test_other_files_of_an_instance_are_left_alone(
    store: FileStore, drive: Path
) -> None:
    drive.parent.mkdir()
    (drive.parent / "disk").write_bytes(b"root disk")
    store.write(UUID, NEW)
    assert store.delete(UUID) is True
    assert names(drive.parent) == ["disk"]


def test_a_drive_exists_once_it_is_written(store: FileStore) -> None:
    assert store.exists(UUID) is False
    store.write(UUID, NEW)
    assert store.exists(UUID) is True
    assert store.exists(OTHER_UUID) is False


def test_deleting_tells_whether_there_was_a_drive(
    store: FileStore, instances: Path
) -> None:
    assert store.delete(UUID) is False
    store.write(UUID, NEW)
    assert store.delete(UUID) is True
    assert store.delete(UUID) is False
    assert names(instances) == []


def test_deleting_removes_a_dead_writers_leftover(
    store: FileStore, drive: Path, instances: Path
) -> None:
    drive.parent.mkdir()
    (drive.parent / "disk.config.new").write_bytes(b"half")
    assert store.delete(UUID) is False
    assert names(instances) == []


def test_a_killed_writer_leaves_a_whole_drive_or_none(
    store: FileStore, drive: Path
) -> None:
    chance = random.Random(0)
    states = set()
    data = [bytes([number]) * (3 << 20) for number in range(4)]

    def write_for_ever() -> None:
        while True:
            for content in data:
                store.write(UUID, content)
            store.delete(UUID)

    for _ in range(200):
        writer = Child(write_for_ever)
        time.sleep(chance.uniform(0, 0.04))
        writer.kill()
        if drive.exists():
            assert drive.read_bytes() in [*data, NEW]
            assert mode(drive) == 0o600
        if drive.parent.exists():
            states.add(tuple(names(drive.parent)))
        store.write(UUID, NEW)
        assert names(drive.parent) == NAMES
        assert drive.read_bytes() == NEW
    # A temporary name it has for a moment only.
    assert {(), ("disk.config",)} <= states


def test_a_reader_sees_whole_drives_only(
    store: FileStore, drive: Path
) -> None:
    data = [b"a" * (1 << 20), b"b" * (2 << 20)]
    store.write(UUID, data[0])

    def write_for_ever() -> None:
        while True:
            for content in data:
                store.write(UUID, content)

    writer = Child(write_for_ever)
    try:
        for _ in range(200):
            assert drive.read_bytes() in data
    finally:
        writer.kill()


_FULL = f"""
import sys
from pathlib import Path
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked
root = Path(sys.argv[1])
store = FileStore(root)
store.write("{UUID}", b"old")
for uuid in ("{UUID}", "{OTHER_UUID}"):
    try:
        store.write(uuid, b"x" * (2 << 20))
    except StoreError as error:
        print(error)
files = sorted(path for path in root.rglob("*") if path.is_file())
for path in files:
    print(path.relative_to(root), path.read_bytes())
print(sorted(path.name for path in root.iterdir()))
"""


def test_a_full_disk_leaves_what_was_there_and_nothing_else(
    instances: Path,
) -> None:
    told = on_tmpfs(instances, "size=1m", _FULL).splitlines()
    assert told == [
        f"can't write {instances}/{uuid}/disk.config: the disk is full; make"
        " room (ENOSPC)"
        for uuid in (UUID, OTHER_UUID)
    ] + [f"{UUID}/disk.config b'old'", f"['{UUID}']"]


_NO_INODES = f"""
import sys
from pathlib import Path
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked
root = Path(sys.argv[1])
for act in ("{UUID}", "{OTHER_UUID}"):
    try:
        FileStore(root).write(act, b"x")
    except StoreError as error:
        print(error)
print(list(root.rglob("*")))
"""


def test_a_disk_without_room_for_names_is_full_too(instances: Path) -> None:
    told = on_tmpfs(instances, "nr_inodes=2", _NO_INODES).splitlines()
    assert all("the disk is full" in line for line in told[:2])
    assert told[2] == "[]"


_READ_ONLY = f"""
import subprocess, sys
from pathlib import Path
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.lock import locked
root = Path(sys.argv[1])
store = FileStore(root)
store.write("{UUID}", b"old")
with locked(root, "{UUID}"):
    pass
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
def lock():
    with locked(root, "ff"):
        pass
for act in (
    lambda: store.write("{UUID}", b"new"),
    lambda: store.write("{OTHER_UUID}", b"new"),
    lambda: store.delete("{UUID}"),
    lock,
):
    try:
        act()
    except StoreError as error:
        print(error)
print(store.exists("{UUID}"), store.location("{UUID}").path.read_bytes())
"""


def test_a_read_only_file_system_is_told_as_such(instances: Path) -> None:
    told = on_tmpfs(instances, "size=1m", _READ_ONLY).splitlines()
    reason = ": the file system is read-only (EROFS)"
    assert told == [
        f"can't write {instances}/{UUID}/disk.config{reason}",
        f"can't make {instances}/{OTHER_UUID}{reason}",
        f"can't remove {instances}/{UUID}/disk.config{reason}",
        f"can't lock in {instances}/locks{reason}",
        "True b'old'",
    ]


def test_a_directory_without_rights_is_told_as_such(
    open_directory: Path,
) -> None:
    store = FileStore(open_directory)
    reason = "this user has no right to; see the directory's owner (EACCES)"
    told = as_nobody(lambda: store.write(UUID, NEW))
    assert told == f"StoreError: can't make {open_directory}/{UUID}: {reason}"
    store.write(UUID, OLD)
    told = as_nobody(lambda: store.write(UUID, NEW))
    path = store.location(UUID).path
    assert told == f"StoreError: can't write {path}: {reason}"
    told = as_nobody(lambda: store.delete(UUID))
    assert told == f"StoreError: can't remove {path}: {reason}"
    assert path.read_bytes() == OLD


def test_another_user_cannot_read_a_drive(open_directory: Path) -> None:
    path = FileStore(open_directory).write(UUID, NEW).path

    def read() -> str:
        try:
            return str(path.read_bytes())
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    assert as_nobody(read) == "EACCES"


def test_a_directory_that_cannot_be_looked_into_is_told(
    open_directory: Path,
) -> None:
    store = FileStore(open_directory)
    store.write(UUID, OLD)
    store.location(UUID).path.parent.chmod(0o700)
    told = as_nobody(lambda: store.exists(UUID))
    assert told.startswith(
        f"StoreError: can't look at {open_directory}/{UUID}/disk.config: this"
        " user has no right to"
    )


@pytest.mark.parametrize("kind", ["missing", "file", "dangling"])
def test_a_root_that_is_no_directory_is_told(
    tmp_path: Path, kind: str
) -> None:
    root = tmp_path / "root"
    if kind == "file":
        root.write_bytes(b"")
    elif kind == "dangling":
        root.symlink_to("nowhere")
    store = FileStore(root)
    told = {
        "file": f"can't lock in {root}/locks: a part of the path is no"
        " directory (ENOTDIR)",
    }.get(
        kind,
        f"instances_path {root} can't be used: the directory is missing"
        " (ENOENT)",
    )
    assert refusal(take, store.root) == told
    assert str(root) in refusal(store.write, UUID, NEW)
    assert names(tmp_path) == ([] if kind == "missing" else ["root"])


def test_a_root_may_be_a_link_to_a_directory(
    tmp_path: Path, instances: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(instances)
    store = FileStore(link)
    take(store.root)
    assert store.write(UUID, NEW).path == link / UUID / "disk.config"


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
    """Put something there that is no drive of ours; return it in words."""
    at.parent.mkdir(exist_ok=True)
    KINDS[kind](at)
    return (
        f"{at} is {kind.partition(',')[0]}, and belongs to no drive of ours;"
        " look what it is, and move it away"
    )


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"a regular file"}))
def test_what_is_no_file_is_no_drive(
    store: FileStore, drive: Path, kind: str
) -> None:
    words = foreign(drive, kind)
    assert refusal(store.exists, UUID) == words
    assert refusal(store.write, UUID, NEW) == words
    assert refusal(store.delete, UUID) == words
    assert names(drive.parent) == NAMES


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"a directory"}))
def test_what_is_no_directory_is_no_instances(
    store: FileStore, drive: Path, kind: str
) -> None:
    words = foreign(drive.parent, kind)
    assert refusal(store.exists, UUID) == words
    assert refusal(store.write, UUID, NEW) == words
    assert refusal(store.delete, UUID) == words
    assert os.path.lexists(drive.parent)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"a directory"}))
def test_whatever_has_the_temporary_name_is_replaced(
    store: FileStore, drive: Path, kind: str
) -> None:
    foreign(drive.with_name("disk.config.new"), kind)
    store.write(UUID, NEW)
    assert names(drive.parent) == NAMES
    assert drive.read_bytes() == NEW


def test_a_directory_of_the_temporary_name_is_told(
    store: FileStore, drive: Path
) -> None:
    store.write(UUID, OLD)
    drive.with_name("disk.config.new").mkdir()
    assert "a directory has that name" in refusal(store.write, UUID, NEW)
    assert drive.read_bytes() == OLD


@pytest.mark.parametrize("step", ["write", "fchmod", "fsync", "rename"])
def test_whatever_step_fails_what_was_there_is_there_still(
    store: FileStore,
    drive: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    # Disks that fail are hard to come by.
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    store.write(UUID, OLD)
    with monkeypatch.context() as broken:
        broken.setattr(os, step, fail)
        assert refusal(store.write, UUID, NEW) == (
            f"can't write {drive}: the disk is failing (EIO)"
        )
        refusal(store.write, OTHER_UUID, NEW)
    assert names(drive.parent) == NAMES
    assert drive.read_bytes() == OLD
    assert not store.location(OTHER_UUID).path.parent.exists()


#: What changes something, or waits for it.
STEPS = (
    "mkdir", "lchown", "open", "fsync", "unlink", "fchmod", "fchown", "write",
    "link", "rename",
)  # fmt: skip


def failing(
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[], Any],
    error: BaseException,
    *,
    number: int,
    done: bool,
) -> str | None:
    """Act, with an error in one of the steps; return the step's name.

    Empty if the step had an error of its own, None if there was no such step.

    :param number: which step, counted from 0
    :param done: whether the step is done before the error comes
    """
    steps: list[str] = []
    fired: list[str] = []

    def step(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            steps.append(name)
            if len(steps) - 1 != number:
                return real(*arguments, **options)
            if done:
                real(*arguments, **options)
            fired.append(name)
            raise error

        return call

    with monkeypatch.context() as broken:
        for name in STEPS:
            broken.setattr(os, name, step(name))
        with contextlib.suppress(StoreError, KeyboardInterrupt):
            act()
    if number >= len(steps):
        return None
    return fired[0] if fired else ""


@pytest.mark.parametrize("before", ["nothing", "directory", "drive"])
@pytest.mark.parametrize(
    ("error", "done"),
    [
        (KeyboardInterrupt(), False),
        (KeyboardInterrupt(), True),
        (OSError(errno.EIO, "Input/output error"), False),
    ],
    ids=["interrupt", "interrupt-after", "error"],
)
def test_whichever_step_ends_it_nothing_new_is_left(
    instances: Path,
    monkeypatch: pytest.MonkeyPatch,
    files_without_names: bool,
    before: str,
    error: BaseException,
    done: bool,
) -> None:
    left: list[str] = []
    taken = []
    for number in range(100):
        root = instances / str(number)
        root.mkdir()
        store = FileStore(root)
        drive = store.location(UUID).path
        if before != "nothing":
            drive.parent.mkdir()
            (drive.parent / "disk").touch()
        if before == "drive":
            store.write(UUID, OLD)
        found = sorted(root.rglob("*"))
        name = failing(
            monkeypatch,
            lambda store=store: store.write(UUID, NEW),
            error,
            number=number,
            done=done,
        )
        if name is None:
            break
        if not name:
            continue
        taken.append(name)
        new = set(root.rglob("*")) - set(found)
        left += [f"{number}, {name}: {path.name}" for path in new]
        assert set(found) <= set(root.rglob("*"))
        if before == "drive":
            assert drive.read_bytes() in (OLD, NEW)
    unused = {"mkdir", "lchown", "unlink"}
    if not files_without_names:
        unused.add("link")
    assert set(taken) >= set(STEPS) - unused, taken
    assert left == []


def test_a_flush_that_fails_leaves_no_new_drive(
    store: FileStore, instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        reason = "the disk is failing (EIO)"
        assert refusal(store.write, UUID, NEW) == (
            f"can't flush {instances}: {reason}"
        )
        assert names(instances) == []
        drive = instances / UUID / "disk.config"
        drive.parent.mkdir()
        words = f"can't write {drive}: {reason}"
        assert refusal(store.write, UUID, NEW) == words
    assert names(drive.parent) == []


def test_write_file_that_cannot_flush_its_directory_leaves_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fail_on_directories(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(handle)

    path = tmp_path / "drive"
    monkeypatch.setattr(os, "fsync", fail_on_directories)
    refusal(lambda: write_file(path, NEW, temporary="new"))
    assert names(tmp_path) == []
    path.write_bytes(OLD)
    refusal(lambda: write_file(path, NEW, temporary="new"))
    assert names(tmp_path) == ["drive"]
    assert path.read_bytes() == NEW


def test_writing_takes_as_many_turns_as_the_system_wants(
    store: FileStore, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:999]))
    store.write(UUID, NEW)
    assert drive.read_bytes() == NEW


def test_data_names_and_directories_are_flushed(
    store: FileStore, instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, mkdir, rename = os.fsync, os.mkdir, os.rename

    def flush(handle: int) -> None:
        name = Path(f"/proc/self/fd/{handle}").readlink()
        known = (
            "the data"
            if "deleted" in name.name
            else str(name.relative_to(instances))
        )
        steps.append(f"flush {known}")
        fsync(handle)

    def make(path: Path, mode: int) -> None:
        mkdir(path, mode)
        steps.append(f"make {Path(path).relative_to(instances)}")

    def move(old: str, new: str, **options: Any) -> None:
        rename(old, new, **options)
        steps.append(f"rename {old} {new}")

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "mkdir", make)
    monkeypatch.setattr(os, "rename", move)
    placed = [
        "flush the data",
        "rename disk.config.new disk.config",
        f"flush {UUID}",
    ]
    store.write(UUID, OLD)
    assert steps == [f"make {UUID}", "flush .", *placed]
    steps.clear()
    monkeypatch.setattr(os, "mkdir", mkdir)
    store.write(UUID, NEW)
    assert steps == placed


def test_writing_leaks_no_handles(store: FileStore, drive: Path) -> None:
    store.write(UUID, OLD)
    before = names(Path("/proc/self/fd"))
    store.write(UUID, NEW)
    drive.with_name("disk.config.new").mkdir()
    refusal(store.write, UUID, NEW)
    assert names(Path("/proc/self/fd")) == before


def test_write_file_puts_a_file_beside_others(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"x")
    write_file(tmp_path / "drive", NEW, temporary=".drive.1")
    assert names(tmp_path) == ["drive", "other"]
    assert mode(tmp_path / "drive") == 0o600


def test_write_file_follows_no_link_to_its_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    refusal(lambda: write_file(tmp_path / "link" / "x", NEW, temporary="y"))
    assert names(tmp_path / "real") == []


def test_nothing_is_listed_however_many_instances_there_are(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Any] = []
    for name in ("listdir", "scandir"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda path=".", real=real: listed.append(path) or real(path),
        )
    for what in ("drive", "domain"):
        with locked(store.root, UUID, what):
            store.write(UUID, OLD)
            store.write(UUID, NEW)
            store.exists(UUID)
            store.delete(UUID)
    supports_direct_io(store.root)
    assert listed == []


AS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give files away"
)


@AS_ROOT
def test_what_root_makes_is_given_to_the_owner_of_the_root(
    store: FileStore, instances: Path
) -> None:
    os.chown(instances, NOBODY, NOBODY)
    for what in ("drive", "domain"):
        with locked(store.root, UUID, what):
            store.write(UUID, NEW)
    made = sorted(instances.rglob("*"))
    assert len(made) == 5
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
        with locked(store.root, UUID):
            return str(store.write(UUID, NEW))

    path = store.location(UUID).path
    assert as_nobody(write) == str(path)
    assert path.stat().st_uid == NOBODY


def test_an_error_without_a_remedy_is_told_in_the_systems_words(
    store: FileStore, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(store_file.os, "write", fail)
    assert refusal(store.write, UUID, NEW) == (
        f"can't write {drive}: File too large (EFBIG)"
    )


BUILT_HERE = {
    "iso9660": bytes(16 * 2048 + 574) + BUILDER + bytes(9),
    "vfat": (bytes(62) + BUILDER).ljust(510, b"\0") + b"\x55\xaa",
}


@pytest.mark.parametrize("image_format", BUILT_HERE)
def test_all_drives_are_found_and_what_is_known_of_them(
    store: FileStore, instances: Path, image_format: str
) -> None:
    data = BUILT_HERE[image_format]
    store.write(UUID, data)
    store.write(OTHER_UUID, b"nova's")
    leftover = store.location(UUID).path.with_name("disk.config.new")
    leftover.write_bytes(b"half")
    os.utime(leftover, (5, 5))
    (instances / "locks").mkdir()
    (instances / "_base").mkdir()
    (instances / UUID.upper()).mkdir()
    (instances / UUID.upper() / "disk.config").touch()

    other, drive, new = store.drives()

    assert (drive.location, new.location, other.location) == (
        store.location(UUID),
        FileLocation(UUID, leftover),
        store.location(OTHER_UUID),
    )
    assert [drive.size, new.size, other.size] == [len(data), 4, 6]
    assert [drive.ours, new.ours, other.ours] == [True, False, False]
    assert drive.modified == store.location(UUID).path.stat().st_mtime
    assert new.modified == 5
    assert not drive.users + new.users + other.users


def test_a_mark_in_a_tenants_file_is_none(store: FileStore) -> None:
    # Where ISO9660 has it, on a VFAT image of somebody else.
    data = bytes(510) + b"\x55\xaa" + BUILT_HERE["iso9660"][512:]
    store.write(UUID, data)
    (drive,) = store.drives()
    assert drive.ours is False


def test_what_is_no_drive_is_passed_over(
    store: FileStore, instances: Path, tmp_path: Path
) -> None:
    uuids = [f"{number}{UUID[1:]}" for number in range(5)]
    drives = [store.location(uuid).path for uuid in uuids]
    for drive in drives[:3]:
        drive.parent.mkdir()
    drives[0].symlink_to("/etc/passwd")
    os.mkfifo(drives[1])
    drives[2].mkdir()
    (instances / uuids[3]).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "disk.config").touch()
    (instances / uuids[4]).symlink_to(tmp_path / "elsewhere")
    assert list(store.drives()) == []


def test_one_drive_is_removed_with_its_empty_directory(
    store: FileStore, instances: Path
) -> None:
    location = store.write(UUID, NEW)
    store.write(OTHER_UUID, NEW)
    assert store.remove(location) is True
    assert store.remove(location) is False
    assert names(instances) == [OTHER_UUID]


def test_a_directory_that_holds_more_stays(
    store: FileStore, instances: Path
) -> None:
    location = store.write(UUID, NEW)
    (location.path.parent / "disk").touch()
    store.remove(location)
    assert names(instances / UUID) == ["disk"]


@pytest.mark.parametrize("read_only", [True, False], ids=["cdrom", "disk"])
def test_a_drive_that_qemu_uses_is_not_removed(
    store: FileStore, read_only: bool
) -> None:
    location = store.write(UUID, bytes(4096))
    assert location.path.stat().st_size == 4096
    with qemu_using(location.path, read_only=read_only):
        (drive,) = store.drives()
        assert drive.users == ("a process that locked it",)
        assert refusal(store.remove, location) == (
            f"{location} is in use by a process that locked it"
        )
        assert location.path.exists()
    assert next(store.drives()).users == ()
    assert store.remove(location) is True


def test_a_drive_that_another_process_locks_is_not_removed(
    store: FileStore,
) -> None:
    location = store.write(UUID, NEW)
    ready, told = os.pipe()

    def hold() -> None:
        with location.path.open("rb+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(told, b"x")
            time.sleep(60)

    child = Child(hold)
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    assert re.fullmatch(
        rf"{location} is in use by process \d+",
        refusal(store.remove, location),
    )
    child.kill()


@contextlib.contextmanager
def qemu_using(path: Path, *, read_only: bool) -> Iterator[None]:
    """Have QEMU hold an image as a guest's disk would, no guest needed."""
    options = ["--read-only"] if read_only else []
    # A test's own directory is too long for a socket.
    with tempfile.TemporaryDirectory() as directory:
        name = Path(directory, "nbd")
        server = subprocess.Popen(
            ["qemu-nbd", "-f", "raw", "-t", "-k", name, *options, path],
            stderr=subprocess.PIPE,
        )
        try:
            end = time.monotonic() + 30
            while not name.exists():
                assert server.poll() is None, server.communicate()
                assert time.monotonic() < end
                time.sleep(0.02)
            # It listens before it has the image open, and answers after.
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(30)
                client.connect(str(name))
                assert client.recv(8) == b"NBDMAGIC"
            yield
        finally:
            server.terminate()
            server.communicate(timeout=30)
