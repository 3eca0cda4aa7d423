"""A location and a decision become libvirt's <disk>."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import Controller, Decision, FileLocation
from cfgdrive_virt.libvirt_xml.disk import controller_xml, disk_xml
from cfgdrive_virt.model.drive import CephAccess, Monitor, RbdLocation

from ..samples import UUID
from .golden import assert_is_golden

IDE = Decision("iso9660", "cdrom", "ide", "hdd", readonly=True, reason="")
SATA = dataclasses.replace(IDE, bus="sata", target="sdf")
SCSI = dataclasses.replace(IDE, bus="scsi", target="sdf")
DISK = Decision("vfat", "disk", "virtio", "vdz", readonly=False, reason="")

HOSTILE = (
    "/srv/\"><source file='/etc/shadow'/>&lt;&amp;&#0; ]]><!-- é 😀 {} %s"
)


def located(path: str = f"/var/lib/nova/instances/{UUID}") -> FileLocation:
    return FileLocation(UUID, Path(path) / "disk.config")


@pytest.mark.parametrize(
    ("name", "decision", "options"),
    [
        ("ide", IDE, {"cache": "none"}),
        ("sata", SATA, {"cache": "writeback"}),
        ("scsi", SCSI, {"cache": "directsync", "discard": "unmap"}),
        ("disk", DISK, {"cache": "none", "discard": "ignore"}),
    ],
)
def test_a_disk_is_as_libvirt_wants_it(
    name: str, decision: Decision, options: dict[str, Any]
) -> None:
    assert_is_golden(disk_xml(located(), decision, **options), name)


@pytest.mark.parametrize(
    ("name", "controller"),
    [
        ("controller", Controller("scsi", 1, "virtio-scsi")),
        ("controller-default", Controller("usb", 0)),
    ],
)
def test_a_controller_is_as_libvirt_wants_it(
    name: str, controller: Controller
) -> None:
    assert_is_golden(controller_xml(controller), name)


def test_a_hostile_path_stays_a_path() -> None:
    xml = disk_xml(located(HOSTILE), IDE, cache="none")
    assert_is_golden(xml, "hostile")
    sources = ET.fromstring(xml).findall("source")
    assert [source.get("file") for source in sources] == [
        f"{HOSTILE}/disk.config"
    ]


@pytest.mark.parametrize("space", ["\t", "\n", "\r"], ids=ascii)
def test_space_in_a_path_is_kept(space: str) -> None:
    xml = disk_xml(located(f"/a{space}b"), IDE, cache="none")
    source = ET.fromstring(xml).find("source")
    assert source is not None
    assert source.get("file") == f"/a{space}b/disk.config"


VOLUME = RbdLocation(UUID, "vms", f"{UUID}_disk.config")
SECRET = "2a5b08e4-3dca-4ff9-9a1d-40389758d081"
MONITORS = (
    Monitor("10.0.0.1", 6789),
    Monitor("fd00::1", 3300),
    Monitor("ceph-3.example.org", 16789),
)


@pytest.mark.parametrize(
    ("name", "ceph", "options"),
    [
        ("rbd", CephAccess(MONITORS, "nova", SECRET), {"discard": "unmap"}),
        ("rbd-open", CephAccess(MONITORS[:1]), {}),
    ],
)
def test_a_disk_in_ceph_is_as_libvirt_wants_it(
    name: str, ceph: CephAccess, options: dict[str, Any]
) -> None:
    xml = disk_xml(VOLUME, DISK, cache="writeback", ceph=ceph, **options)
    assert_is_golden(xml, name)


def test_hostile_names_in_ceph_stay_names() -> None:
    name = HOSTILE.replace("/", "").replace("\0", "")
    xml = disk_xml(
        RbdLocation(UUID, name, f"{UUID}_disk.config"),
        DISK,
        cache="writeback",
        ceph=CephAccess((Monitor(name, 1),), name, SECRET),
    )
    disk = ET.fromstring(xml)
    assert [element.tag for element in disk] == [
        "driver", "auth", "source", "target",
    ]  # fmt: skip
    assert disk.find("auth").get("username") == name
    assert disk.find("source").get("name") == f"{name}/{UUID}_disk.config"
    assert disk.find("source/host").get("name") == name
