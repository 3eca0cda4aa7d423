"""The search for the worst drive builds drives, and measures hooks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.worst.drive import Drive
from fuzz.worst.image import image_of

from cfgdrive_virt import image

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("vfat", [False, True])
@pytest.mark.parametrize("stamp", [False, True])
def test_a_drive_is_one_that_others_and_we_read(
    tmp_path: Path, vfat: bool, stamp: bool
) -> None:
    drive = Drive(
        vfat=vfat, stamp=stamp, files=20, injected=3, deleted=5 * vfat
    )
    data = image_of(drive)
    assert data is not None
    found = image.read(data)
    assert len(found.tree.files) == 20 + 3 + 11
    assert found.is_as_built
    assert (found.stamp is not None) is stamp
    path = tmp_path / "drive"
    path.write_bytes(data)
    said = subprocess.run(
        ["7z", "l", "-slt", path], capture_output=True, text=True, check=True
    ).stdout.lower()
    assert said.count("meta_data.json") == 11


def test_the_program_prints_what_it_found() -> None:
    done = subprocess.run(
        [
            sys.executable, "contrib/fuzz/worst", "--seconds", "1",
            "--family", "files", "--family", "64 MiB, VFAT",
            "--hook", "status", "--hook", "recall",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    # A child that fails says so there.
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1].startswith("files  ")
    assert lines[2].startswith("64 MiB, VFAT  ")
    # A hook that has more to do costs more.
    little, much = (re.findall(r"(\d+)M", row[30:]) for row in lines[1:3])
    assert len(little) == len(much) == 2
    for few, many in zip(little, much, strict=True):
        assert int(few) < 50 < int(many)
    assert "the worst of" in done.stdout
