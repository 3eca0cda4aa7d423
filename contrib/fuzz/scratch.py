"""A driver with a directory of its own, in memory if possible."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path

from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver

_MEMORY = Path("/dev/shm")  # noqa: S108


@functools.cache
def driver() -> ConfigDriveDriver:
    """Return the driver of this process."""
    directory = tempfile.mkdtemp(prefix=_prefix(os.getpid()), dir=_parent())
    conf = cfg.ConfigOpts()
    conf(args=[], default_config_files=[], default_config_dirs=[])
    made = ConfigDriveDriver(conf, urandom=bytes)
    conf.set_override("instances_path", directory)
    return made


def _prefix(process: int) -> str:
    return f"cfgdrive-fuzz-{process}-"


def _parent() -> Path:
    in_memory = os.access(_MEMORY, os.W_OK)
    return _MEMORY if in_memory else Path(tempfile.gettempdir())


def root() -> Path:
    """Return the directory that its drives are in."""
    return driver().settings.instances_path


def put(uuid: str, data: bytes) -> Path:
    """Have these bytes as an instance's drive, and return its path."""
    path = root() / uuid / "disk.config"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def remove() -> None:
    """Remove the directory, if there is one."""
    if driver.cache_info().currsize:
        shutil.rmtree(root())
        driver.cache_clear()


def remove_of(process: int) -> None:
    """Remove the directory of a process that was killed."""
    for directory in _parent().glob(f"{_prefix(process)}*"):
        shutil.rmtree(directory)
