"""The command's build: what it writes, and where."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cfgdrive_virt.adapters.cli.main import main
from cfgdrive_virt.image import read

from ...processes import Child, as_nobody
from ...samples import SAMPLE
from .commands import Real, Run, instance


def test_build_writes_a_drive_and_tells_of_it(
    run: Run, tmp_path: Path
) -> None:
    result = run("build", SAMPLE, "-o", "drive")
    assert (result.exit_code, result.stderr) == (0, "")
    drive = tmp_path / "drive"
    assert read(drive.read_bytes()).label == "config-2"
    assert str(drive) in result.stdout
    assert f"{drive.stat().st_size:,} bytes" in result.stdout


def test_build_answers_in_json(run: Run, tmp_path: Path) -> None:
    result = run("build", SAMPLE, "-o", "drive", "--json")
    found = json.loads(result.stdout)
    data = (tmp_path / "drive").read_bytes()
    assert found.keys() == {"path", "format", "size", "sha256"}
    assert (found["path"], found["size"]) == (
        str(tmp_path / "drive"),
        len(data),
    )


def test_build_writes_for_its_owner_only_and_over_its_own(
    run: Run, tmp_path: Path
) -> None:
    for _ in range(2):
        assert run("build", SAMPLE, "-o", "drive").exit_code == 0
        assert stat.S_IMODE((tmp_path / "drive").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["drive"]


def test_build_takes_an_instance_from_standard_input(
    run: Run, tmp_path: Path
) -> None:
    result = run("build", "-", "-o", "drive", data=instance())
    assert result.exit_code == 0
    assert (tmp_path / "drive").exists()


@pytest.mark.parametrize("kind", ["link", "dangling", "directory", "device"])
def test_build_replaces_nothing_but_a_file(
    run: Run, tmp_path: Path, kind: str
) -> None:
    path, other = tmp_path / "drive", tmp_path / "other"
    other.write_bytes(b"precious")
    if kind == "device":
        path = Path("/dev/null")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("other" if kind == "link" else "nowhere")
    result = run("build", SAMPLE, "-o", path)
    assert result.exit_code == 1
    what = {
        "directory": "a directory",
        "device": "a character device",
    }.get(kind, "a symbolic link")
    assert result.stderr == (
        f"Error: {path} is {what}, not a regular file; choose another one\n"
    )
    assert other.read_bytes() == b"precious"


def test_build_follows_a_link_to_a_directory(run: Run, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert run("build", SAMPLE, "-o", "link/drive").exit_code == 0
    assert os.listdir(tmp_path / "real") == ["drive"]


def test_a_failed_build_keeps_what_was_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "drive").write_bytes(b"old")
    assert run("build", "-", "-o", "drive", data=b"{}").exit_code == 2
    assert (tmp_path / "drive").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["drive"]


def test_a_name_as_long_as_the_file_system_has_them_is_built(
    run: Run, tmp_path: Path
) -> None:
    assert run("build", SAMPLE, "-o", "x" * 255).exit_code == 0
    assert os.listdir(tmp_path) == ["x" * 255]


def test_the_same_epoch_gives_the_same_bytes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = []
    for epoch in ("0", "0", "1700000000"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        result = run("build", SAMPLE, "-o", "drive", "--json")
        sums.append(json.loads(result.stdout)["sha256"])
    assert sums[0] == sums[1] != sums[2]


@pytest.mark.parametrize(
    "epoch",
    [
        "", "-1", "1.5", "1e9", " 1", "١", "now", "9" * 20, "9" * 5000,
        "\x1b[31m",
    ],
    ids=lambda epoch: ascii(epoch)[:20],
)  # fmt: skip
def test_an_epoch_that_is_none_is_a_wrong_call(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    result = run("build", SAMPLE, "-o", "drive")
    assert result.exit_code == 2
    assert len(result.stderr) < 200
    assert "\x1b" not in result.stderr
    assert os.listdir(tmp_path) == []


def test_the_real_command_works(real: Real, tmp_path: Path) -> None:
    done = real(
        "build", "-", "-o", "drive", "--json", input=SAMPLE.read_text()
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["path"] == str(tmp_path / "drive")


def test_build_into_a_directory_without_rights_is_told() -> None:
    def call() -> tuple[int, str]:
        result = CliRunner().invoke(
            main, ["build", "-", "-o", "/etc/drive"], instance()
        )
        return result.exit_code, result.output

    code, told = as_nobody(call)
    assert code == 1
    assert "can't write /etc/drive: permission denied" in told


def test_what_a_killed_build_left_goes_with_the_next_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    (tmp_path / "drive").write_bytes(b"old")
    with monkeypatch.context() as fatal:
        fatal.setattr(os, "rename", end)
        Child(lambda: run("build", SAMPLE, "-o", tmp_path / "drive")).answer()
    assert len(os.listdir(tmp_path)) == 2
    assert run("build", SAMPLE, "-o", tmp_path / "drive").exit_code == 0
    assert os.listdir(tmp_path) == ["drive"]
