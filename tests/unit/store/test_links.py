"""No link, pipe or foreign file below instances_path is followed or changed.

The service's user may put anything there, and an operator's command is root.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import RESCUE_NAME, RESIZE_SUFFIX
from cfgdrive_virt.store import migration_files
from cfgdrive_virt.store.file import FileStore
from cfgdrive_virt.store.file_system import supports_direct_io

from ..processes import NOBODY, Child
from ..samples import UUID
from .files import AS_ROOT, NEW, OLD, take

TEST_FILE = "0" * 16


def received(store: FileStore) -> None:
    location = store.location(UUID)
    with migration_files.awaiting_guest(store.root, location):
        store.receive(UUID, (NEW,))


def aside(store: FileStore) -> FileStore:
    return FileStore(store.root, suffix=RESIZE_SUFFIX)


#: All that is done below instances_path.
ACTS: dict[str, Callable[[FileStore], Any]] = {
    "lock": lambda store: take(store.root, 0.1),
    "write": lambda store: store.write(UUID, NEW),
    "receive": received,
    "rescue": lambda store: FileStore(store.root, name=RESCUE_NAME).write(
        UUID, NEW
    ),
    "exists": lambda store: store.exists(UUID),
    "read": lambda store: store.read(store.location(UUID), 1 << 20),
    "look": lambda store: store.look(store.location(UUID)),
    "list": lambda store: list(store.drives()),
    "sweep": lambda store: store.sweep(UUID, thorough=True),
    "set aside": lambda store: aside(store).take_from(store, UUID),
    "move back": lambda store: store.take_from(aside(store), UUID),
    "delete": lambda store: store.delete(UUID),
    "remove": lambda store: store.remove(store.location(UUID)),
    "make test file": lambda store: migration_files.make_test_file(
        store.root, UUID, TEST_FILE
    ),
    "see test file": lambda store: migration_files.sees_test_file(
        store.root, UUID, TEST_FILE
    ),
    "remove test file": lambda store: migration_files.remove_test_file(
        store.root, UUID, TEST_FILE
    ),
    "inode": lambda store: migration_files.inode(store.location(UUID)),
    "awaits": lambda store: migration_files.awaits_guest(store.location(UUID)),
    "stop awaiting": lambda store: migration_files.stop_awaiting(
        store.location(UUID)
    ),
    "direct I/O": lambda store: supports_direct_io(store.root),
}

#: Every name that is used there.
PLACES = (
    "locks",
    "locks/cfgdrive-virt",
    f"locks/cfgdrive-virt-shared-{UUID}-{TEST_FILE}",
    UUID,
    f"{UUID}/disk.config",
    f"{UUID}/disk.config.new",
    f"{UUID}/disk.config.migrating",
    f"{UUID}/disk.config.rescue",
    f"{UUID}/disk.config.rescue.new",
    f"{UUID}{RESIZE_SUFFIX}",
    f"{UUID}{RESIZE_SUFFIX}/disk.config",
    ".cfgdrive_virt.probe",
)

KINDS: dict[str, Callable[[Path, Path], Any]] = {
    "link to a directory": lambda path, away: path.symlink_to(away),
    "link to a file": lambda path, away: path.symlink_to(away / "file"),
    "dangling link": lambda path, away: path.symlink_to(away / "missing"),
    "hard link": lambda path, away: path.hardlink_to(away / "file"),
    "pipe": lambda path, _: os.mkfifo(path),
}


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """What belongs to root, and is of no concern to the service."""
    away = tmp_path / "away"
    away.mkdir(mode=0o700)
    for name in ("file", "disk.config", "disk.config.new", "cfgdrive-virt"):
        (away / name).write_bytes(OLD)
        (away / name).chmod(0o640)
    return away


def state(directory: Path) -> Iterator[tuple[Any, ...]]:
    """Yield all of a directory that an attack may change."""
    for path in (directory, *sorted(directory.rglob("*"))):
        found = path.lstat()
        yield (
            path,
            stat.filemode(found.st_mode),
            found.st_uid,
            found.st_gid,
            found.st_size,
            path.read_bytes() if path.is_file() else b"",
        )


@AS_ROOT
@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_planted_leads_nowhere(
    instances: Path,
    away: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    kind: str,
    nameless: bool,
) -> None:
    if not nameless:
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)
    store = FileStore(instances)
    path = instances / place
    before = list(state(away))
    os.chown(instances, NOBODY, NOBODY)

    def attack() -> None:
        for name, act in ACTS.items():
            path.parent.mkdir(exist_ok=True)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            KINDS[kind](path, away)
            with contextlib.suppress(StoreError):
                act(store)
            assert list(state(away)) == before, name

    # In a child, as whoever opens a pipe may wait for ever.
    assert Child(attack).answer() is None


@AS_ROOT
def test_a_foreign_lock_file_is_told(instances: Path, away: Path) -> None:
    (instances / "locks").mkdir()
    path = instances / "locks" / "cfgdrive-virt"
    path.hardlink_to(away / "file")
    with pytest.raises(StoreError, match="has 2 names and owner 0, not one"):
        take(instances)
    path.unlink()
    path.touch()
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(StoreError, match=f"owner {NOBODY}, not one name and"):
        take(instances)


@AS_ROOT
def test_a_file_that_was_moved_to_the_locks_name_keeps_its_owner(
    instances: Path,
) -> None:
    os.chown(instances, NOBODY, NOBODY)
    (instances / "locks").mkdir()
    path = instances / "locks" / "cfgdrive-virt"
    path.write_bytes(b"root's")
    path.chmod(0o600)
    take(instances)
    assert path.stat().st_uid == 0


@AS_ROOT
def test_a_directory_that_is_not_new_keeps_its_owner(
    instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(instances, NOBODY, NOBODY)
    others = instances / "others"
    others.mkdir()
    (others / "file").touch()
    real = os.mkdir

    def swap(name: str, mode: int, *, dir_fd: int) -> None:
        real(name, mode, dir_fd=dir_fd)
        (instances / name).rmdir()
        others.rename(instances / name)

    monkeypatch.setattr(os, "mkdir", swap)
    FileStore(instances).write(UUID, NEW)
    assert (instances / UUID).stat().st_uid == 0
    assert (instances / UUID / "file").exists()


@AS_ROOT
@pytest.mark.parametrize("owner", [0, NOBODY])
def test_root_follows_its_own_links_to_instances_path_only(
    tmp_path: Path, instances: Path, owner: int
) -> None:
    link = tmp_path / "link"
    link.symlink_to("instances")
    os.chown(link, owner, owner, follow_symlinks=False)
    store = FileStore(link)
    if owner == 0:
        assert store.write(UUID, NEW).path == link / UUID / "disk.config"
        assert store.read(store.location(UUID), 1 << 20) == NEW
        return
    with pytest.raises(StoreError, match="which root doesn't follow"):
        store.write(UUID, NEW)
    with pytest.raises(StoreError, match="which root doesn't follow"):
        take(link)
    assert list(instances.iterdir()) == []


@AS_ROOT
def test_links_that_lead_round_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    with pytest.raises(StoreError, match="ELOOP"):
        take(tmp_path / "one")


@AS_ROOT
def test_root_follows_a_chain_of_its_own_links(
    tmp_path: Path, instances: Path
) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "other")
    (tmp_path / "other").symlink_to(instances)
    FileStore(tmp_path / "one").write(UUID, NEW)
    assert (instances / UUID / "disk.config").read_bytes() == NEW


@AS_ROOT
def test_a_directory_of_locks_that_all_could_read_is_the_services(
    instances: Path,
) -> None:
    os.chown(instances, NOBODY, NOBODY)
    locks = instances / "locks"
    locks.mkdir(mode=0o755)
    # Root's may have been moved there.
    take(instances)
    assert stat.S_IMODE(locks.stat().st_mode) == 0o755
    os.chown(locks, NOBODY, NOBODY)
    take(instances)
    assert stat.S_IMODE(locks.stat().st_mode) == 0o700
