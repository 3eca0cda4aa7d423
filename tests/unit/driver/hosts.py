"""Two hosts between which a guest moves, each with a place of its own."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cfgdrive_virt import ConfigDriveDriver, MigratingDrive

from ..samples import UUID, wanted


def unpickled(value: Any, **fields: Any) -> Any:
    """Return a value with fields that it can't be made with."""
    forged = copy.copy(value)
    for name, field in fields.items():
        object.__setattr__(forged, name, field)
    return pickle.loads(pickle.dumps(forged))


class Hosts:
    """Two hosts whose instances_path has the same name.

    It is a link to the directory of the host that is at work.
    """

    def __init__(self, path: Path, driver: ConfigDriveDriver) -> None:
        self.path = path
        self.driver = driver
        self.homes = {name: path.with_name(name) for name in "ab"}
        for home in self.homes.values():
            home.mkdir()
        path.rmdir()

    @contextmanager
    def at(self, name: str) -> Iterator[ConfigDriveDriver]:
        self.path.symlink_to(self.homes[name])
        try:
            yield self.driver
        finally:
            self.path.unlink()

    def drive(self, name: str) -> Path:
        return self.homes[name] / UUID / "disk.config"

    def domain(self) -> str:
        """Return the guest's XML."""
        with self.at("a") as driver:
            disk = driver.plan(wanted()).disk_xml
        return f"<domain><devices>{disk}</devices></domain>"

    def check(self, *, block_migration: bool = True) -> MigratingDrive | None:
        with self.at("b") as driver:
            check = driver.check_can_live_migrate_destination(UUID)
        try:
            domain = self.domain()
            with self.at("a") as driver:
                return driver.check_can_live_migrate_source(
                    UUID, check, domain, block_migration=block_migration
                )
        finally:
            with self.at("b") as driver:
                driver.cleanup_live_migration_destination_check(UUID, check)

    def checked(self) -> MigratingDrive:
        found = self.check()
        assert found is not None
        return found

    def left(self, name: str) -> list[str]:
        """Return what there is but locks."""
        home = self.homes[name]
        return sorted(
            str(path.relative_to(home))
            for path in home.rglob("*")
            if path.is_file() and path.parent.name != "locks"
        )
