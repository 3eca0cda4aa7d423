"""A deployment whose servers' drives are looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deployment import Deployment
from drives import ISO9660, VFAT, Drive, differences, read, wanted
from hypervisor import source_of

#: Device, bus, and whether it is read-only.
_DEVICES = {
    ISO9660: ("cdrom", "ide", True),
    VFAT: ("disk", "virtio", False),
}

#: What a host has without servers.
_SERVICE = {"_base", "compute_nodes", "locks", "snapshots"}


class Checked(Deployment):
    """Tests that check a server's drive after each step of its life.

    :cvar REFRESHES: whether the driver makes a drive anew that is out of date
    """

    REFRESHES = False

    def file(
        self, host: str, server: dict[str, Any], name: str = "disk.config"
    ) -> Path:
        """Return where a host has a file of a server, really."""
        return self.hosts[host].directory / server["id"] / name

    def read(
        self, host: str, server: dict[str, Any], name: str = "disk.config"
    ) -> Drive:
        """Return a drive, by other people's readers."""
        path = self.file(host, server, name)
        assert path.is_file(), f"{path} isn't there"
        return read(path, self._scratch / str(next(self._numbers)))

    def check(
        self,
        server: dict[str, Any],
        *,
        name: str = "disk.config",
        password: str | None = None,
        beside: Sequence[str] = (),
        left_on: str | None = None,
        old: Drive | None = None,
        scrubbed: bool = False,
    ) -> Drive:
        """Compare a server's drive with what nova says of it now.

        And what the guest has of it, and that there are no others.

        :param password: on the drive for rescue
        :param beside: other drives that the host has of it
        :param left_on: host that it may go back to, and has not forgotten it
        :param old: the drive before a step in which not every driver looks
            whether that is up to date
        :param scrubbed: nova hid the key while it spawned
        """
        host = self.host_of(server)
        drive = self.read(host, server, name)
        assert drive.label == "config-2"
        if old is None or self.REFRESHES:
            self.check_content(drive, server, name, password, scrubbed)
        else:
            assert old == drive
        self.check_device(host, server, drive, name)
        assert sorted([f"{server['id']}/{name}", *beside]) == self.configs(
            host, server
        )
        self.check_left(server, host, left_on)
        return drive

    def check_content(
        self,
        drive: Drive,
        server: dict[str, Any],
        name: str,
        password: str | None,
        scrubbed: bool,
    ) -> None:
        """A drive says what nova says of its server now."""
        files, given = self._given[server["id"]]
        if name.endswith(".rescue"):
            files, given = (), password
        due = wanted(
            server["id"],
            self.cell_mappings["cell1"],
            files,
            given,
            scrubbed=scrubbed,
        )
        told = differences(drive.files, due)
        if scrubbed:
            # And, before nova 34, shows the image it was shelved as.
            told = [what for what in told if ": ami-id is " not in what]
        assert told == []

    def check_device(
        self, host: str, server: dict[str, Any], drive: Drive, name: str
    ) -> None:
        """A VFAT drive is a writable disk, an ISO a read-only cdrom."""
        source = self.hosts.instances_path / server["id"] / name
        disks = [
            disk
            for disk in self.hypervisor.disks(host, server["id"])
            if source_of(disk) == str(source)
        ]
        assert len(disks) == 1, f"<disk> elements of {source}"
        disk = disks[0]
        assert _DEVICES[drive.form] == (
            disk.get("device"),
            disk.find("target").get("bus"),
            disk.find("readonly") is not None,
        )
        assert disk.find("driver").get("type") == "raw"

    def check_left(self, server: dict[str, Any], *but: str | None) -> None:
        """No host has anything of a server any more, but those named."""
        kept = {self.hosts[name].directory for name in but if name}
        for name in self.computes:
            if self.hosts[name].directory not in kept:
                assert self.leftovers(name, server) == []
                if name not in but:
                    assert not self.hypervisor.knows(name, server["id"]), (
                        f"{name} still has the domain"
                    )

    def leftovers(self, host: str, server: dict[str, Any]) -> list[str]:
        """Return what a host has of a server, but locks."""
        root = self.hosts[host].directory
        return sorted(
            str(path.relative_to(root))
            for path in root.rglob("*")
            if server["id"] in str(path) and path.parent.name != "locks"
        )

    def configs(self, host: str, server: dict[str, Any]) -> list[str]:
        """Return the drives of a server on a host, finished or not."""
        return [
            path for path in self.leftovers(host, server) if ".config" in path
        ]

    def check_no_drive(self, server: dict[str, Any]) -> None:
        """A server has no drive, on disk or in its domain."""
        host = self.host_of(server)
        assert self.configs(host, server) == []
        for disk in self.hypervisor.disks(host, server["id"]):
            assert "disk.config" not in (source_of(disk) or "")
        assert self.api.get_server(server["id"])["config_drive"] == ""

    def delete(self, server: dict[str, Any]) -> None:
        """Delete a server, and see that nothing of it stays."""
        self._delete_server(server)
        self.check_left(server)
        for name in self.computes:
            found = {
                path.name for path in self.hosts[name].directory.iterdir()
            }
            assert found - _SERVICE - self._given.keys() == set()

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Name a step of a server's life in what fails."""
        try:
            yield
        except Exception as error:
            error.add_note(f"at the step: {text}")
            raise
