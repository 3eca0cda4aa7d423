"""The command by itself: its options, exit codes, and how it fails."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cfgdrive_virt.adapters.cli.main import COMMANDS, main

from ...processes import as_nobody, command
from ...samples import SAMPLE, UUID, secrets_in
from .commands import TEST, Real, Run


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Usage:"),
        (("fly",), 2, "No such command 'fly'"),
        (("plan",), 2, "Missing argument 'INSTANCE'"),
        (("plan", "missing"), 2, "'missing' does not exist"),
        (("build", "missing", "-o", "x"), 2, "'missing' does not exist"),
        (("spawn", "missing", *TEST), 2, "'missing' does not exist"),
        (("plan", "/"), 2, "'/' is a directory"),
        (("plan", ""), 2, "does not exist"),
        (("plan", "/dev/zero"), 1, "/dev/zero is a character device"),
        (("build", "/dev/zero", "-o", "x"), 1, "is a character device"),
        (("spawn", "/dev/zero", *TEST), 1, "is a character device"),
        (("build", "-"), 2, "Missing option '-o' / '--output'"),
        (("build", "-", "-o", "x", "--format", "ext4"), 2, "'ext4' is not"),
        (("inspect", "rbd:"), 2, "drive: must be rbd:POOL/VOLUME"),
        (("inspect", "rbd:pool"), 2, "drive: must be rbd:POOL/VOLUME"),
        (("inspect", "rbd:a/\udcff"), 2, "drive: must be rbd:POOL/VOLUME"),
        (("verify", "missing"), 2, "does not exist"),
        (("verify", "-", "--instance", "-"), 2, "both be standard input"),
        (("verify", SAMPLE), 1, "neither an ISO9660 nor a VFAT image"),
        (("verify", SAMPLE, "--instance", "no"), 2, "does not exist"),
        (("prune",), 2, "to name the existing instances"),
        (("prune", "--living", "missing"), 2, "does not exist"),
        (("prune", "--living", "/dev/null"), 1, "is a character device"),
        (("prune", "--living", SAMPLE), 2, "line 5: must be a UUID"),
        (("prune", *TEST, "--older-than", "-1"), 2, "not in the range"),
        (("prune", *TEST, "--older-than", "nan"), 2, "not a number of hours"),
        (("prune", *TEST, "--older-than", "inf"), 2, "not a number of hours"),
        (("prune", "--connect", "no:///"), 1, "can't connect to no:"),
        (("build", SAMPLE, "-o", "no/x"), 1, "directory is missing"),
        (("build", SAMPLE, "-o", ""), 1, "not a regular file"),
        (("build", SAMPLE, "-o", ".."), 1, "not a regular file"),
        (("inspect", "missing"), 2, "does not exist"),
        (("inspect", "/"), 2, "is a directory"),
        (("inspect", "/dev/null"), 1, "/dev/null is a character device"),
        (("inspect", "/dev/zero"), 1, "/dev/zero is a character device"),
        (("inspect", SAMPLE), 1, "neither an ISO9660 nor a VFAT image"),
        (("inspect", "/proc/self/mem"), 1, "can't read /proc/self/mem"),
        (("plan", "/proc/self/mem"), 1, "/proc/self/mem"),
        (("--config-file", "missing", "plan", SAMPLE), 2, "does not exist"),
        (("--config-file", "/", "plan", SAMPLE), 2, "is a directory"),
        (("destroy", "../etc", *TEST), 2, "uuid: must be a UUID"),
        (("destroy", UUID), 2, "Missing option '--connect'"),
        (("destroy", UUID, "--connect", "no:///"), 1, "can't connect to no:"),
        (("spawn", SAMPLE, "--connect", "\x1b["), 1, "can't connect to"),
        (("spawn", "-", *TEST, "--domain", "/"), 2, "'/' is a directory"),
        (("spawn", "-", *TEST, "--domain", "no"), 2, "'no' does not exist"),
        (("spawn", "-", *TEST, "--domain", "-"), 2, "'-' does not exist"),
        (("spawn", SAMPLE, *TEST, "--domain", SAMPLE), 2, "is not valid XML"),
        (
            ("spawn", SAMPLE, *TEST, "--domain", "/dev/zero"), 1,
            "/dev/zero is a character device",
        ),
    ],
    ids=lambda value: " ".join(map(str, value))
    if isinstance(value, tuple)
    else "",
)  # fmt: skip
def test_a_failure_has_its_exit_code_and_its_reason(
    run: Run, arguments: tuple[Any, ...], code: int, words: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert "\x1b" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("most", "arguments"),
    [
        ("instance_file.MAX_BYTES", ("plan", "x")),
        ("instance_file.MAX_BYTES", ("plan", "-")),
        (
            "instances._MAX_DOMAIN_BYTES",
            ("spawn", SAMPLE, *TEST, "--domain", "x"),
        ),
    ],
    ids=["instance", "standard-input", "domain"],
)
def test_no_more_is_read_than_makes_sense(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    most: str,
    arguments: tuple[Any, ...],
) -> None:
    monkeypatch.setattr(f"cfgdrive_virt.adapters.cli.{most}", 4000)
    (tmp_path / "x").write_bytes(b" " * 4001)
    result = run(*arguments, data=b" " * 4001)
    name = "standard input" if arguments[-1] == "-" else "x"
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: {name} is larger than 4,000 bytes\n",
    )
    (tmp_path / "x").write_bytes(b" " * 4000)
    # As much as there may be: it is read, and found wanting.
    assert run(*arguments, data=b" " * 4000).exit_code == 2


def test_help_and_version_are_told(run: Run) -> None:
    for option in ("-h", "--help", "--version"):
        assert run(option).exit_code == 0
    for verb in ("build", "plan", "inspect", "spawn", "destroy"):
        assert run(verb, "-h").exit_code == 0
        assert verb in run("-h").stdout


def test_the_list_of_commands_cuts_no_help_short(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, _, listed = run("--help").stdout.partition("\nCommands:\n")
    lines = listed.splitlines()
    assert len(lines) == len(COMMANDS)
    assert [line for line in lines if line.endswith("...")] == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"[DEFAULT\nhunter2 = 1\n", "line 1"),
        (b"[DEFAULT]\n= hunter2\n", "line 2"),
        (b"hunter2 = 1\n", "line 1"),
        (b"[]\nhunter2 = 1\n", "line 1"),
        (b"[DEFAULT]\n\nhunter2\n", "line 3"),
        (b"\xff\xfe[\0hunter2", ""),
        (b"[DEFAULT]\npassword = \xe9hunter2\n", ""),
        (b"\0hunter2", "line 1"),
    ],
)
def test_a_nova_conf_that_cannot_be_read_is_not_quoted(
    run: Run, nova_conf: Path, text: bytes, where: str
) -> None:
    nova_conf.write_bytes(text)
    result = run("--config-file", nova_conf, "plan", SAMPLE)
    assert result.exit_code == 2
    assert str(nova_conf) in result.stderr
    assert result.stderr.count("\n") == 1
    assert where in result.stderr
    assert "hunter2" not in result.stderr


def test_of_two_files_each_is_named_where_one_is_not_utf_8(
    run: Run, nova_conf: Path
) -> None:
    other = nova_conf.with_name("other.conf")
    other.write_bytes(b"[DEFAULT]\nx = \xe9hunter2\n")
    files = ("--config-file", nova_conf, "--config-file", other)
    result = run(*files, "plan", SAMPLE)
    assert result.exit_code == 2
    assert str(other) in result.stderr
    assert "not UTF-8" in result.stderr
    assert "hunter2" not in result.stderr


def test_options_that_are_wrong_are_a_wrong_call(
    run: Run, nova_conf: Path
) -> None:
    nova_conf.write_text("[libvirt]\nvirt_type = xen\n")
    result = run("--config-file", nova_conf, "plan", SAMPLE)
    assert result.exit_code == 2
    assert "virt_type" in result.stderr


def test_verbose_logs_to_standard_error(real: Real, nova_conf: Path) -> None:
    done = real("-v", "--config-file", nova_conf, "plan", SAMPLE, "--json")
    assert json.loads(done.stdout)["required"] is True
    assert secrets_in(done.stderr) == []


def test_an_endless_instance_is_refused_before_memory_runs_out(
    real: Real,
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    with open("/dev/zero", "rb") as zero:
        done = real("plan", "-", preexec_fn=limit, stdin=zero)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: standard input is larger than ")


def test_what_cannot_be_read_is_told() -> None:
    def call() -> tuple[int, str]:
        result = CliRunner().invoke(main, ["inspect", "/etc/shadow"])
        return result.exit_code, result.output

    code, told = as_nobody(call)
    assert code == 2
    assert "is not readable" in told


def caught(pid: int) -> int:
    """Return the signals that a process catches, a bit each."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("SigCgt:\t")[2].split()[0], 16)


@pytest.mark.parametrize(("before", "code"), [(":", 129), ("trap '' HUP", 0)])
def test_a_hangup_ends_it_unless_it_is_ignored(before: str, code: int) -> None:
    process = subprocess.Popen(
        ["sh", "-c", f'{before}; exec "$@"', "-", *command("plan", "-")],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # SIGHUP is the last that it takes for itself.
    wanted = signal.SIGHUP if code else signal.SIGTERM
    while not caught(process.pid) & 1 << wanted - 1:
        assert process.poll() is None, "it ended before it was ready"
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    process.communicate(SAMPLE.read_bytes())
    assert process.returncode == code
