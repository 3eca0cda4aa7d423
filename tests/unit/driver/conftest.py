"""Drivers, and where they put their drives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from cfgdrive_virt.driver.driver import ConfigDriveDriver

from ..samples import UUID
from .drives import Make


@pytest.fixture
def make(conf: Callable[..., cfg.ConfigOpts]) -> Make:
    """Make a driver of a nova.conf, on an x86 host in 1970."""

    def make(text: str = "", **arguments: Any) -> ConfigDriveDriver:
        given = {"clock": lambda: 5.9, "architecture": "x86_64"}
        return ConfigDriveDriver(conf(text), **given | arguments)

    return make


@pytest.fixture
def driver(make: Make) -> ConfigDriveDriver:
    return make()


@pytest.fixture
def drive(instances: Path) -> Path:
    return instances / UUID / "disk.config"


@pytest.fixture
def rescue(drive: Path) -> Path:
    return drive.with_name("disk.config.rescue")


@pytest.fixture
def kept(instances: Path) -> Path:
    return instances / f"{UUID}_resize" / "disk.config"
