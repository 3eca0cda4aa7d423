"""The command's status, refresh and forget-secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import Result

from ...samples import UUID
from .commands import TEST, Run, instance


def test_status_tells_what_has_changed_by_key(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    def ask(*options: str, **fields: Any) -> Result:
        return run(
            "--config-file", nova_conf, *options, "-",
            data=instance(config_drive=True, **fields),
        )  # fmt: skip

    missing = ask("status")
    assert missing.exit_code == 1
    assert missing.stdout.split()[-1] == "missing"
    spawned = ask("spawn", *TEST, metadata={"role": "a"})
    assert spawned.exit_code == 0
    fresh = ask("status", metadata={"role": "a"})
    assert (fresh.exit_code, fresh.stdout.split()[-1]) == (0, "fresh")
    changed = {"metadata": {"role": "b"}, "admin_pass": "hunter2-hunter3"}
    stale = ask("status", **changed)
    assert stale.exit_code == 1
    assert "stale" in stale.stdout
    assert "meta_data.json admin_pass" in stale.stdout
    assert "hunter2" not in stale.output
    told = json.loads(ask("status", "--json", **changed).stdout)
    assert told["status"] == "stale"
    assert "meta_data.json meta.role" in told["details"]
    drive = instances / UUID / "disk.config"
    drive.write_bytes(bytes(4096))
    damaged = ask("status", **changed)
    assert damaged.exit_code == 1
    assert "damaged" in damaged.stdout
    assert "neither an ISO9660 nor a VFAT image" in damaged.stdout


def test_refresh_and_forget_rewrite_what_has_changed(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    first = instance(config_drive=True, admin_pass="hunter2-hunter3")
    options = ("--config-file", nova_conf)
    run(*options, "spawn", "-", *TEST, data=first)
    drive = instances / UUID / "disk.config"
    again = run(*options, "refresh", "-", *TEST, data=first)
    assert (again.exit_code, again.stdout.split()[-2:]) == (
        0,
        ["not", "changed"],
    )
    second = instance(
        config_drive=True, admin_pass="hunter2-hunter3", metadata={"a": "b"}
    )
    renewed = run(*options, "refresh", "-", *TEST, "--json", data=second)
    assert json.loads(renewed.stdout) == {
        "location": str(drive),
        "rewritten": True,
    }
    nothing = run(*options, "forget-secrets", UUID, *TEST)
    assert "not changed" in nothing.stdout
    forget = ("forget-secrets", UUID, *TEST, "--secret", "admin_pass")
    forgotten = run(*options, *forget)
    assert forgotten.stdout.split()[-1] == "rewritten"
    assert b"hunter2" not in drive.read_bytes()
    status = run(*options, "status", "-", data=second)
    assert status.exit_code == 0
    for result in (again, renewed, forgotten, status):
        assert "hunter2" not in result.output
        assert result.stderr == ""


def test_an_instance_without_a_drive_has_none_to_refresh(
    run: Run, nova_conf: Path
) -> None:
    result = run(
        "--config-file", nova_conf, "refresh", "-", *TEST, data=instance()
    )
    assert result.exit_code == 0
    assert result.stdout.split() == [
        "drive",
        "none",
        "note",
        "not",
        "required",
    ]


def test_what_is_missing_cannot_forget(run: Run, nova_conf: Path) -> None:
    result = run("--config-file", nova_conf, "forget-secrets", UUID, *TEST)
    assert result.exit_code == 1
    assert "is missing; it can be rebuilt only from" in result.stderr
    assert result.stderr.count("\n") == 1
