"""The command's plan, and the configuration that it follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ...samples import SAMPLE, UUID
from .commands import META_DATA, Real, Run, instance


def test_a_pipe_may_take_the_place_of_a_file(real: Real) -> None:
    done = real(
        "plan",
        "/dev/stdin",
        "--json",
        input=SAMPLE.read_text("utf-8"),
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["required"] is True


def test_all_that_is_wrong_with_an_instance_is_told(real: Real) -> None:
    text = "uuid: x\nadmin_pass: [hunter2]\nyz: 1\n"
    done = real("plan", "-", input=text)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: standard input is not valid:\n")
    lines = done.stderr.splitlines()[1:]
    assert lines[0] == "  yz: unknown field"
    for name in ("uuid", "name", "hostname", "admin_pass"):
        assert sum(line.startswith(f"  {name}: must ") for line in lines) == 1
    assert len(lines) == 5
    assert "hunter2" not in done.stderr


def test_plan_answers_where_the_drive_can_not_be_built(
    run: Run, tmp_path: Path
) -> None:
    conf = tmp_path / "nova.conf"
    conf.write_text("[api]\nvendordata_jsonfile_path = /nonexistent\n")
    data = instance(config_drive=True)
    arguments = ("--config-file", str(conf), "plan", "-")
    result = run(*arguments, data=data)
    assert result.exit_code == 0
    assert "the drive can't be built: [api]" in " ".join(result.stdout.split())
    assert "why" in result.stdout
    document = json.loads(run(*arguments, "--json", data=data).stdout)
    assert document["problem"].startswith("the drive can't be built: [api]")
    assert document["decision"]["format"] == "vfat"


def test_plan_answers_in_json(run: Run) -> None:
    found = json.loads(run("plan", SAMPLE, "--json").stdout)
    assert found["required"] is True
    assert found["decision"]["bus"] == "virtio"
    assert found["location"] in found["disk_xml"]
    nothing = run("plan", "-", "--json", data=instance())
    assert json.loads(nothing.stdout) == {
        "required": False,
        "required_reason": "neither the request, nor the image, nor"
        " force_config_drive asks for one",
        "location": None,
        "decision": None,
        "disk_xml": None,
        "losses": [],
        "problem": None,
        "controller_xml": None,
    }


def test_plan_shows_verdict_reason_and_xml(run: Run) -> None:
    told = run("plan", SAMPLE).stdout
    for words in (
        "yes: the request asks for one",
        "disk vdz on virtio, writable",
        "vfat because hosts don't share instances_path on ",
        f"{UUID}/disk.config",
        '<target dev="vdz" bus="virtio"/>',
    ):
        assert words in told
    assert "no: neither" in run("plan", "-", data=instance()).stdout


@pytest.mark.usefixtures("two_readers")
def test_plan_warns_of_what_the_likely_reader_loses(
    run: Run, nova_conf: Path
) -> None:
    data = instance(config_drive=True, metadata={"lost2": "x", "lost": "x"})
    lost = [
        f"cloud-init: {META_DATA} meta.{key}: does not arrive"
        for key in ("lost", "lost2")
    ]
    with nova_conf.open("a") as file:
        file.write("config_drive_format = iso9660\n")
    plan = ("--config-file", nova_conf, "plan", "-")
    result = run(*plan, data=data)
    assert (result.exit_code, result.stderr) == (0, "")
    warnings = [
        line for line in result.stdout.splitlines() if line[:7] == "warning"
    ]
    assert warnings[0].startswith("warning config_drive_format=iso9660 is set")
    assert warnings[1:] == [f"warning {line}" for line in lost]
    found = json.loads(run(*plan, "--json", data=data).stdout)
    assert [loss["key"] for loss in found["losses"]] == [
        "meta.lost",
        "meta.lost2",
    ]
    assert len(found["decision"]["warnings"]) == 1
    none = run("plan", "-", data=instance(metadata={"lost": "x"}))
    assert "warning" not in none.stdout


def test_a_nova_conf_decides(run: Run, nova_conf: Path) -> None:
    more = nova_conf.with_name("more.conf")
    more.write_text(
        "[DEFAULT]\nconfig_drive_format = iso9660\n"
        "[libvirt]\nhw_machine_type = x86_64=q35\n"
    )
    data = instance(
        config_drive=True, image_properties={"hw_architecture": "x86_64"}
    )
    files = ("--config-file", nova_conf, "--config-file", more)
    found = json.loads(run(*files, "plan", "-", "--json", data=data).stdout)
    assert found["decision"]["bus"] == "scsi"
    assert found["decision"]["controller"] == {
        "type": "scsi",
        "index": 0,
        "model": "virtio-scsi",
    }
    assert 'model="virtio-scsi"' in found["controller_xml"]
    assert found["location"].startswith(str(nova_conf.with_name("instances")))
