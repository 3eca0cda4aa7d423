"""One host, as a driver is given it: options, clock, randomness, readers.

The only place below the adapters that has them; all else is passed values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from oslo_config import cfg

from cfgdrive_virt.driver import build
from cfgdrive_virt.driver.instance_drive import InstanceDrives, Peek
from cfgdrive_virt.model.request import RenderedRequest, Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.settings import read_settings

#: As nova: bytes of entropy for a guest whose request brings none.
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

    def tree_of(self, request: Request, settings: Settings) -> MetadataTree:
        """Return the files of an instance's drive.

        A guest whose request has no random_seed gets a new one.
        """
        has_seed = isinstance(request, RenderedRequest) or request.random_seed
        seed = b"" if has_seed else self.urandom(_SEED_SIZE)
        return build.tree_of(request, settings, seed)


class Hooks:
    """A group of the driver's hooks; base class of each."""

    def __init__(self, host: Host) -> None:
        self._host = host
