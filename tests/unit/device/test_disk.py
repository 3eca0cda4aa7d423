"""A location and a decision become libvirt's <disk>."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import Decision, FileLocation
from cfgdrive_virt.device.disk import disk_xml

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
