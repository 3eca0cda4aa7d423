"""A server as its user, its operator and its guest see it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import pathlib
import re
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from typing import Any

from cloud import Cloud
from hosts import Host
from nova import context, objects
from nova.api.metadata import base as metadata

from tests.guest.guests import Console
from tests.guest.test_spawn import files_by_7z

DRIVE = "disk.config"
RESCUE_DRIVE = "disk.config.rescue"
#: Of a drive's documents the one that has the most.
METADATA = "openstack/latest/meta_data.json"

USER_DATA = b"#!/bin/sh\necho \xff\n"
FILES = {"/etc/a b": bytes(range(256)), "/etc/c": b"d"}


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """What the guest has read at one time.

    :param number: counts from 1 at every boot
    """

    number: int
    device: str
    filesystem: str
    sums: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server of a cloud, with a config drive."""

    cloud: Cloud
    uuid: str
    admin_pass: str

    @property
    def host(self) -> Host:
        """The only host that has its guest."""
        (at,) = (
            host
            for host in self.cloud.hosts.all
            if self.uuid in host.domains()
        )
        return at

    @property
    def elsewhere(self) -> Host:
        """The host that hasn't."""
        (at,) = (host for host in self.cloud.hosts.all if host != self.host)
        return at

    def attached(self, name: str = DRIVE) -> tuple[str, str]:
        """The kind of device, and the bus, that a drive is attached as."""
        root = ET.fromstring(self.host.domains()[self.uuid])
        (disk,) = (
            disk
            for disk in root.iterfind("devices/disk")
            if pathlib.Path(_attribute(disk, "source", "file")).name == name
        )
        return disk.attrib["device"], _attribute(disk, "target", "bus")

    def content(self, name: str = DRIVE) -> bytes:
        """The bytes of its drive."""
        return (self.host.directory(self.uuid) / name).read_bytes()

    def drive(self, name: str = DRIVE) -> dict[str, bytes]:
        """The files on its drive, as another reader extracts them."""
        path = self.host.directory(self.uuid) / name
        with tempfile.TemporaryDirectory() as directory:
            return files_by_7z(path, pathlib.Path(directory))

    def sums(self, name: str = DRIVE) -> dict[str, str]:
        """What its guest has to read."""
        return {
            path: hashlib.sha256(data).hexdigest()
            for path, data in self.drive(name).items()
        }

    def reads(self) -> Round:
        """What its guest reads in a round that begins from now on."""
        console = self.host.console(self.uuid)
        number = _next_round(console)
        sums = console.probe_round(number)
        mounts = re.findall(
            r"^PROBE mount (\S+) /mnt (\S+) ", console.text(), re.M
        )
        device, filesystem = mounts[-1]
        return Round(number, device, filesystem, sums)

    def rendered(self) -> dict[str, bytes]:
        """What nova's own code says of it, to be written to a drive."""
        instance = objects.Instance.get_by_uuid(
            context.get_admin_context(),
            self.uuid,
            ["metadata", "system_metadata", "info_cache", "flavor"],
        )
        told = metadata.InstanceMetadata(
            instance,
            content=list(FILES.items()),
            extra_md={"admin_pass": self.admin_pass},
            network_info=instance.get_network_info(),
        )
        return {
            path: data.encode() if isinstance(data, str) else data
            for path, data in told.metadata_for_config_drive()
        }

    def tag(self, **said: str) -> None:
        """Have its user tell it something, as metadata."""
        url = f"/servers/{self.uuid}/metadata"
        self.cloud.api.api_post(url, {"metadata": said})

    def act(self, action: str, argument: Any = None, *, then: str) -> None:
        """Have its user or operator do something with it.

        :param then: the status that it gets
        """
        body = {action: argument}
        self.cloud.api.post_server_action(self.uuid, body)
        self.cloud._wait_for_state_change(
            {"id": self.uuid}, then, max_retries=120, wait_for_fault_key=False
        )

    def migrates_live(
        self, outcome: str = "completed", *, then: str = "ACTIVE"
    ) -> None:
        """Be sent to the other host, running.

        :param outcome: what becomes of nova's migration
        :param then: the status that it gets
        """
        self.act("os-migrateLive", self._where_to(), then=then)
        self.cloud._wait_for_migration_status({"id": self.uuid}, [outcome])

    def is_called_back(self) -> None:
        """Be sent to the other host, and called back on the way."""
        body = {"os-migrateLive": self._where_to()}
        self.cloud.api.post_server_action(self.uuid, body)
        self.host.wait_until_it_leaves(self.uuid)
        known = {"id": self.uuid}
        migration = self.cloud._wait_for_migration_status(known, ["running"])
        self.cloud.api.delete_migration(self.uuid, migration["id"])
        self.cloud._wait_for_state_change(
            known, "ERROR", max_retries=120, wait_for_fault_key=False
        )

    def _where_to(self) -> dict[str, str]:
        return {"host": self.elsewhere.name, "block_migration": "auto"}

    def is_gone(self) -> bool:
        """Delete it, and tell whether nothing of it is left anywhere."""
        self.cloud._delete_server({"id": self.uuid, "status": "ACTIVE"})
        return not any(
            host.files(self.uuid) or self.uuid in host.domains()
            for host in self.cloud.hosts.all
        )


def boot(cloud: Cloud, host: Host) -> Server:
    """Have a server whose drive has something of everything."""
    made = cloud.boot(
        host,
        user_data=_coded(USER_DATA),
        metadata={"role": "first"},
        personality=[
            {"path": path, "contents": _coded(data)}
            for path, data in FILES.items()
        ],
    )
    return Server(cloud, made["id"], made["adminPass"])


def always_one(
    make: Callable[[], Server], failed: Callable[[], int]
) -> Callable[[], Server]:
    """Return what gives a server, and another one only after a failure.

    :param failed: counts the failures
    """
    made: dict[int, Server] = {}

    def server() -> Server:
        if failed() not in made:
            made[failed()] = make()
        return made[failed()]

    return server


def meaning(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What files say, less what nova makes up anew whenever it is asked."""
    said: dict[str, Any] = {}
    for path, data in files.items():
        said[path] = json.loads(data) if path.endswith(".json") else data
        if path.endswith("/meta_data.json"):
            seed = said[path].pop("random_seed", "")
            assert len(base64.b64decode(seed)) in {0, 512}
    return said


def _next_round(console: Console) -> int:
    begun = re.findall(r"^PROBE begin (\d+) ", console.text(), re.M)
    if begun:
        return int(begun[-1]) + 1
    # It has just been started, or has just come from another host.
    return int(console.wait_for(r"^PROBE begin (\d+) ", 60)[1])


def _attribute(disk: ET.Element, tag: str, name: str) -> str:
    element = disk.find(tag)
    assert element is not None
    return element.attrib[name]


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()
