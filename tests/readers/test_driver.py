"""What the driver says that a drive holds is what others read of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest, FileLocation

from . import readers


@pytest.mark.parametrize(
    ("image_format", "read"),
    [
        ("iso9660", readers.xorriso_rock_ridge),
        ("iso9660", readers.bsdtar_joliet),
        ("vfat", readers.mtools),
    ],
    ids=["iso9660-xorriso", "iso9660-bsdtar", "vfat-mtools"],
)
def test_the_tree_is_what_a_spawned_drive_holds(
    conf: Callable[..., cfg.ConfigOpts],
    sample: ConfigDriveRequest,
    image_format: str,
    read: Callable[..., readers.Files],
) -> None:
    text = f"[DEFAULT]\nconfig_drive_format = {image_format}\n"
    driver = ConfigDriveDriver(conf(text), architecture="x86_64")
    drive = driver.spawn(sample)
    assert drive is not None
    assert isinstance(drive.location, FileLocation)
    # The sample brings its random_seed, so that both have the same one.
    assert read(drive.location.path) == driver.tree(sample).files
