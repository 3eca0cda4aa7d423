"""What has changed reaches a guest that runs, and its rescue has its own."""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
import subprocess
import sys
import uuid as uuids
from collections.abc import Iterator

import libvirt
import pytest

from cfgdrive_virt.adapters.cli import inputs
from cfgdrive_virt.adapters.libvirt import connected
from cfgdrive_virt.libvirt_xml.domain import Domain

from .guests import Console, Probe, probe_domain_xml

META_DATA = "openstack/latest/meta_data.json"


@pytest.fixture
def connection(libvirtd_uri: str) -> Iterator[libvirt.virConnect]:
    with connected(libvirtd_uri) as connection:
        yield connection
        for domain in connection.listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefine()


class Host:
    """A compute host, as an operator works on it."""

    def __init__(
        self, uri: str, directory: pathlib.Path, image_format: str
    ) -> None:
        self.uri = uri
        self.uuid = str(uuids.uuid4())
        self.conf = directory / "nova.conf"
        instances = directory / "instances"
        instances.mkdir()
        self.drive = instances / self.uuid / "disk.config"
        self.conf.write_text(
            f"[DEFAULT]\ninstances_path = {instances}\n"
            f"config_drive_format = {image_format}\n"
            "[libvirt]\nvirt_type = qemu\n"
            "[cfgdrive_virt]\none_shot_secrets = admin_pass\n"
        )
        self.instance = directory / "instance.json"
        self.console = Console(directory / "console")

    def write_instance(self, **fields: object) -> None:
        told = {"uuid": self.uuid, "name": "n", "hostname": "n"}
        self.instance.write_text(
            json.dumps({**told, "config_drive": True, **fields})
        )

    def run(self, *arguments: str | pathlib.Path, code: int = 0) -> str:
        program = pathlib.Path(sys.executable).with_name("cfgdrive-virt")
        done = subprocess.run(
            [program, "--config-file", self.conf, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def reads(self) -> dict[str, str]:
        """Return the sums that a guest's next whole round reads."""
        begun = re.findall(
            r"^PROBE begin (\d+)", self.console.text(), re.MULTILINE
        )
        following = int(begun[-1]) + 2 if begun else 1
        return self.console.probe_round(following)

    def on_drive(self) -> dict[str, str]:
        """Return the sums of what the drive holds, by 7z."""
        listed = subprocess.run(
            ["7z", "l", "-ba", "-slt", self.drive],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = {}
        for entry in listed.split("\n\n"):
            facts = dict(
                line.partition(" = ")[::2] for line in entry.splitlines()
            )
            if facts.get("Path") and facts.get("Folder") != "+":
                content = subprocess.run(
                    ["7z", "e", "-so", self.drive, facts["Path"]],
                    capture_output=True,
                    check=True,
                ).stdout
                found[facts["Path"]] = hashlib.sha256(content).hexdigest()
        return found


@pytest.mark.parametrize("image_format", ["iso9660", "vfat"])
@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_refresh_reaches_a_guest_that_runs(
    connection: libvirt.virConnect,
    libvirtd_uri: str,
    probe: Probe,
    tmp_path: pathlib.Path,
    machine: str,
    image_format: str,
) -> None:
    host = Host(libvirtd_uri, tmp_path, image_format)
    host.write_instance(metadata={"role": "old"}, admin_pass="hunter2hunter2")
    domain = tmp_path / "domain.xml"
    domain.write_text(
        probe_domain_xml(
            "renewed",
            host.uuid,
            machine,
            probe,
            host.console.log,
            "probe.interval=1 probe.lock=0",
        )
    )
    connect = ("--connect", libvirtd_uri)
    host.run("spawn", host.instance, *connect, "--domain", domain)
    before = host.on_drive()
    assert host.reads() == before
    run = connection.lookupByUUIDString(host.uuid).ID()

    host.write_instance(
        metadata={"role": "new", "more": "x" * 2000},
        admin_pass="hunter2hunter2",
        user_data="#!/bin/sh\n",
    )
    assert "meta_data.json meta.role" in host.run(
        "status", host.instance, code=1
    )
    assert "rewritten" in host.run("refresh", host.instance, *connect)
    host.run("status", host.instance)
    after = host.on_drive()
    assert after.keys() > before.keys()
    assert after[META_DATA] != before[META_DATA]
    assert host.reads() == after

    assert "rewritten" in host.run("forget-secrets", host.uuid, *connect)
    assert b"hunter2" not in host.drive.read_bytes()
    assert host.reads() == host.on_drive()
    host.run("status", host.instance)
    # It has been one and the same guest.
    assert connection.lookupByUUIDString(host.uuid).ID() == run
    host.run("destroy", host.uuid, *connect)


def test_a_guest_that_rescues_reads_the_drive_for_rescue(
    connection: libvirt.virConnect,
    libvirtd_uri: str,
    probe: Probe,
    tmp_path: pathlib.Path,
) -> None:
    host = Host(libvirtd_uri, tmp_path, "iso9660")
    host.write_instance(admin_pass="hunter2hunter2")
    driver = inputs.make_driver((str(host.conf),))
    request = inputs.load_instance(str(host.instance))
    driver.spawn(request)
    untouched = host.drive.read_bytes()

    plan = driver.plan(request, rescue=True)
    assert plan.disk_xml is not None
    domain = Domain(
        probe_domain_xml(
            "rescue",
            host.uuid,
            "pc",
            probe,
            host.console.log,
            "probe.interval=1 probe.cat=1",
        )
    )
    domain.add_device(plan.disk_xml)
    defined = connection.defineXML(str(domain))
    driver.rescue(request, "helphelp", domain_xml=defined.XMLDesc())
    defined.create()
    host.console.probe_round(1)
    said = host.console.text()
    assert '"admin_pass": "helphelp"' in said
    assert "hunter2" not in said
    assert host.drive.read_bytes() == untouched
    defined.destroy()
    assert driver.unrescue(host.uuid) is True
    assert [path.name for path in host.drive.parent.iterdir()] == [
        "disk.config"
    ]
