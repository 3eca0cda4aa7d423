"""The places of an instance's drives, looked at beside the product."""

from __future__ import annotations

import dataclasses
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver

from . import drives
from .drives import Content

NAMES = {"drive": "disk.config", "rescue": "disk.config.rescue"}
_LOCK = "cfgdrive-virt"

CONFIGURATION = """
[DEFAULT]
instances_path = {root}
config_drive_format = {image_format}
[libvirt]
virt_type = qemu
rbd_destroy_volume_retries = 4
rbd_destroy_volume_retry_interval = 1
[cfgdrive_virt]
one_shot_secrets = admin_pass,user_data
"""


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What an instance has: its drive, one for rescue, one for a revert."""

    drive: Content = None
    rescue: Content = None
    kept: Content = None

    def __iter__(self) -> Iterator[tuple[str, Content]]:
        for field in dataclasses.fields(self):
            yield field.name, getattr(self, field.name)

    def agrees(self, found: State) -> bool:
        """Tell whether this, expected, is what was found."""
        return all(
            drives.same(ours, theirs)
            for (_, ours), (_, theirs) in zip(self, found, strict=True)
        )


class Place(Protocol):
    """Where drives are."""

    root: Path
    #: Whether it has a drive kept for a revert, apart from the drive.
    keeps: bool
    #: Whether nobody removes what a killed process had open just now.
    watches: bool
    #: The function by which a drive gets its name.
    renames: str
    #: Seconds that a hook may take, before it is known better.
    pace: float

    def driver(self, image_format: str) -> ConfigDriveDriver:
        """Return a service's driver."""

    def data(self, uuid: str, which: str = "drive") -> bytes | None:
        """Return the bytes of one of an instance's drives."""

    def put(self, uuid: str, data: bytes | None) -> None:
        """Do harm to an instance's drive: have other bytes, or none."""

    def put_foreign(self, uuid: str, data: bytes) -> None:
        """Have a drive as nova would have written it."""

    def patiently(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so that dead processes may delay."""

    def secrets(self, uuid: str) -> list[str]:
        """Return what holds one-shot secrets, and is none of the drives."""

    def left(self, uuid: str) -> list[str]:
        """Return what killed writers left of an instance's drives."""

    def users_of_left(self, uuid: str, /) -> int:
        """Return how many clients have that open."""

    def others(self, uuid: str) -> list[str]:
        """Return what an instance has beside its drives."""

    def everything(self) -> list[str]:
        """Return all that there is, of whatever instance."""


def state(place: Place, uuid: str) -> State:
    """Return what an instance has."""
    return State(
        **{
            which: drives.read(place.data(uuid, which))
            for which, _ in State()
            if which != "kept" or place.keeps
        }
    )


def driver_of(
    root: Path,
    image_format: str,
    more: str,
    sleep: Callable[[float], None] = time.sleep,
) -> ConfigDriveDriver:
    """Return a driver with a configuration of its own."""
    path = root.parent / f"{image_format}.conf"
    text = CONFIGURATION.format(root=root, image_format=image_format)
    path.write_text(text + more)
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(path)], default_config_dirs=[])
    return ConfigDriveDriver(conf, sleep=sleep)


@dataclasses.dataclass(slots=True)
class FilePlace:
    """Files below an instances_path."""

    root: Path
    keeps: bool = True
    watches: bool = False
    renames: str = "os.rename"
    pace: float = 0.02
    _drivers: dict[str, ConfigDriveDriver] = dataclasses.field(
        default_factory=dict
    )

    def driver(self, image_format: str) -> ConfigDriveDriver:
        if image_format not in self._drivers:
            made = driver_of(self.root, image_format, "")
            self._drivers[image_format] = made
        return self._drivers[image_format]

    def path(self, uuid: str, which: str = "drive") -> Path:
        if which == "kept":
            return self.root / f"{uuid}_resize" / NAMES["drive"]
        return self.root / uuid / NAMES[which]

    def data(self, uuid: str, which: str = "drive") -> bytes | None:
        path = self.path(uuid, which)
        try:
            status = path.lstat()
        except FileNotFoundError:
            return None
        assert stat.filemode(status.st_mode) == "-rw-------", path
        return path.read_bytes()

    def put(self, uuid: str, data: bytes | None) -> None:
        path = self.path(uuid)
        if data is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(data)

    def put_foreign(self, uuid: str, data: bytes) -> None:
        path = self.path(uuid)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o600)

    def patiently(self, condition: Callable[[], bool]) -> None:
        # What dead processes had open the kernel has closed.
        assert condition()

    def secrets(self, uuid: str) -> list[str]:
        ours = {self.path(uuid, which) for which, _ in State()}
        return [
            str(path.relative_to(self.root))
            for path in self.files()
            if path not in ours and drives.secrets_in(path.read_bytes(), uuid)
        ]

    def left(self, uuid: str) -> list[str]:
        return [path.name for path in (self.root / uuid).glob("*.new*")]

    def users_of_left(self, _: str) -> int:
        return 0

    def others(self, uuid: str) -> list[str]:
        """Return what an instance has beside its drives.

        What a killed writer left has to be whole, and hidden; no other file
        may say what a drive says.
        """
        ours = {self.path(uuid, which) for which, _ in State()}
        found = []
        for path in self.files():
            if path in ours:
                continue
            if path.name == "disk.config.migrating":
                # Until the guest has come.
                assert path.stat().st_size == 0
                continue
            if path.name.endswith(".new"):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
                assert isinstance(drives.read(path.read_bytes()), drives.Said)
            elif not path.name.startswith("disk.config"):
                assert not drives.SECRET.search(path.read_bytes()), path
            if uuid in str(path):
                found.append(str(path.relative_to(self.root)))
        return found

    def files(self) -> list[Path]:
        found = []
        for directory, _, names in os.walk(self.root):
            found += [Path(directory) / name for name in names]
        return found

    def everything(self) -> list[str]:
        found = [name for name in os.listdir(self.root) if name != "locks"]
        found += [
            f"locks/{name}"
            for name in os.listdir(self.root / "locks")
            if name != _LOCK
        ]
        return sorted(found)
