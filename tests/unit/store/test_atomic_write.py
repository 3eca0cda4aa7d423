"""A drive is whole or absent, whatever happens while it is written."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.exception import MigrationRefused, StoreError
from cfgdrive_virt.store.atomic_write import write_file
from cfgdrive_virt.store.directory import Directory
from cfgdrive_virt.store.file import FileStore

from ..processes import Child
from ..samples import OTHER_UUID, UUID
from .files import NAMES, NEW, OLD, mode, names, refusal


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
        if step != "rename":
            # A new drive gets its name at once.
            refusal(store.write, OTHER_UUID, NEW)
    assert names(drive.parent) == NAMES
    assert drive.read_bytes() == OLD
    assert not store.location(OTHER_UUID).path.parent.exists()


#: What changes something, or waits for it.
STEPS = (
    "mkdir", "open", "fsync", "unlink", "fchmod", "fchown", "write", "link",
    "rename",
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
    unused = {"mkdir", "unlink"}
    if not files_without_names:
        unused.add("link")
    elif before != "drive":
        unused.add("rename")
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
        drive = instances / UUID / "disk.config"
        assert refusal(store.write, UUID, NEW) == (
            f"can't create {drive.parent}: {reason}"
        )
        assert names(instances) == []
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
    refusal(write, path)
    assert names(tmp_path) == []
    path.write_bytes(OLD)
    refusal(write, path)
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

    def spy(name: str, told: Callable[..., str]) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> None:
            words = told(*arguments)
            real(*arguments, **options)
            steps.append(words)

        monkeypatch.setattr(os, name, call)

    def flushed(handle: int) -> str:
        name = Path(f"/proc/self/fd/{handle}").readlink()
        if "deleted" in name.name:
            return "flush the data"
        return f"flush {name.relative_to(instances)}"

    spy("fsync", flushed)
    spy("mkdir", lambda name, _: f"make {name}")
    spy("link", lambda _, name: f"link {name}")
    spy("rename", lambda old, new: f"rename {old} {new}")
    store.write(UUID, OLD)
    assert steps == [
        f"make {UUID}",
        "flush .",
        "flush the data",
        "link disk.config",
        f"flush {UUID}",
    ]
    steps.clear()
    store.write(UUID, NEW)
    assert steps == [
        "flush the data",
        "link disk.config.new",
        "rename disk.config.new disk.config",
        f"flush {UUID}",
    ]


def test_writing_leaks_no_handles(store: FileStore, drive: Path) -> None:
    store.write(UUID, OLD)
    before = names(Path("/proc/self/fd"))
    store.write(UUID, NEW)
    drive.with_name("disk.config.new").mkdir()
    refusal(store.write, UUID, NEW)
    assert names(Path("/proc/self/fd")) == before


def test_write_file_puts_a_file_beside_others(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"x")
    write(tmp_path / "drive")
    assert names(tmp_path) == ["drive", "other"]
    assert mode(tmp_path / "drive") == 0o600


def test_a_file_that_is_made_meanwhile_stays(
    tmp_path: Path, files_without_names: bool
) -> None:
    def parts() -> Iterator[bytes]:
        (tmp_path / "drive").write_bytes(OLD)
        yield NEW

    with Directory.of(tmp_path) as directory:
        if files_without_names:
            told = refusal(
                lambda: write_file(
                    directory, "drive", parts(), temporary="new"
                )
            )
            assert "something else already has that name" in told
            assert (tmp_path / "drive").read_bytes() == OLD
        else:
            write_file(directory, "drive", parts(), temporary="new")
            assert (tmp_path / "drive").read_bytes() == NEW
    assert names(tmp_path) == ["drive"]


def test_parts_are_written_as_they_come_and_checked_before_all_see_them(
    store: FileStore, drive: Path
) -> None:
    seen: list[int] = []

    def parts() -> Iterator[bytes]:
        for number in range(3):
            yield bytes([number]) * 1000
            seen.append(written())

    def written() -> int:
        for name in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                target = str(name.readlink())
                if target.startswith(f"{store.root}/{UUID}/#"):
                    return name.stat().st_size
        raise AssertionError("no unnamed file is open")

    def check(handle: int) -> None:
        assert os.pread(handle, 4000, 0) == b"".join(parts())
        assert names(drive.parent) == []
        raise MigrationRefused("not what was sent")

    with pytest.raises(MigrationRefused):
        store.receive(UUID, parts(), check)
    assert seen[:3] == [1000, 2000, 3000]
    assert not drive.parent.exists()


def write(path: Path) -> None:
    with Directory.of(path.parent) as directory:
        write_file(directory, path.name, (NEW,), temporary="new")
