"""What a compute service does on its host, asked by others from outside.

    host_process.py DESCRIPTOR CONFIGURATION LIBVIRT_URI [UID]

Runs among the mounts of its host.  DESCRIPTOR is a socket: pickled calls
come in, what they return or raise goes out.  The configuration is read for
every call.  With UID it has that user's rights alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from multiprocessing.connection import Connection
from typing import Any

from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest, Drive
from cfgdrive_virt.adapters.libvirt import (
    LibvirtService,
    connected,
    fetch_from,
    peek_by,
    silence,
)
from cfgdrive_virt.model.migration import MigratingDrive
from cfgdrive_virt.model.status import State


class HostProcess:
    """The calls that are more than one of the driver's methods."""

    def __init__(self, configuration: str, libvirt_uri: str) -> None:
        self._configuration = configuration
        self._libvirt_uri = libvirt_uri

    @property
    def driver(self) -> ConfigDriveDriver:
        conf = cfg.ConfigOpts()
        conf(
            [],
            default_config_files=[self._configuration],
            default_config_dirs=[],
        )
        return ConfigDriveDriver(conf)

    def spawn(self, request: ConfigDriveRequest, domain_xml: str) -> str:
        """Start a domain with its drive, and tell where that is."""
        with connected(self._libvirt_uri) as connection:
            service = LibvirtService(connection, self.driver)
            spawned = service.spawn(request, domain_xml)
        assert spawned.drive is not None
        return spawned.drive.location.source

    def destroy(self, uuid: str) -> None:
        """Remove a domain and its drive, so far as they are here."""
        with connected(self._libvirt_uri) as connection:
            LibvirtService(connection, self.driver).destroy(uuid)

    def refresh(self, request: ConfigDriveRequest) -> Drive | None:
        """Give a domain that may run what a request says."""
        with connected(self._libvirt_uri) as connection:
            return LibvirtService(connection, self.driver).refresh(request)

    def forget_secrets(self, uuid: str, names: Collection[str]) -> Drive:
        """Take secrets off the drive of a domain that may run."""
        with connected(self._libvirt_uri) as connection:
            service = LibvirtService(connection, self.driver)
            return service.forget_secrets(uuid, names)

    def status(self, request: ConfigDriveRequest) -> State:
        """Look at a drive, by libvirt if need be."""
        with connected(self._libvirt_uri) as connection:
            driver = self.driver.reading_by(peek_by(connection))
            return driver.status(request).state

    def status_without_libvirt(self, request: ConfigDriveRequest) -> State:
        """Look at a drive with no more than this process' own rights."""
        return self.driver.status(request).state

    def pre_live_migration(
        self, uuid: str, drive: MigratingDrive, source_uri: str
    ) -> None:
        """Carry a drive here, from the source's libvirt if need be."""

        def fetch() -> Iterator[bytes]:
            with connected(source_uri) as connection:
                yield from fetch_from(connection, drive)

        self.driver.pre_live_migration(uuid, drive, fetch)

    def driver_spawn(self, request: ConfigDriveRequest) -> Drive | None:
        """Have a drive in place, and no domain."""
        return self._peeking("spawn", request)

    def driver_destroy(self, uuid: str) -> bool:
        """Remove all drives, and no domain."""
        return bool(self._peeking("destroy", uuid))

    def driver_pre_live_migration(
        self, uuid: str, drive: MigratingDrive, data: bytes
    ) -> None:
        """Have a drive in place whose bytes the caller has fetched."""
        self._peeking("pre_live_migration", uuid, drive, lambda: [data])

    def _peeking(self, name: str, *arguments: Any, **options: Any) -> Any:
        with connected(self._libvirt_uri) as connection:
            driver = self.driver.reading_by(peek_by(connection))
            return getattr(driver, name)(*arguments, **options)

    def answer(
        self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[bool, Any]:
        """Return whether a call went well, and its result or exception."""
        try:
            if name in vars(HostProcess):
                return True, getattr(self, name)(*arguments, **options)
            return True, self._peeking(name, *arguments, **options)
        except Exception as error:
            return False, error


def main() -> None:
    """Answer until nobody asks any more."""
    descriptor, configuration, libvirt_uri, *users = sys.argv[1:]
    for user in map(int, users):
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    silence()
    process = HostProcess(configuration, libvirt_uri)
    with Connection(int(descriptor)) as channel:
        while True:
            try:
                call = channel.recv()
            except EOFError:
                return
            channel.send(process.answer(*call))


if __name__ == "__main__":
    main()
