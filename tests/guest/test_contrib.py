"""What contrib/ and the README offer works as they say."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import uuid as uuids
from collections.abc import Iterator

import libvirt
import pytest

from cfgdrive_virt.adapters.libvirt import connected

ROOT = pathlib.Path(__file__).parents[2]
SMALL_DOMAIN = """
<domain type='qemu'>
  <uuid>{uuid}</uuid><name>{uuid}</name><memory unit='MiB'>64</memory>
  <os><type>hvm</type></os>
  <devices>{disk}</devices>
</domain>"""


@pytest.fixture
def nova_conf(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "instances").mkdir()
    path = tmp_path / "nova.conf"
    path.write_text(
        f"[DEFAULT]\ninstances_path = {tmp_path}/instances\n"
        "[libvirt]\nvirt_type = qemu\n"
    )
    return path


@pytest.fixture
def connection(libvirtd_uri: str) -> Iterator[libvirt.virConnect]:
    with connected(libvirtd_uri) as connection:
        yield connection


def run(*command: str | pathlib.Path) -> str:
    """Run a program as an operator would, with our command on the PATH."""
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_readmes_example_spawns_an_instance(
    connection: libvirt.virConnect, nova_conf: pathlib.Path
) -> None:
    readme = (ROOT / "README.md").read_text()
    example = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0]
    uuid = str(uuids.uuid4())
    names = {
        "uuid": uuid,
        "connection": connection,
        "domain_xml": lambda disk, controller: SMALL_DOMAIN.format(
            uuid=uuid, disk=disk + (controller or "")
        ),
    }

    exec(example.replace("/etc/nova/nova.conf", str(nova_conf)), names)

    domain = connection.lookupByUUIDString(uuid)
    drive = nova_conf.parent / "instances" / uuid / "disk.config"
    assert domain.isActive()
    assert str(drive) in domain.XMLDesc()
    domain.destroy()
    domain.undefine()
    assert b"CFGDRIVE_VIRT" in drive.read_bytes()


def test_the_smoke_test_passes_and_leaves_nothing(
    connection: libvirt.virConnect,
    libvirtd_uri: str,
    nova_conf: pathlib.Path,
) -> None:
    before = connection.listAllDomains()

    said = run(
        ROOT / "contrib" / "smoke-test.sh",
        "--connect",
        libvirtd_uri,
        "--config-file",
        nova_conf,
    )

    assert said.count("\nok ") == 10
    assert "FAILED" not in said
    assert connection.listAllDomains() == before
    assert not list(nova_conf.parent.glob("instances/*/disk.config"))


def test_the_quickstart_shows_the_main_job() -> None:
    left = set(pathlib.Path("/tmp").glob("cfgd-quickstart-*"))

    said = run(ROOT / "contrib" / "quickstart.sh")

    assert "device  disk vdz on virtio, writable" in said
    assert "<target dev='vdz' bus='virtio'/>" in said
    assert "device  cdrom hdd on ide, read-only" in said
    assert "└── meta_data.json" in said or "├── meta_data.json" in said
    assert "read  openstack/latest/meta_data.json" in said
    assert '"hostname": "web-1.novalocal"' in said
    assert "domain  removed" in said
    assert "correct horse" not in said
    assert set(pathlib.Path("/tmp").glob("cfgd-quickstart-*")) == left


def test_the_command_line_spawns_and_destroys(
    connection: libvirt.virConnect,
    libvirtd_uri: str,
    nova_conf: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    uuid = str(uuids.uuid4())
    instance = tmp_path / "instance.yaml"
    instance.write_text(
        f"{{uuid: {uuid}, name: n, hostname: n, config_drive: true}}"
    )
    command = ("cfgdrive-virt", "--config-file", nova_conf)
    connect = ("--connect", libvirtd_uri)

    run(*command, "spawn", instance, *connect)
    domain = connection.lookupByUUIDString(uuid)
    assert domain.isActive()
    said = run(*command, "destroy", uuid, *connect)

    assert said == "domain  removed\ndrive   removed\n"
    assert uuid not in [d.UUIDString() for d in connection.listAllDomains()]
