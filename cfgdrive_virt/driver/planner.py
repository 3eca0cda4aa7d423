"""What is to be made for an instance, and why; nothing is changed by it.

The only place, beside the adapters, that reads the configuration, the clock
and the source of randomness.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from oslo_config import cfg

from cfgdrive_virt import policy
from cfgdrive_virt.conf import register_opts
from cfgdrive_virt.driver import build, stores
from cfgdrive_virt.exception import (
    DomainError,
    DriveUnreadable,
    InvalidRequest,
    Problem,
)
from cfgdrive_virt.libvirt_xml.disk import disk_xml
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.decision import Decision, Machine, Verdict
from cfgdrive_virt.model.drive import DriveImage, Location
from cfgdrive_virt.model.request import RenderedRequest, Request
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show
from cfgdrive_virt.settings import Settings, read_settings
from cfgdrive_virt.store.lock import locked

Peek = Callable[[Location, int], bytes | None]

#: As nova: bytes of entropy for a guest whose request brings none.
_SEED_SIZE = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is done for an instance, and why.

    Without a requirement there is no drive: the rest is None.

    :param disk_xml: the ``<disk>`` for the domain's ``<devices>``
    """

    required: Verdict
    decision: Decision | None = None
    location: Location | None = None
    disk_xml: str | None = None


class Planner:
    """Decide on config drives, and build them, as the configuration says.

    :param conf: nova's configuration, or one of ours; options that aren't
        registered yet are
    :param clock: gives the drive's timestamp, in seconds since 1970
    :param sleep: waits for so many seconds
    :param urandom: gives so many random bytes
    :param architecture: the host's, for images that name none
    :param peek: reads a drive that this process may not, so many bytes of it
        at most; returns None if it can't.  libvirt gives a disk's file to
        QEMU's user, and a read-only one never back
    :param carries: whether this service calls the hooks of live migration;
        a read-only drive arrives, too, then, so that none need be VFAT
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        urandom: Callable[[int], bytes] = os.urandom,
        architecture: str = platform.machine(),
        peek: Peek | None = None,
        carries: bool = False,
    ) -> None:
        register_opts(conf)
        self._conf = conf
        self._clock = clock
        self._sleep = sleep
        self._urandom = urandom
        self._architecture = architecture
        self._peek = peek
        self._carries = carries

    @property
    def settings(self) -> Settings:
        """Return what the options say now.

        :raises InvalidConfiguration: if one has a value that it can't have
        """
        return read_settings(self._conf)

    def machine(self, request: Request) -> Machine:
        """Return what image properties and options tell of the machine."""
        return self._machine(self.settings, request)

    def required_by(self, request: Request) -> Verdict:
        """Tell whether an instance gets a config drive, and why.

        It does if it was asked for one, if its image has
        img_config_drive=mandatory, or if force_config_drive is set and it
        hasn't been launched before.  A service stores the answer, as
        config_drive of its later requests: force_config_drive may change.
        """
        return required(self.settings, request)

    def plan(
        self,
        request: Request,
        machine: Machine | None = None,
        *,
        rescue: bool = False,
    ) -> Plan:
        """Return what ``spawn`` would do, and the disk's XML.

        A service puts ``disk_xml`` into the domain that it defines.

        :param machine: the machine that is going to be defined; by default
            what :meth:`machine` returns
        :param rescue: whether it is the one that ``rescue`` makes a drive for
        :raises UnsupportedCombination: if settings exclude each other
        :raises StoreError: if a Ceph cluster has to tell its monitors, and
            can't be asked
        """
        settings = self.settings
        requirement = required(settings, request)
        if not requirement:
            return Plan(requirement)
        decision = self._decide(settings, request, machine)
        store = (stores.rescue_store_of if rescue else stores.store_of)(
            settings
        )
        location = store.location(request.uuid)
        xml = disk_xml(
            location,
            decision,
            cache=stores.cache_mode(settings),
            discard=settings.discard,
            ceph=stores.ceph_access(settings),
        )
        return Plan(requirement, decision, location, xml)

    def decide(
        self, request: Request, machine: Machine | None = None
    ) -> Decision:
        """Return how a drive would be made and attached, and why.

        :param machine: as for :meth:`plan`
        :raises UnsupportedCombination: if settings exclude each other
        """
        return self._decide(self.settings, request, machine)

    def build(
        self, request: Request, image_format: str | None = None
    ) -> DriveImage:
        """Return an instance's drive, put nowhere.

        The same request, random_seed, timestamp and options give the same
        bytes.

        :param image_format: ``iso9660`` or ``vfat``; by default what
            :meth:`plan` decides on
        :raises ImageError: if it would be larger than ``[cfgdrive_virt]
            max_drive_size``
        """
        settings = self.settings
        if image_format is None:
            image_format = self._decide(settings, request).format
        return self._build(settings, request, image_format)

    def location(self, uuid: str) -> Location:
        """Return where an instance's drive is, or would be.

        :raises InvalidRequest: if that is no UUID
        """
        return stores.store_of(self.settings).location(canonical(uuid))

    def locked(self, uuid: str) -> AbstractContextManager[None]:
        """Hold an instance's ``domain`` lock, for as long as the context.

        A service that works on the instance's domain, and calls the other
        methods meanwhile, keeps others on this host from doing the same.

        :raises StoreError: on entry, if there is no place for locks
        """
        return locked(self.settings.instances_path, canonical(uuid), "domain")

    def _build(
        self,
        settings: Settings,
        request: Request,
        image_format: str,
        without: Collection[str] = (),
    ) -> DriveImage:
        given = isinstance(request, RenderedRequest) or request.random_seed
        seed = b"" if given else self._urandom(_SEED_SIZE)
        return self._image(
            settings,
            request.uuid,
            build.tree_of(request, settings, seed),
            image_format,
            without,
        )

    def _image(
        self,
        settings: Settings,
        uuid: str,
        tree: MetadataTree,
        image_format: str,
        without: Collection[str],
    ) -> DriveImage:
        return build.image_of(
            tree,
            image_format,
            settings,
            uuid=uuid,
            timestamp=int(self._clock()),
            without=without,
        )

    def _read(
        self, settings: Settings, store: stores.Store, uuid: str
    ) -> bytes | None:
        location = store.location(uuid)
        most = stores.most_bytes(settings)
        try:
            return store.read(location, most)
        except DriveUnreadable as unread:
            try:
                data = self._peek(location, most) if self._peek else None
            except DomainError as error:
                raise DriveUnreadable(f"{unread}; {error}") from error
            if data is None:
                raise
            return data

    def _machine(self, settings: Settings, request: Request) -> Machine:
        return policy.machine(
            request,
            host_architecture=self._architecture,
            machine_types=settings.machine_types,
        )

    def _decide(
        self,
        settings: Settings,
        request: Request,
        machine: Machine | None = None,
    ) -> Decision:
        return policy.decide(
            machine or self._machine(settings, request),
            image_properties=request.image_properties,
            images_type=settings.images_type,
            config_drive_format=settings.config_drive_format,
            virt_type=settings.virt_type,
            migration=stores.must_survive(settings, carried=self._carries),
            disk_prefix=settings.disk_prefix,
        )


def required(settings: Settings, request: Request) -> Verdict:
    """Tell whether an instance gets a config drive, and why."""
    return policy.required(
        request, force_config_drive=settings.force_config_drive
    )


def canonical(uuid: str) -> str:
    """Return an instance's UUID as the stores have it.

    :raises InvalidRequest: if it is none
    """
    try:
        return rules.canonical_uuid(uuid)
    except ValueError as error:
        problem = Problem("uuid", show(uuid), str(error))
        raise InvalidRequest([problem]) from error
