"""The requests of these tests, and what they ask of a drive or do to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import image
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import DomainError
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.model.request import ConfigDriveRequest

from ..samples import request

Make = Callable[..., ConfigDriveDriver]
CDROM = "[DEFAULT]\nconfig_drive_format = iso9660\n"
ONE_SHOT = "[cfgdrive_virt]\none_shot_secrets = admin_pass,user_data\n"
OLD = {"metadata": {"role": "old"}}
NEW = {"metadata": {"role": "new"}}
SECRETS = {"admin_pass": "hunter2hunter2", "user_data": b"#!/bin/false 77"}
FORMATS = pytest.mark.parametrize("form", [ISO9660, VFAT])


def wanted(**fields: Any) -> ConfigDriveRequest:
    return request(config_drive=True, **OLD | fields)


def tree(data: bytes) -> dict[str, bytes]:
    return dict(image.read(data).tree.files)


def meta_data(drive: Path | bytes) -> dict[str, Any]:
    data = drive.read_bytes() if isinstance(drive, Path) else drive
    found = json.loads(tree(data)["openstack/latest/meta_data.json"])
    assert isinstance(found, dict)
    return found


def role(drive: Path) -> str:
    return str(meta_data(drive)["meta"]["role"])


def flipped(drive: Path) -> None:
    """Change one letter of what the drive holds, not its form."""
    data = drive.read_bytes()
    assert data.count(b'"role": "old"')
    drive.write_bytes(data.replace(b'"role": "old"', b'"role": "odd"'))


def zeroed(drive: Path) -> None:
    drive.write_bytes(bytes(drive.stat().st_size))


def cut(drive: Path) -> None:
    os.truncate(drive, drive.stat().st_size // 2)


HARM = pytest.mark.parametrize("harm", [flipped, zeroed, cut, Path.unlink])


class Guest:
    """A running guest: what it reads is what was given last."""

    def __init__(self, drive: Path, refuses: str = "") -> None:
        self.drive = drive
        self.refuses = refuses
        self.reads: bytes | None = drive.read_bytes()

    def take(self) -> None:
        if self.refuses == "take":
            raise DomainError("the tray is locked")
        self.reads = None

    def give(self) -> None:
        if self.refuses == "give":
            self.refuses = ""
            raise DomainError("no such bus")
        if self.refuses == "give for good":
            raise DomainError("no such bus")
        self.reads = self.drive.read_bytes()
