"""The command's inspect: what it shows of a drive, and extracts."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from cfgdrive_virt.adapters.cli import inputs
from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.image import read

from ...samples import SECRETS, secrets_in
from .commands import Run, write_image


def test_inspect_shows_the_tree_and_no_secret(
    run: Run, image: Path, image_format: str
) -> None:
    for option in ("--json", "--extract=new"):
        told = run("inspect", image, option).stdout
        assert secrets_in(told) == []
    assert f"config-2 ({image_format}, " in told
    assert "network_data.json" in told
    assert "fa:16:3e:ed:9a:59" in told


def test_inspect_shows_secrets_if_asked(run: Run, image: Path) -> None:
    told = run("inspect", image, "--show-secrets").stdout
    for secret in SECRETS[:4]:
        assert secret in told


def test_inspect_answers_in_json(
    run: Run, image: Path, image_format: str
) -> None:
    found = json.loads(run("inspect", image, "--json").stdout)
    assert (found["label"], found["format"]) == ("config-2", image_format)
    assert found["path"] == str(image)
    files = read(image.read_bytes()).tree.files
    assert {path: file["size"] for path, file in found["files"].items()} == {
        path: len(content) for path, content in files.items()
    }


@pytest.mark.parametrize("json_", [b"NaN", b'{"a": Infinity}'])
def test_inspect_answers_in_json_whatever_is_on_the_drive(
    run: Run, tmp_path: Path, json_: bytes
) -> None:
    path = write_image(tmp_path / "x", {"openstack/latest/x.json": json_})
    told = run("inspect", path, "--json").stdout
    json.loads(told, parse_constant=pytest.fail)


def test_inspect_extracts_to_a_new_directory(
    run: Run, image: Path, tmp_path: Path
) -> None:
    assert run("inspect", image, "--extract", "new").exit_code == 0
    files = read(image.read_bytes()).tree.files
    for path, content in files.items():
        extracted = tmp_path / "new" / path
        assert extracted.read_bytes() == content
        assert stat.S_IMODE(extracted.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_inspect_extracts_to_no_directory_that_is_there(
    run: Run, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    result = run("inspect", image, "--extract", "there")
    assert result.exit_code == 1
    assert "already exists; choose a new directory" in result.stderr
    assert os.listdir(tmp_path / "there") == []


@pytest.mark.parametrize("name", [b"..\0\0\0\0\0\0\0", b"../../../"])
def test_a_hostile_drive_extracts_nowhere(
    run: Run, tmp_path: Path, name: bytes
) -> None:
    path = write_image(tmp_path / "x", {"openstack/evil": b"x"})
    path.write_bytes(path.read_bytes().replace(b"openstack", name))
    before = sorted(tmp_path.parent.rglob("*"))
    assert run("inspect", path, "--extract", "new").exit_code == 1
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_inspect_refuses_a_drive_that_was_cut_short(
    run: Run, image: Path
) -> None:
    image.write_bytes(image.read_bytes()[:-2048])
    assert run("inspect", image).exit_code == 1


def test_inspect_says_what_it_leaves_out(run: Run, tmp_path: Path) -> None:
    below = "openstack/latest"
    path = write_image(
        tmp_path / "x",
        {
            f"{below}/a.json": json.dumps(list(range(1500))).encode(),
            f"{below}/b.json": b'"%s"' % (b"a" * 70_000),
        },
    )
    told = run("inspect", path).stdout
    assert "  and 502 more lines\n" in told
    assert re.search(
        r"b\.json\n  left out, sha256 [0-9a-f]{64}: more than 65,536 bytes;"
        r" --extract writes it\n",
        told,
    )
    assert len(told) < 20_000
    files = json.loads(run("inspect", path, "--json").stdout)["files"]
    assert files[f"{below}/b.json"]["left_out"] == "more than 65,536 bytes"
    assert len(files[f"{below}/a.json"]["json"]) == 1500


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(
    run: Run, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "drive")
    result = run("inspect", tmp_path / "drive")
    assert result.exit_code == 1
    assert "drive is a pipe; to read it, redirect it" in result.stderr


def test_a_directory_is_no_drive_and_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with pytest.raises(StoreError, match="is a directory"):
            inputs.read_file(str(tmp_path), 1)
    assert len(os.listdir("/proc/self/fd")) == len(before)
