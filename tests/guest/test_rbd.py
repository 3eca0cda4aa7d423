"""Drives in a real Ceph: what is spawned, read, listed and destroyed there.

The client may do what ``profile rbd`` allows, on one pool.
"""

from __future__ import annotations

import base64
import hashlib
import json
import pathlib
import uuid as uuids
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import libvirt
import pytest
from oslo_config import cfg

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveError,
    ConfigDriveRequest,
    InjectedFile,
    image,
)
from cfgdrive_virt.adapters.libvirt import LibvirtService, connected
from cfgdrive_virt.exception import DriveInUse

from ..ceph.cluster import Cluster, cluster
from .guests import Console, Probe, probe_domain_xml
from .test_contrib import ROOT, run

SECRET_UUID = "5c1d36d4-9e4c-4b5b-a6d0-5b5e3c0d6f0e"
SECRET_XML = f"""
<secret ephemeral='no' private='yes'>
  <uuid>{SECRET_UUID}</uuid>
  <usage type='ceph'><name>client.compute secret</name></usage>
</secret>"""


@pytest.fixture(scope="module")
def ceph() -> Iterator[Cluster]:
    with cluster() as made:
        # So long a QEMU that ended by itself seems to have a volume open;
        # usually 30 seconds.
        made.ceph("config", "set", "osd", "osd_client_watch_timeout", 3)
        yield made
        assert made.volumes() == []


@pytest.fixture
def connection(
    libvirtd_uri: str, ceph: Cluster
) -> Iterator[libvirt.virConnect]:
    """A libvirt that has the key of Ceph's client, as nova's guide says."""
    key = (ceph.directory / "secret").read_text()
    with connected(libvirtd_uri) as made:
        secret = made.secretDefineXML(SECRET_XML)
        secret.setValue(base64.b64decode(key))
        yield made
        secret.undefine()


@pytest.fixture
def nova_conf(tmp_path: pathlib.Path, ceph: Cluster) -> pathlib.Path:
    (tmp_path / "instances").mkdir()
    path = tmp_path / "nova.conf"
    path.write_text(f"""
[DEFAULT]
instances_path = {tmp_path}/instances
[libvirt]
virt_type = qemu
images_type = rbd
images_rbd_pool = {ceph.pool}
images_rbd_ceph_conf = {ceph.conf}
rbd_user = {ceph.user}
rbd_secret_uuid = {SECRET_UUID}
""")
    return path


@pytest.fixture
def driver(nova_conf: pathlib.Path) -> ConfigDriveDriver:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(nova_conf)], default_config_dirs=[])
    return ConfigDriveDriver(conf)


@pytest.fixture
def service(
    connection: libvirt.virConnect, driver: ConfigDriveDriver
) -> LibvirtService:
    return LibvirtService(connection, driver)


def a_request() -> ConfigDriveRequest:
    content = bytes(range(256))
    return ConfigDriveRequest(
        uuid=str(uuids.uuid4()),
        name="guest",
        hostname="guest",
        config_drive=True,
        user_data=b"#!/bin/sh\nexit 0\n",
        injected_files=(InjectedFile(path="/etc/x", content=content),),
    )


def exported(ceph: Cluster, uuid: str, path: pathlib.Path) -> bytes:
    """Return a volume's bytes as rbd export has them."""
    ceph.rbd("export", f"{ceph.pool}/{uuid}_disk.config", path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("machine", "image_format"), [("pc", "iso9660"), ("q35", "vfat")]
)
def test_the_guests_kernel_reads_every_file_of_a_volume(
    machine: str,
    image_format: str,
    service: LibvirtService,
    driver: ConfigDriveDriver,
    connection: libvirt.virConnect,
    probe: Probe,
    ceph: Cluster,
    tmp_path: pathlib.Path,
) -> None:
    driver._host.conf.set_override("config_drive_format", image_format)
    request = a_request()
    console = Console(tmp_path / "serial.log")
    xml = probe_domain_xml(
        f"rbd-{machine}", request.uuid, machine, probe, console.log
    )

    service.spawn(request, xml)

    disk = next(
        disk
        for disk in ET.fromstring(
            connection.lookupByUUIDString(request.uuid).XMLDesc()
        ).iterfind("devices/disk")
        if disk.attrib["type"] == "network"
    )
    assert disk.attrib["device"] == "disk"
    assert disk.find("target").attrib == {"dev": "vdz", "bus": "virtio"}
    assert disk.find("auth").attrib["username"] == ceph.user
    assert disk.find("auth/secret").attrib["uuid"] == SECRET_UUID
    data = exported(ceph, request.uuid, tmp_path / "exported")
    assert image.read(data).format == image_format
    into = tmp_path / "extracted"
    run("7z", "x", "-bd", f"-o{into}", tmp_path / "exported")
    assert console.probe_round(1) == {
        str(path.relative_to(into)): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in into.rglob("*")
        if path.is_file()
    }

    driver._host.conf.set_override("rbd_destroy_volume_retries", 1, "libvirt")
    with pytest.raises(DriveInUse, match=r"in use by host 127\.0\.0\.1"):
        driver.destroy(request.uuid)
    assert driver.exists(request.uuid)

    destroyed = service.destroy(request.uuid)

    assert (destroyed.domain, destroyed.drive) == (True, True)
    assert ceph.volumes() == []


def test_the_smoke_test_passes_with_volumes(
    connection: libvirt.virConnect,
    libvirtd_uri: str,
    nova_conf: pathlib.Path,
    ceph: Cluster,
) -> None:
    said = run(
        ROOT / "contrib" / "smoke-test.sh",
        *("--connect", libvirtd_uri),
        *("--config-file", nova_conf),
    )

    assert said.count("\nok ") == 9
    assert "FAILED" not in said
    assert connection.listAllDomains() == []
    assert ceph.volumes() == []


def test_a_volume_is_listed_and_pruned_once_nobody_lives_or_looks(
    driver: ConfigDriveDriver,
    service: LibvirtService,
    nova_conf: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    running, stopped, gone = a_request(), a_request(), a_request()
    service.spawn(running)
    driver.spawn(stopped)
    driver.spawn(gone)
    living = tmp_path / "living"
    living.write_text(f"{stopped.uuid}\n")
    command = ("cfgdrive-virt", "--config-file", nova_conf)
    prune = (*command, "prune", "--living", living, "--json")

    def verdicts(*options: str) -> dict[str, str]:
        rows = json.loads(run(*prune, *options))
        return {row["instance"]: row["verdict"] for row in rows}

    rows = json.loads(run(*command, "list", "--json"))
    assert {row["location"] for row in rows} == {
        f"rbd:compute/{request.uuid}_disk.config"
        for request in (running, stopped, gone)
    }
    assert all(row["ours"] for row in rows)
    assert verdicts()[gone.uuid] == "younger than 24 hours"
    found = verdicts("--older-than", "0")
    assert found[running.uuid].startswith("in use by host 127.0.0.1 (client.")
    assert found[gone.uuid] == "orphan"
    assert driver.exists(gone.uuid)
    found = verdicts("--older-than", "0", "--remove")
    assert found[running.uuid].startswith("in use by ")
    assert found[gone.uuid] == "removed"
    assert not driver.exists(gone.uuid)
    assert found[stopped.uuid] == "its instance exists"
    assert driver.exists(running.uuid)
    service.destroy(running.uuid)
    driver.destroy(stopped.uuid)


def test_a_volume_is_inspected_and_verified(
    driver: ConfigDriveDriver, nova_conf: pathlib.Path
) -> None:
    request = a_request()
    drive = driver.spawn(request)
    assert drive is not None
    command = ("cfgdrive-virt", "--config-file", nova_conf)

    found = json.loads(run(*command, "inspect", str(drive.location), "--json"))
    assert (found["format"], found["label"]) == ("iso9660", "config-2")
    assert "openstack/latest/meta_data.json" in found["files"]
    said = run(*command, "verify", str(drive.location))
    assert "intact iso9660 drive" in said
    driver.destroy(request.uuid)


def test_nothing_is_left_when_a_domain_does_not_start(
    service: LibvirtService,
    connection: libvirt.virConnect,
    ceph: Cluster,
) -> None:
    xml = (
        "<domain type='qemu'><memory>65536</memory><os><type>hvm</type>"
        "<kernel>/nonexistent/kernel</kernel></os></domain>"
    )

    with pytest.raises(ConfigDriveError, match="can't start domain"):
        service.spawn(a_request(), xml)

    assert connection.listAllDomains() == []
    assert ceph.volumes() == []
