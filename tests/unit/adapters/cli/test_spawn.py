"""The command's spawn and destroy: a drive and its domain."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ...samples import SAMPLE, UUID, secrets_in
from .commands import TEST, THEIRS, Run, instance


def test_destroy_refuses_a_domain_that_is_not_ours(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    drive = instances / THEIRS / "disk.config"
    drive.parent.mkdir()
    drive.touch()
    result = run("--config-file", nova_conf, "destroy", THEIRS, *TEST)
    assert result.exit_code == 1
    assert "was not spawned by cfgdrive_virt" in result.stderr
    assert drive.exists()


@pytest.mark.parametrize("verb", ["spawn", "destroy"])
def test_a_missing_instances_path_is_told_and_nothing_is_done(
    run: Run, nova_conf: Path, instances: Path, verb: str
) -> None:
    instances.rmdir()
    data = instance(config_drive=True) if verb == "spawn" else None
    what = "-" if verb == "spawn" else UUID
    result = run("--config-file", nova_conf, verb, what, *TEST, data=data)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"Error: instances_path {instances} can't be used: the directory is"
        " missing"
    )
    assert result.stderr.count("\n") == 1
    assert not instances.exists()


DOMAIN = """<domain type='test'><name>mine</name><memory>8192</memory>
<os><type arch='x86_64'>hvm</type></os></domain>"""


def test_spawn_defines_builds_and_starts(
    run: Run, nova_conf: Path, tmp_path: Path, instances: Path
) -> None:
    (tmp_path / "domain.xml").write_text(DOMAIN)
    arguments = (
        "--config-file", nova_conf, "spawn", SAMPLE, *TEST, "--domain",
        tmp_path / "domain.xml",
    )  # fmt: skip
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["domain"], found["built"]) == ("mine", True)
    assert (instances / UUID / "disk.config").exists()
    # The make-believe domain is gone with the connection; the drive isn't.
    again = run(*arguments)
    assert again.exit_code == 0
    assert "the drive existed already; not changed" in again.stdout
    rebuilt = run(*arguments, "--rebuild", "--json")
    assert json.loads(rebuilt.stdout)["built"] is True
    assert secrets_in(result.output + again.output) == []


def test_spawn_refuses_an_instance_that_has_a_domain(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    data = instance(uuid=THEIRS, config_drive=True)
    result = run("--config-file", nova_conf, "spawn", "-", *TEST, data=data)
    assert result.exit_code == 1
    assert f"instance {THEIRS} already has a domain" in result.stderr
    assert os.listdir(instances) == ["locks"]


def test_spawn_refuses_a_domain_of_another_instance(
    run: Run, nova_conf: Path, tmp_path: Path, instances: Path
) -> None:
    (tmp_path / "domain.xml").write_text(
        f"<domain type='test'><uuid>{THEIRS}</uuid></domain>"
    )
    result = run(
        "--config-file", nova_conf, "spawn", SAMPLE, *TEST, "--domain",
        tmp_path / "domain.xml",
    )  # fmt: skip
    assert result.exit_code == 2
    assert f"the domain's UUID is '{THEIRS}'" in result.stderr
    assert os.listdir(instances) == []


def test_destroy_removes_what_there_is(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    drive = instances / UUID / "disk.config"
    drive.parent.mkdir()
    drive.touch()
    call = ("--config-file", nova_conf, "destroy", UUID.upper(), *TEST)
    result = run(*call, "--json")
    assert json.loads(result.stdout) == {"domain": False, "drive": True}
    assert not drive.exists()
    assert run(*call).stdout.count("did not exist") == 2


def test_spawn_without_a_drive_builds_none(
    run: Run, nova_conf: Path, tmp_path: Path, instances: Path
) -> None:
    (tmp_path / "domain.xml").write_text(DOMAIN)
    result = run(
        "--config-file", nova_conf, "spawn", "-", *TEST, "--json", "--domain",
        tmp_path / "domain.xml", data=instance(),
    )  # fmt: skip
    found = json.loads(result.stdout)
    assert (found["built"], found["required"]) == (None, False)
    assert os.listdir(instances) == ["locks"]
