"""One host, as a driver is given it: options, clock, randomness, readers.

The hooks have these from here alone, and pass values on to all else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from oslo_config import cfg

from cfgdrive_virt import policy
from cfgdrive_virt.driver import build
from cfgdrive_virt.driver.instance_drive import InstanceDrives, Peek
from cfgdrive_virt.model.decision import Decision
from cfgdrive_virt.model.drive import DriveImage
from cfgdrive_virt.model.machine import Machine
from cfgdrive_virt.model.request import RenderedRequest, Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.settings import read_settings
from cfgdrive_virt.store import file_system

#: As nova: bytes of entropy for a guest whose request has none.
_SEED_SIZE = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """The host that a driver works on.

    Parameters are those of :class:`cfgdrive_virt.ConfigDriveDriver`.
    """

    conf: cfg.ConfigOpts
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    urandom: Callable[[int], bytes]
    architecture: str
    peek: Peek | None
    carries: bool
    novas_buses: bool

    @property
    def settings(self) -> Settings:
        """Return what the options say now.

        :raises InvalidConfiguration: if one has an invalid value
        """
        return read_settings(self.conf)

    @property
    def timestamp(self) -> int:
        """Return the time for a new drive, in seconds since 1970 (UTC)."""
        return int(self.clock())

    def drives_of(self, uuid: str, settings: Settings) -> InstanceDrives:
        """Return the places of an instance's drives.

        :param uuid: in its canonical form
        """
        return InstanceDrives(uuid, settings, self.peek, self.sleep)

    def decide(
        self,
        settings: Settings,
        request: Request,
        machine: Machine | None = None,
    ) -> Decision:
        """Decide on a drive's format and device.

        :param machine: by default the one that the request asks for
        :raises UnsupportedCombination: if settings exclude each other
        """
        return policy.decide(
            settings,
            request,
            machine or policy.machine(settings, request, self.architecture),
            policy.must_survive(
                settings,
                file_system.type_of(settings.instances_path),
                carried=self.carries,
            ),
            novas_buses=self.novas_buses,
        )

    def tree_of(self, settings: Settings, request: Request) -> MetadataTree:
        """Return the files of an instance's drive.

        A guest whose request has no random_seed gets a new one.
        """
        has_seed = isinstance(request, RenderedRequest) or request.random_seed
        seed = b"" if has_seed else self.urandom(_SEED_SIZE)
        return build.tree_of(request, settings, seed)

    def image_of(
        self,
        settings: Settings,
        request: Request,
        image_format: str,
        without: Collection[str] = (),
    ) -> DriveImage:
        """Return the image of an instance's drive, as of now.

        :param without: names of secrets that the request is without
        :raises ImageError: as :func:`cfgdrive_virt.driver.build.image_of`
        """
        return build.image_of(
            self.tree_of(settings, request),
            image_format,
            settings,
            uuid=request.uuid,
            timestamp=self.timestamp,
            without=without,
        )


class Hooks:
    """A group of the driver's hooks; base class of each."""

    def __init__(self, host: Host) -> None:
        self._host = host
