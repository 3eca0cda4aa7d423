"""The command's verify: is a drive whole, and what does it say otherwise?"""

from __future__ import annotations

import json
from pathlib import Path

from cfgdrive_virt.image import read

from ...samples import SAMPLE, secrets_in
from .commands import Run, instance, write_image


def test_verify_finds_nothing_wrong_with_what_was_built(
    run: Run, image: Path, image_format: str
) -> None:
    result = run("verify", image)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.split(maxsplit=1) == [
        "drive", f"intact {image_format} drive\n",
    ]  # fmt: skip
    result = run("verify", image, "--instance", SAMPLE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "; it matches the instance file" in result.stdout
    found = json.loads(run("verify", image, "--json").stdout)
    assert found == {
        "path": str(image),
        "format": image_format,
        "problems": [],
        "differences": [],
        "more": 0,
    }


def test_verify_tells_what_a_drive_says_otherwise(
    run: Run, image: Path, tmp_path: Path
) -> None:
    text = SAMPLE.read_text().replace("role: web", "role: db")
    text = text.replace("admin_pass: ", "admin_pass: other-")
    (tmp_path / "other.yaml").write_text(text)
    arguments = ("verify", image, "--instance", "other.yaml")
    result = run(*arguments)
    assert result.exit_code == 1
    path = "openstack/latest/meta_data.json"
    assert f"{path} meta.role: expected db, found web" in result.stdout
    hidden = "expected <hidden>, found <hidden>"
    assert f"{path} admin_pass: {hidden}" in result.stdout
    assert secrets_in(result.stdout + result.stderr) == []
    differences = json.loads(run(*arguments, "--json").stdout)["differences"]
    assert {
        "path": path, "key": "meta.role", "expected": "db", "found": "web",
    } in differences  # fmt: skip
    shown = run(*arguments, "--show-secrets").stdout
    assert f"{path} admin_pass: expected other-" in shown


def test_verify_takes_any_seed_where_the_instance_leaves_it_open(
    run: Run,
) -> None:
    data = instance(config_drive=True)
    assert run("build", "-", "-o", "x", data=data).exit_code == 0
    result = run("verify", "x", "--instance", "-", data=data)
    assert (result.exit_code, result.stderr) == (0, "")


def test_verify_tells_what_readers_would_refuse(
    run: Run, tmp_path: Path
) -> None:
    path = write_image(tmp_path / "x", {"openstack/latest/user_data": b"x"})
    result = run("verify", path)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "drive   damaged",
        "  openstack/latest/meta_data.json: must be there",
    ]


def test_verify_says_how_many_more_there_are(run: Run, tmp_path: Path) -> None:
    data = instance(config_drive=True)
    assert run("build", "-", "-o", "x", data=data).exit_code == 0
    files = dict(read((tmp_path / "x").read_bytes()).tree.files)
    path = "openstack/latest/meta_data.json"
    said = json.loads(files[path]) | {f"key{n}": n for n in range(1500)}
    files[path] = json.dumps(said).encode()
    write_image(tmp_path / "y", files)
    arguments = ("verify", "y", "--instance", "-")
    told = run(*arguments, data=data).stdout.splitlines()
    assert told[-1] == "  and 500 more problems or differences"
    assert len(told) == 1 + 1000 + 1
    found = json.loads(run(*arguments, "--json", data=data).stdout)
    assert (len(found["differences"]), found["more"]) == (1000, 500)
