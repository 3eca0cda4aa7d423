"""The command: what it answers, and how it fails."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cfgdrive_virt.adapters.cli.main import main
from cfgdrive_virt.image import iso9660, read
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.store import file_system

from ...processes import as_nobody, command
from ...samples import SAMPLE, SECRETS, UUID, document, secrets_in

#: libvirt's own make-believe hypervisor, and the domain that it comes with.
TEST = ("--connect", "test:///default")
THEIRS = "6695eb01-f6a4-8304-79aa-97f2502e193f"

Run = Callable[..., Result]
Real = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process; a traceback fails the test."""
    monkeypatch.chdir(tmp_path)
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    for name in ("SOURCE_DATE_EPOCH", "LIBVIRT_DEFAULT_URI"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: Any, data: bytes | None = None) -> Result:
        try:
            result = CliRunner().invoke(main, list(map(str, arguments)), data)
        finally:
            # The command takes them for itself.
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if result.exception is not None:
            assert isinstance(result.exception, SystemExit), result.exc_info
        return result

    return run


@pytest.fixture
def real(tmp_path: Path) -> Real:
    """Run the command in a process of its own."""

    def real(
        *arguments: Any, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        given: dict[str, Any] = {"stdout": subprocess.PIPE, "cwd": tmp_path}
        done = subprocess.run(
            command(*map(str, arguments)),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
            **given | options,
        )
        assert "Traceback" not in done.stderr
        return done

    return real


@pytest.fixture(params=["iso9660", "vfat"])
def image_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def image(run: Run, tmp_path: Path, image_format: str) -> Path:
    """The sample's drive."""
    options = ("-o", "drive", "--format", image_format)
    assert run("build", SAMPLE, *options).exit_code == 0
    return tmp_path / "drive"


@pytest.fixture
def nova_conf(tmp_path: Path, instances: Path) -> Path:
    path = tmp_path / "nova.conf"
    path.write_text(f"[DEFAULT]\ninstances_path = {instances}\n")
    return path


def instance(**fields: Any) -> bytes:
    return json.dumps(document(**fields)).encode()


def write_image(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(iso9660.build(MetadataTree(files), timestamp=0).data)
    return path


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
    assert result.stderr == (
        f"Error: {path} is no regular file; name another\n"
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
        (("verify", "-", "--instance", "-"), 2, "only one of both"),
        (("verify", SAMPLE), 1, "neither an ISO9660 nor a VFAT image"),
        (("verify", SAMPLE, "--instance", "no"), 2, "does not exist"),
        (("prune",), 2, "must tell who lives"),
        (("prune", "--living", "missing"), 2, "does not exist"),
        (("prune", "--living", "/dev/null"), 1, "is a character device"),
        (("prune", "--living", SAMPLE), 2, "line 5: must be a UUID"),
        (("prune", *TEST, "--older-than", "-1"), 2, "not in the range"),
        (("prune", *TEST, "--older-than", "nan"), 2, "no number of hours"),
        (("prune", *TEST, "--older-than", "inf"), 2, "no number of hours"),
        (("prune", "--connect", "no:///"), 1, "can't connect to no:"),
        (("build", SAMPLE, "-o", "no/x"), 1, "directory is missing"),
        (("build", SAMPLE, "-o", ""), 1, "no regular file"),
        (("build", SAMPLE, "-o", ".."), 1, "no regular file"),
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
        (("spawn", SAMPLE, *TEST, "--domain", SAMPLE), 2, "is no XML"),
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


def test_destroy_refuses_a_domain_that_is_not_ours(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    drive = instances / THEIRS / "disk.config"
    drive.parent.mkdir()
    drive.touch()
    result = run("--config-file", nova_conf, "destroy", THEIRS, *TEST)
    assert result.exit_code == 1
    assert "wasn't spawned by cfgdrive_virt" in result.stderr
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


@pytest.mark.parametrize(
    ("most", "arguments"),
    [
        ("instance_file.MOST_BYTES", ("plan", "x")),
        ("instance_file.MOST_BYTES", ("plan", "-")),
        (
            "instances._MOST_DOMAIN_BYTES",
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


def test_a_pipe_may_take_the_place_of_a_file(real: Real) -> None:
    done = real(
        "plan",
        "/dev/stdin",
        "--json",
        input=SAMPLE.read_text("utf-8"),
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["required"] is True


def test_help_and_version_are_told(run: Run) -> None:
    for option in ("-h", "--help", "--version"):
        assert run(option).exit_code == 0
    for verb in ("build", "plan", "inspect", "spawn", "destroy"):
        assert run(verb, "-h").exit_code == 0
        assert verb in run("-h").stdout


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
    assert found["decision"]["bus"] == "sata"
    assert found["location"].startswith(str(nova_conf.with_name("instances")))


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
    assert "is there already; name a new one" in result.stderr
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


def test_verify_finds_nothing_wrong_with_what_was_built(
    run: Run, image: Path, image_format: str
) -> None:
    result = run("verify", image)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.split(maxsplit=1) == [
        "drive", f"a whole {image_format} drive\n",
    ]  # fmt: skip
    result = run("verify", image, "--instance", SAMPLE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "; it says the same" in result.stdout
    found = json.loads(run("verify", image, "--json").stdout)
    assert found == {
        "path": str(image),
        "format": image_format,
        "problems": [],
        "differences": [],
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


def test_prune_shows_orphans_and_removes_them_if_told(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    old_drives(run, instances)
    arguments = ("--config-file", nova_conf, "prune", *TEST, "--json")

    def verdicts(*more: Any) -> list[str]:
        rows = json.loads(run(*arguments, *more).stdout)
        return [row["verdict"] for row in rows]

    assert verdicts() == ["its instance lives", "orphan"]
    assert (instances / UUID / "disk.config").exists()
    assert verdicts("--remove") == ["its instance lives", "removed"]
    assert os.listdir(instances) == [THEIRS, "locks"]
    assert verdicts("--remove") == ["its instance lives"]


def test_prune_keeps_what_an_operators_list_has(
    run: Run, nova_conf: Path, instances: Path, tmp_path: Path
) -> None:
    old_drives(run, instances)
    # As some editors write it.
    text = f"\ufeff# all of them\r\n\r\n {UUID.upper()}\r\n"
    (tmp_path / "living").write_text(text)
    arguments = ("--config-file", nova_conf, "prune", "--remove")
    result = run(*arguments, "--living", "living")
    assert "its instance lives" in result.stdout
    assert "it bears no mark of ours" in result.stdout
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
    assert "no instance that lives has a drive here" in told
    assert (instances / UUID).exists()


def test_an_orphan_that_cannot_be_removed_is_a_failure(
    run: Run,
    nova_conf: Path,
    instances: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old_drives(run, instances)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
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
    assert f"{why}: --living FILE must name the instances of all" in told
    assert (instances / UUID).exists()


HOSTILE = "\x1b]0;owned\x07\x1b[31m\x9b2J\r\u202e"


def test_what_is_on_a_drive_cannot_steer_a_terminal(
    run: Run, tmp_path: Path
) -> None:
    path = write_image(
        tmp_path / "x",
        {
            "openstack/latest/user_data": HOSTILE.encode(),
            "openstack/latest/meta_data.json": json.dumps(
                {HOSTILE: HOSTILE, "b": "[red]not markup[/red]"}
            ).encode(),
            "openstack/latest/raw.json": f'{{"a": "\x7f{HOSTILE[5:7]}"}}'
            .replace("\x07", "").encode(),
            "openstack/latest/\u202e\x9b": b"x",
        },
    )  # fmt: skip
    for option in ("--show-secrets", "--json", "--extract=new"):
        told = run("inspect", path, option).stdout
        assert not set(told) & set("\x1b\x07\x9b\r\u202e\x7f")
    assert "[red]not markup[/red]" in told


def test_what_is_told_on_a_real_terminal_is_safe_too(tmp_path: Path) -> None:
    path = write_image(
        tmp_path / "x", {"openstack/latest/user_data": HOSTILE.encode()}
    )
    main_side, terminal = pty.openpty()
    subprocess.run(
        command("inspect", "--show-secrets", path),
        stdout=terminal,
        check=True,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(terminal)
    told = os.read(main_side, 100_000).decode()
    os.close(main_side)
    assert "openstack" in told
    for sequence in ("\x1b]0;", "\x9b", "\u202e", "\x07"):
        assert sequence not in told


def test_what_an_error_quotes_cannot_steer_a_terminal(run: Run) -> None:
    data = json.dumps({HOSTILE: 1, "uuid": HOSTILE}).encode()
    told = run("plan", "-", data=data).stderr
    assert not set(told) & set(HOSTILE) - set("owned;0]31m[2J")


def test_the_real_command_works(real: Real, tmp_path: Path) -> None:
    done = real(
        "build", "-", "-o", "drive", "--json", input=SAMPLE.read_text()
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["path"] == str(tmp_path / "drive")


def test_verbose_logs_to_standard_error(real: Real, nova_conf: Path) -> None:
    done = real("-v", "--config-file", nova_conf, "plan", SAMPLE, "--json")
    assert json.loads(done.stdout)["required"] is True
    assert secrets_in(done.stderr) == []


def test_a_reader_that_goes_away_is_no_failure_to_report(
    tmp_path: Path,
) -> None:
    path = write_image(
        tmp_path / "x",
        {f"openstack/latest/{n}.json": b"[1, 2]" for n in range(99)}
        | {"openstack/latest/user_data": b"line\n" * 200_000},
    )
    for option in ("--json", "--extract=new"):
        reading, writing = os.pipe()
        with subprocess.Popen(
            command("inspect", "--show-secrets", path, option),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        ) as process:
            os.close(writing)
            os.read(reading, 10)
            os.close(reading)
            _, told = process.communicate(timeout=30)
        assert told == ""


@pytest.mark.parametrize("option", [(), ("--json",)], ids=["text", "json"])
def test_a_full_standard_output_is_told(
    real: Real, option: tuple[str]
) -> None:
    for verb in (("plan", SAMPLE), ("build", SAMPLE, "-o", "drive")):
        with open("/dev/full", "wb") as full:
            done = real(*verb, *option, stdout=full)
        assert (done.returncode, done.stderr) == (
            1,
            "Error: can't answer: No space left on device\n",
        )


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_full_standard_output_is_told_of_the_options_too(
    real: Real, option: str
) -> None:
    with open("/dev/full", "wb") as full:
        done = real(option, stdout=full)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("closed", "arguments", "told"),
    [
        (1, ("plan", SAMPLE), "standard output is closed"),
        (1, ("plan", SAMPLE, "--json"), "standard output is closed"),
        (0, ("plan", "-"), "standard input is closed"),
        (2, ("plan", SAMPLE), None),
    ],
    ids=["stdout", "stdout-json", "stdin", "stderr"],
)
def test_a_closed_stream_makes_no_traceback(
    real: Real, closed: int, arguments: tuple[Any, ...], told: str | None
) -> None:
    done = real(*arguments, preexec_fn=lambda: os.close(closed))
    if told is None:
        assert done.returncode in (0, 1)
    else:
        assert (done.returncode, done.stderr) == (1, f"Error: {told}\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_the_output_will_do(
    real: Real, image: Path, encoding: str
) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = real("inspect", image, env=environment, errors="replace")
    assert done.returncode == 0
    assert "meta_data.json" in done.stdout


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


def test_build_into_a_directory_without_rights_is_told() -> None:
    def call() -> tuple[int, str]:
        result = CliRunner().invoke(
            main, ["build", "-", "-o", "/etc/drive"], instance()
        )
        return result.exit_code, result.output

    code, told = as_nobody(call)
    assert code == 1
    assert "can't write /etc/drive: this user has no right to" in told


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
    assert "the drive was there already: left alone" in again.stdout
    rebuilt = run(*arguments, "--rebuild", "--json")
    assert json.loads(rebuilt.stdout)["built"] is True
    assert secrets_in(result.output + again.output) == []


def test_spawn_refuses_an_instance_that_has_a_domain(
    run: Run, nova_conf: Path, instances: Path
) -> None:
    data = instance(uuid=THEIRS, config_drive=True)
    result = run("--config-file", nova_conf, "spawn", "-", *TEST, data=data)
    assert result.exit_code == 1
    assert f"instance {THEIRS} has a domain already" in result.stderr
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
    assert run(*call).stdout.count("there was none") == 2


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
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    process.communicate(SAMPLE.read_bytes())
    assert process.returncode == code


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
        ["left", "alone"],
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
    assert "left alone" in nothing.stdout
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
        "none",
        "is",
        "due",
    ]


def test_what_is_missing_cannot_forget(run: Run, nova_conf: Path) -> None:
    result = run("--config-file", nova_conf, "forget-secrets", UUID, *TEST)
    assert result.exit_code == 1
    assert "is missing; it can be made anew only from" in result.stderr
    assert result.stderr.count("\n") == 1
