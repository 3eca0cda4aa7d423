"""The command's list and prune: drives that outlived their instance."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pty
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.adapters.cli import drive_view, terminal
from cfgdrive_virt.model.drive import FileLocation, StoredDrive
from cfgdrive_virt.store import file_system

from ...processes import command
from ...samples import SAMPLE, UUID
from .commands import TEST, THEIRS, Run


def old_drives(run: Run, instances: Path) -> None:
    """Make two drives, a year old: UUID's, and THEIRS by somebody else."""
    for uuid in (UUID, THEIRS):
        path = instances / uuid / "disk.config"
        path.parent.mkdir()
        assert run("build", SAMPLE, "-o", path).exit_code == 0
    path.write_bytes(b"genisoimage's")
    for drive in instances.rglob("disk.config"):
        os.utime(drive, (0, 0))


def test_list_shows_all_drives(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    old_drives(run, instances)
    result = run("--config-file", nova_conf, "list")
    assert (result.exit_code, result.stderr) == (0, "")
    head, theirs, ours = result.stdout.splitlines()
    assert head.split() == [
        "location", "instance", "size", "modified", "ours", "users",
    ]  # fmt: skip
    drive = instances / UUID / "disk.config"
    assert ours.split() == [
        str(drive), UUID, str(drive.stat().st_size), "1970-01-01T00:00:00Z",
        "yes", "-",
    ]  # fmt: skip
    assert theirs.split()[4] == "no"
    found = run("--config-file", nova_conf, "list", "--json").stdout
    assert [row["ours"] for row in json.loads(found)] == [False, True]


def test_list_of_no_drives_says_nothing(run: Run, nova_conf: Path) -> None:
    result = run("--config-file", nova_conf, "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    found = run("--config-file", nova_conf, "list", "--json")
    assert json.loads(found.stdout) == []


def test_a_drive_that_cannot_be_looked_at_stops_no_list(
    run: Run, nova_conf: Path, instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_drives(run, instances)
    real = os.open

    def fail(name: str, *arguments: Any, **options: Any) -> int:
        if name == THEIRS:
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(name, *arguments, **options)

    monkeypatch.setattr(os, "open", fail)
    told = f"can't access {instances / THEIRS}: Stale file handle (ESTALE)"
    result = run("--config-file", nova_conf, "list", "--json")
    assert result.exit_code == 1
    assert result.stderr.count(told) == 1
    sizes = [row["size"] for row in json.loads(result.stdout)]
    assert sizes == [None, (instances / UUID / "disk.config").stat().st_size]
    prune = ("prune", *TEST, "--json", "--remove")
    result = run("--config-file", nova_conf, *prune)
    assert result.exit_code == 1
    assert [row["verdict"] for row in json.loads(result.stdout)] == [
        told, "removed",
    ]  # fmt: skip


@pytest.mark.parametrize("seconds", [3e11, -1e18, 1e300])
def test_a_date_that_no_calendar_has_is_shown(seconds: float) -> None:
    location = FileLocation(UUID, Path("/x"))
    drive = StoredDrive(location, 1, seconds, ours=True, users=())
    assert drive_view.stored(drive)["modified"] == f"@{seconds:.0f}"


def test_rows_are_printed_as_they_come(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = []

    def rows() -> Iterator[dict[str, Any]]:
        for name in ("a", "much longer", "b"):
            yield {"name": name, "size": 1}
            printed.append(capsys.readouterr().out)

    terminal.print_rows(rows(), as_json=False)
    assert printed == ["name  size\na     1\n", "much longer  1\n",
        "b            1\n"]  # fmt: skip
    printed.clear()
    terminal.print_rows(rows(), as_json=True)
    text = "".join(printed) + capsys.readouterr().out
    assert len(printed[0]) > 10
    assert [row["name"] for row in json.loads(text)] == [
        "a", "much longer", "b",
    ]  # fmt: skip


def test_prune_shows_orphans_and_removes_them_if_told(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    old_drives(run, instances)
    arguments = ("--config-file", nova_conf, "prune", *TEST, "--json")

    def verdicts(*more: Any) -> list[str]:
        rows = json.loads(run(*arguments, *more).stdout)
        return [row["verdict"] for row in rows]

    assert verdicts() == ["its instance exists", "orphan"]
    assert (instances / UUID / "disk.config").exists()
    assert verdicts("--remove") == ["its instance exists", "removed"]
    assert os.listdir(instances) == [THEIRS, "locks"]
    assert verdicts("--remove") == ["its instance exists"]


def test_prune_keeps_what_an_operators_list_has(
    run: Run, nova_conf: Path, instances: Path, tmp_path: Path
) -> None:
    old_drives(run, instances)
    # As some editors write it.
    text = f"\ufeff# all of them\r\n\r\n {UUID.upper()}\r\n"
    (tmp_path / "living").write_text(text)
    arguments = ("--config-file", nova_conf, "prune", "--remove")
    result = run(*arguments, "--living", "living")
    assert "its instance exists" in result.stdout
    assert "not built by cfgdrive_virt" in result.stdout
    assert (instances / UUID).exists()
    assert (instances / THEIRS).exists()


def test_the_list_of_some_other_cloud_removes_nothing(
    run: Run, nova_conf: Path, instances: Path, tmp_path: Path
) -> None:
    old_drives(run, instances)
    (tmp_path / "living").write_text("00000000-0000-4000-8000-000000000001")
    arguments = ("--config-file", nova_conf, "prune", "--living", "living")
    assert "orphan" in run(*arguments).stdout
    result = run(*arguments, "--remove")
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert "none of the existing instances has a drive here" in told
    assert (instances / UUID).exists()


def test_an_orphan_that_cannot_be_removed_is_a_failure(
    run: Run,
    nova_conf: Path,
    instances: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old_drives(run, instances)

    def refuse(path: str, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", refuse)
    arguments = ("--config-file", nova_conf, "prune", *TEST, "--remove")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "can't remove " in result.stdout
    assert (instances / UUID).exists()


@pytest.mark.parametrize("kind", ["virtiofs", "9p", "fuse.cubefs", ""])
def test_a_file_system_that_hosts_may_share_wants_a_list(
    run: Run,
    nova_conf: Path,
    instances: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    old_drives(run, instances)
    monkeypatch.setattr(file_system, "type_of", lambda _: kind)
    arguments = ("--config-file", nova_conf, "prune", *TEST)
    assert run(*arguments).exit_code == 2
    nova_conf.write_text(
        f"{nova_conf.read_text()}[cfgdrive_virt]\ninstances_path_shared = no\n"
    )
    assert run(*arguments).exit_code == 0


@pytest.mark.parametrize("text", ["", "\n# nobody\n\n"])
def test_an_empty_list_of_the_living_is_refused(
    run: Run, nova_conf: Path, instances: Path, tmp_path: Path, text: str
) -> None:
    old_drives(run, instances)
    (tmp_path / "living").write_text(text)
    arguments = ("--config-file", nova_conf, "prune", "--remove")
    result = run(*arguments, *TEST, "--living", "living")
    assert result.exit_code == 2
    assert "must name at least one instance" in result.stderr
    assert (instances / UUID).exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[libvirt]\nimages_type = rbd\n", "hosts share the Ceph pool"),
        (
            "[cfgdrive_virt]\ninstances_path_shared = yes\n",
            "[cfgdrive_virt] instances_path_shared=yes",
        ),
    ],
    ids=["rbd", "shared"],
)
def test_where_hosts_share_one_libvirt_does_not_know_all(
    run: Run, nova_conf: Path, instances: Path, text: str, why: str
) -> None:
    old_drives(run, instances)
    nova_conf.write_text(nova_conf.read_text() + text)
    result = run("--config-file", nova_conf, "prune", *TEST, "--remove")
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert f"{why}: --living FILE must list the instances of all" in told
    assert (instances / UUID).exists()


def test_rows_are_not_kept_and_no_terminal_is_asked_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def size(handle: int = 1) -> os.terminal_size:
        asked.append(handle)
        return os.terminal_size((80, 25))

    monkeypatch.setattr(os, "get_terminal_size", size)

    def most(number: int, *, as_json: bool) -> tuple[int, int]:
        rows = ({"name": f"{n:0100}", "size": n} for n in range(number))
        asked.clear()
        with (
            Path(os.devnull).open("w", encoding="utf-8") as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            tracemalloc.start()
            try:
                terminal.print_rows(rows, as_json=as_json)
                memory = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        return memory, len(asked)

    for as_json in (False, True):
        most(10, as_json=as_json)
        (memory, questions), (more_memory, more_questions) = (
            most(200, as_json=as_json),
            most(2000, as_json=as_json),
        )
        assert more_questions == questions
        assert more_memory < memory + 100_000


def on_terminal(
    *arguments: Any, cwd: Path, both: bool = False
) -> tuple[int, bytes, bytes]:
    """Run the command with a terminal for its standard error.

    Return its exit code, its standard output, and what the terminal gets.

    :param both: whether the terminal is its standard output, too
    """
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*map(str, arguments)),
        stdin=subprocess.DEVNULL,
        stdout=theirs if both else subprocess.PIPE,
        stderr=theirs,
        cwd=cwd,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        shown = b""
        # The other end is closed: EIO.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 4096):
                shown += part
        os.close(ours)
        out, _ = process.communicate(timeout=30)
    return process.returncode, out or b"", shown


@pytest.mark.parametrize("verb", ["list", "prune"])
def test_progress_is_shown_on_a_terminal_beside_rows_in_a_pipe(
    run: Run, nova_conf: Path, instances: Path, tmp_path: Path, verb: str
) -> None:
    old_drives(run, instances)
    options = TEST if verb == "prune" else ()
    call = ("--config-file", nova_conf, verb, *options, "--json")
    code, out, shown = on_terminal(*call, cwd=tmp_path)
    assert code == 0
    assert len(json.loads(out)) == 2
    assert b"2 of 2" in shown
    # And it is removed in the end.
    assert shown.endswith(b"\x1b[2K")


def test_no_progress_is_shown_if_standard_error_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with terminal.progress(rows=False) as progress:
        progress(1, 2)


def test_rows_on_a_terminal_show_the_progress_themselves(
    run: Run, nova_conf: Path, instances: Path, tmp_path: Path
) -> None:
    old_drives(run, instances)
    call = ("--config-file", nova_conf, "list")
    code, _, shown = on_terminal(*call, cwd=tmp_path, both=True)
    assert code == 0
    assert str(instances / UUID).encode() in shown
    assert b" of 2" not in shown


def test_the_look_before_a_removal_shows_its_progress(
    run: Run, nova_conf: Path, instances: Path, tmp_path: Path
) -> None:
    old_drives(run, instances)
    (tmp_path / "living").write_text("00000000-0000-4000-8000-000000000001")
    call = ("--config-file", nova_conf, "prune", "--living", "living")
    code, _, shown = on_terminal(*call, "--remove", cwd=tmp_path, both=True)
    assert code == 2
    assert b"2 of 2" in shown
    assert b"none of the existing instances" in shown
