"""The command's verify: is a drive whole, and what does it say otherwise?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cfgdrive_virt.image import read, vfat
from cfgdrive_virt.model.tree import MetadataTree

from ...samples import SAMPLE, UUID, secrets_in
from .commands import HOSTILE, META_DATA, Run, instance, write_image


@pytest.mark.usefixtures("two_readers")
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
        "readers": ["cloud-init"],
        "losses": [],
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
    ignored = "cloud-init does not use the drive"
    assert result.stdout.splitlines() == [
        "drive   damaged; refused by cloud-init",
        "  openstack/latest/meta_data.json: must be there",
        f"  cloud-init: {META_DATA}: it is missing; {ignored}",
    ]


@pytest.mark.parametrize("label", [b"\xff" * 32, b"X" * 32], ids=ascii)
def test_a_label_that_a_guest_wrote_is_a_problem(
    run: Run, tmp_path: Path, label: bytes
) -> None:
    data = instance(config_drive=True)
    built = run("build", "-", "-o", "x", "--format", "iso9660", data=data)
    assert built.exit_code == 0
    image = bytearray((tmp_path / "x").read_bytes())
    image[16 * 2048 + 40 : 16 * 2048 + 72] = label
    (tmp_path / "x").write_bytes(image)
    result = run("verify", "x", "--instance", "-", data=data)
    assert (result.exit_code, result.stderr) == (1, "")
    assert "label: must be 'config-2'" in result.stdout


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
    assert told[-1] == "  and 500 more problems, differences or losses"
    assert len(told) == 1 + 1000 + 1
    found = json.loads(run(*arguments, "--json", data=data).stdout)
    assert (len(found["differences"]), found["more"]) == (1000, 500)


@pytest.mark.usefixtures("two_readers")
def test_what_a_reader_loses_is_a_warning(run: Run) -> None:
    data = instance(config_drive=True, metadata={"lost": "x", "role": "web"})
    assert run("build", "-", "-o", "x", data=data).exit_code == 0
    result = run("verify", "x", "--instance", "-", data=data)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "drive   intact vfat drive; it matches the instance file",
        f"  cloud-init: {META_DATA} meta.lost: does not arrive",
    ]
    found = json.loads(run("verify", "x", "--json").stdout)
    assert found["losses"] == [
        {
            "path": META_DATA,
            "key": "meta.lost",
            "effect": "does not arrive",
            "refused": False,
            "reader": "cloud-init",
        }
    ]


@pytest.mark.usefixtures("two_readers")
def test_a_reader_that_refuses_a_drive_is_named(
    run: Run, image: Path, image_format: str
) -> None:
    arguments = ("verify", image, "--reader", "all")
    result = run(*arguments)
    found = json.loads(run(*arguments, "--json").stdout)
    assert found["readers"] == ["cloud-init", "odd"]
    if image_format == "iso9660":
        assert (result.exit_code, found["losses"]) == (0, [])
        assert result.stdout == "drive   intact iso9660 drive\n"
        return
    size = image.stat().st_size
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "drive   intact vfat drive; refused by odd",
        f"  odd: {META_DATA}: isn't mounted, being VFAT of {size} bytes",
    ]
    assert [loss["refused"] for loss in found["losses"]] == [True]


@pytest.mark.usefixtures("two_readers")
def test_the_instance_suggests_the_reader(run: Run) -> None:
    data = instance(config_drive=True, image_properties={"os_distro": "odd"})
    assert run("build", "-", "-o", "x", data=data).exit_code == 0
    result = run("verify", "x", "--instance", "-", data=data)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == (
        "drive   intact vfat drive; it matches the instance file; refused by"
        " odd"
    )
    assert run("verify", "x").exit_code == 0


@pytest.mark.usefixtures("two_readers")
def test_a_guest_cannot_hide_that_a_reader_refuses(
    run: Run, tmp_path: Path
) -> None:
    meta = {f"lost{HOSTILE}{number}": "" for number in range(1500)}
    document = json.dumps({"uuid": UUID, "meta": meta}).encode()
    tree = MetadataTree({META_DATA: document})
    (tmp_path / "x").write_bytes(
        vfat.build(tree, label="config-2", timestamp=0, serial=0).data
    )
    result = run("verify", "x", "--reader", "all")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "drive   intact vfat drive; refused by odd"
    assert lines[1].startswith("  odd: ")
    assert lines[-1] == "  and 2,001 more problems, differences or losses"
    assert len(lines) == 1 + 1000 + 1
    assert all(line.isprintable() for line in lines)


@pytest.mark.usefixtures("two_readers")
def test_of_too_much_json_no_reader_is_asked(run: Run, tmp_path: Path) -> None:
    content = json.dumps({"uuid": UUID, "meta": {"lost": [0] * 200_000}})
    path = write_image(tmp_path / "x", {META_DATA: content.encode()})
    result = run("verify", path)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert "must be fewer or smaller" in result.stdout
