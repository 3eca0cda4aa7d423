"""What there is to know of the file system below instances_path."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.store import file_system
from cfgdrive_virt.store.file_system import supports_direct_io, type_of

from ..processes import as_nobody, on_tmpfs
from .files import names


def test_tmpfs_has_direct_io_only_where_it_says_so(instances: Path) -> None:
    # Linux has it there since 6.6: what open() says is what counts.
    told = on_tmpfs(
        instances,
        "size=1m",
        "import os, sys\n"
        "from pathlib import Path\n"
        "from cfgdrive_virt.store.file_system import supports_direct_io\n"
        "root = Path(sys.argv[1])\n"
        "try:\n"
        "    os.close(os.open(root / 'x', os.O_CREAT | os.O_DIRECT))\n"
        "    has = True\n"
        "except OSError:\n"
        "    has = False\n"
        "print(supports_direct_io(root) == has)",
    )
    assert told == "True\n"


def test_direct_io_is_asked_of_the_nearest_directory_that_is_there(
    instances: Path,
) -> None:
    there = supports_direct_io(instances)
    assert supports_direct_io(instances / "a" / "b") == there
    assert names(instances) == []


def test_a_directory_without_rights_says_nothing_of_direct_io(
    open_directory: Path,
) -> None:
    assert as_nobody(lambda: supports_direct_io(open_directory)) is True


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EISDIR])
@pytest.mark.parametrize("direct", [True, False])
def test_without_nameless_files_direct_io_is_asked_of_one_with_a_name(
    instances: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    direct: bool,
) -> None:
    # As on NFS.
    opened: list[str] = []
    real = os.open

    def open_(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, os.strerror(number))
        if flags & (os.O_DIRECTORY | os.O_PATH):
            return real(path, flags, *rest, **options)
        assert flags & os.O_DIRECT
        opened.append(Path(path).name)
        handle = real(path, flags & ~os.O_DIRECT, *rest, **options)
        if direct:
            return handle
        # Linux makes the file, and refuses only then.
        os.close(handle)
        raise OSError(errno.EINVAL, "Invalid argument")

    with monkeypatch.context() as odd:
        odd.setattr(os, "open", open_)
        assert supports_direct_io(instances) is direct
    assert opened == [".cfgdrive_virt.probe"]
    assert names(instances) == []


_TYPES = """
import os, subprocess, sys
from pathlib import Path
from cfgdrive_virt.store.file_system import type_of
root = Path(sys.argv[1])
print(type_of(root), type_of(root / "not" / "yet"))
odd = root / "a b\\tc\\\\d"
odd.mkdir()
subprocess.run(["mount", "-t", "ramfs", "x", odd], check=True)
print(type_of(odd), type_of(odd / "below"), type_of(root))
(root / "link").symlink_to(odd)
print(type_of(root / "link"))
subprocess.run(["mount", "-t", "tmpfs", "x", odd], check=True)
print(type_of(odd))
os.chdir(odd)
print(type_of(Path("here")))
"""


def test_a_file_system_has_its_type_below_its_mount_point(
    instances: Path,
) -> None:
    told = on_tmpfs(instances, "size=1m", _TYPES).splitlines()
    assert told == [
        "tmpfs tmpfs",
        "ramfs ramfs tmpfs",
        "ramfs",
        "tmpfs",
        "tmpfs",
    ]


def test_the_type_is_the_one_that_df_tells(instances: Path) -> None:
    df = subprocess.run(
        ["df", "--output=fstype", instances],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert type_of(instances) == df.stdout.split()[-1]


def test_where_no_mounts_are_told_the_type_is_unknown(
    instances: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_system, "_MOUNTS", tmp_path / "missing")
    assert type_of(instances) == ""


def test_a_network_file_system_is_told_by_its_name(
    instances: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:1 / / rw shared:1 - ext4 /dev/vda rw\n"
        f"40 22 0:50 / {instances} rw shared:2 master:1 - nfs4 h:/x rw\n"
        f"41 22 0:51 / {instances}x rw - ceph m:/ rw\n"
    )
    monkeypatch.setattr(file_system, "_MOUNTS", mounts)
    assert type_of(instances / "a") == "nfs4"
    assert type_of(tmp_path) == "ext4"
