"""A destroy: the drive goes, and nothing else does."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from cfgdrive_virt import ConfigDriveDriver
from cfgdrive_virt.driver import stores
from cfgdrive_virt.exception import DriveInUse
from cfgdrive_virt.store.file import FileStore

from ..processes import on_tmpfs
from ..samples import OTHER_UUID, UUID, wanted
from .drives import Make


def test_destroying_tells_whether_there_was_a_drive(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    driver.spawn(wanted())
    assert driver.destroy(UUID) is True
    assert driver.destroy(UUID) is False
    assert os.listdir(instances) == ["locks"]


class Busy(FileStore):
    """A store whose drives somebody has open, for so many tries."""

    tries = 0

    def delete(self, uuid: str) -> bool:
        if Busy.tries:
            Busy.tries -= 1
            raise DriveInUse("in use by somebody")
        return super().delete(uuid)


def test_a_drive_that_is_open_is_tried_again_as_nova_does(
    make: Make, instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "store_of", lambda *_: Busy(instances))
    slept: list[float] = []
    driver = make(sleep=slept.append)
    driver.spawn(wanted())
    Busy.tries = 12
    assert driver.destroy(UUID) is True
    assert slept == [5] * 12
    Busy.tries = 1
    text = "[libvirt]\nrbd_destroy_volume_retries = 0\n"
    with pytest.raises(DriveInUse):
        make(text, sleep=slept.append).destroy(UUID)
    assert len(slept) == 12


def test_destroying_takes_a_uuid_in_upper_case(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    assert driver.destroy(UUID.upper()) is True
    assert not drive.exists()


def test_destroying_one_leaves_the_others(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    driver.spawn(dataclasses.replace(wanted(), uuid=OTHER_UUID))
    driver.destroy(OTHER_UUID)
    assert drive.exists()


def test_what_another_host_has_now_is_left(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    assert driver.destroy(UUID, destroy_disks=False) is False
    assert driver.cleanup(UUID, destroy_disks=False) is False
    assert drive.exists()


_NO_INODE_LEFT = f"""
import sys
from pathlib import Path
from oslo_config import cfg
from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest
from cfgdrive_virt.exception import StoreError
root = Path(sys.argv[1])
conf = cfg.ConfigOpts()
conf([])
driver = ConfigDriveDriver(conf)
conf.set_override("instances_path", str(root))
request = ConfigDriveRequest(
    uuid="{UUID}", name="x", hostname="x", config_drive=True
)
driver.spawn(request)
try:
    for number in range(100):
        (root / str(number)).touch()
except OSError as error:
    print(error.strerror)
print(driver.destroy("{OTHER_UUID}"), driver.destroy("{UUID}"))
print((root / "{UUID}").exists())
"""


def test_a_disk_without_a_free_inode_has_its_drives_removed(
    instances: Path,
) -> None:
    said = on_tmpfs(instances, "nr_inodes=20", _NO_INODE_LEFT)
    assert said.splitlines() == [
        "No space left on device", "False True", "False",
    ]  # fmt: skip
