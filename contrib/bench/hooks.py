"""Whole hooks of the driver, beside the least that a disk or cluster takes."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import yaml
from oslo_config import cfg

from bench import ROOT, ceph
from bench.measure import Goal, Way
from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest
from cfgdrive_virt.adapters.cli import instance_file
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.model.value import from_mapping

SPAWN = "a spawn into a file, flushed"
SPAWN_RBD = "a spawn into Ceph"
THERE = "a drive that is there and fresh"
LOAD = "an instance file"

FLOOR = "the floor: write, fsync, rename, fsync"
FLOOR_RBD = "the floor: bare librbd calls"
BUILD = "rendering the tree, building the image"
STATUS = "status"
AGAIN = "spawn"
JSON = "from JSON, checks included"

OURS = "ours, {}"

GOALS = (
    Goal(SPAWN, OURS.format(ISO9660), FLOOR, 4),
    Goal(SPAWN, OURS.format(VFAT), FLOOR, 4),
    Goal(SPAWN_RBD, OURS.format(ISO9660), FLOOR_RBD, 1.3),
    Goal(THERE, STATUS, BUILD, 1.5),
    Goal(THERE, AGAIN, BUILD, 1.5),
    Goal(LOAD, "load", JSON, 3),
)


def ways(request: ConfigDriveRequest, directory: Path) -> list[Way]:
    """Return the ways whose drives are files.

    :param directory: an empty one
    """
    found = [_floor(request, directory / "floor")]
    for image_format in (ISO9660, VFAT):
        driver = driver_of(directory / image_format, image_format)
        found.append(_spawn(SPAWN, OURS.format(image_format), driver, request))
    there = driver_of(directory / "there", ISO9660)
    there.spawn(request)

    def build() -> int:
        return len(there.build(request, ISO9660).data)

    def status() -> None:
        there.status(request)

    def again() -> None:
        there.spawn(request)

    found += [
        Way(THERE, BUILD, build, times=10),
        Way(THERE, STATUS, status, times=10),
        Way(THERE, AGAIN, again, times=10),
    ]
    return [*found, *_loads()]


def ways_to_ceph(
    request: ConfigDriveRequest, directory: Path, cluster: ceph.Cluster
) -> Iterator[Way]:
    """Yield the ways whose drives are volumes."""
    driver = driver_of(directory / "rbd", ISO9660, cluster.options())
    data = driver.build(request, ISO9660).data
    yield ceph.floor(SPAWN_RBD, FLOOR_RBD, cluster, data)
    yield _spawn(SPAWN_RBD, OURS.format(ISO9660), driver, request)


def driver_of(
    root: Path, image_format: str, libvirt: dict[str, str] | None = None
) -> ConfigDriveDriver:
    """Return a driver with drives in a directory.

    :param libvirt: more options, of that group
    """
    root.mkdir()
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    driver = ConfigDriveDriver(conf)
    conf.set_override("instances_path", str(root))
    conf.set_override("config_drive_format", image_format)
    for name, value in (libvirt or {}).items():
        conf.set_override(name, value, group="libvirt")
    return driver


def _spawn(
    group: str,
    name: str,
    driver: ConfigDriveDriver,
    request: ConfigDriveRequest,
) -> Way:
    def spawn() -> None:
        driver.spawn(request)

    # Connects, and makes the lock file and the drive's shape known.
    spawn()
    driver.destroy(request.uuid)
    return Way(group, name, spawn, lambda: driver.destroy(request.uuid))


def _floor(request: ConfigDriveRequest, directory: Path) -> Way:
    """Return the way that writes the bytes of a drive, and nothing else.

    A spawn makes the instance's directory, too.
    """
    driver = driver_of(directory, ISO9660)
    data = driver.build(request, ISO9660).data
    home = directory / request.uuid
    new, place = home / "new", home / "drive"

    def write() -> int:
        home.mkdir()
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        new.rename(place)
        handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return len(data)

    def remove() -> None:
        place.unlink()
        home.rmdir()

    return Way(SPAWN, FLOOR, write, remove)


def _loads() -> list[Way]:
    """Return the ways to read the sample's instance file."""
    path = ROOT / "etc" / "instance.sample.yaml"
    text = path.read_bytes()
    coded = json.dumps(yaml.safe_load(text), default=_in_base64)

    def from_json() -> None:
        from_mapping(ConfigDriveRequest, json.loads(coded))

    def load() -> None:
        instance_file.load(text, path.name)

    return [
        Way(LOAD, JSON, from_json, times=10),
        Way(LOAD, "load", load, times=10),
    ]


def _in_base64(value: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(value).decode()}
