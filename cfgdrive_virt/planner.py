"""The hook that a compute service calls; where the steps meet.

    request -> tree -> image -> store -> location -> <disk>

The only place, beside the adapters, that reads the configuration, the clock
and the source of randomness.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from oslo_config import cfg

from cfgdrive_virt import content, policy, storage
from cfgdrive_virt.conf import register_opts
from cfgdrive_virt.device.disk import disk_xml
from cfgdrive_virt.device.domain import Domain
from cfgdrive_virt.exception import DriveInUse, InvalidRequest, Problem
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.decision import Decision, Guest, Requirement
from cfgdrive_virt.model.drive import DriveImage, Location
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.value import show
from cfgdrive_virt.settings import Settings, read_settings
from cfgdrive_virt.store.lock import locked

LOG = logging.getLogger(__name__)

#: As nova: bytes of entropy for a guest whose request brings none.
_SEED_SIZE = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is done for an instance, and why.

    Without a requirement there is no drive: the rest is None.

    :param disk_xml: the ``<disk>`` for the domain's ``<devices>``
    """

    requirement: Requirement
    decision: Decision | None = None
    location: Location | None = None
    disk_xml: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Drive:
    """A drive that is in place.

    :param built: False if it was there before and has been left alone
    """

    location: Location
    built: bool


class ConfigDriveDriver:
    """Build, place and remove config drives as the configuration says.

    Safe to share between threads and processes.

    :param conf: nova's configuration, or one of ours; options that aren't
        registered yet are
    :param clock: gives the drive's timestamp, in seconds since 1970
    :param sleep: waits for so many seconds
    :param urandom: gives so many random bytes
    :param architecture: the host's, for images that name none
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        urandom: Callable[[int], bytes] = os.urandom,
        architecture: str = platform.machine(),
    ) -> None:
        register_opts(conf)
        self._conf = conf
        self._clock = clock
        self._sleep = sleep
        self._urandom = urandom
        self._architecture = architecture

    @property
    def settings(self) -> Settings:
        """Return what the options say now.

        :raises InvalidConfiguration: if one has a value that it can't have
        """
        return read_settings(self._conf)

    @property
    def _store(self) -> storage.Store:
        return storage.store_of(self.settings)

    def guest(self, request: ConfigDriveRequest) -> Guest:
        """Return what image properties and options tell of the machine."""
        return policy.guest(
            request,
            host_architecture=self._architecture,
            machine_types=self.settings.machine_types,
        )

    def required_by(self, request: ConfigDriveRequest) -> Requirement:
        """Tell whether an instance gets a config drive, and why.

        It does if it was asked for one, if its image has
        img_config_drive=mandatory, or if force_config_drive is set and it
        hasn't been launched before.  A service stores the answer, as
        config_drive of its later requests: force_config_drive may change.
        """
        return policy.required(
            request, force_config_drive=self.settings.force_config_drive
        )

    def plan(
        self, request: ConfigDriveRequest, guest: Guest | None = None
    ) -> Plan:
        """Return what :meth:`spawn` would do, and the disk's XML.

        A service puts ``disk_xml`` into the domain that it defines.

        :param guest: the machine that is going to be defined; by default
            what :meth:`guest` returns
        :raises UnsupportedCombination: if settings exclude each other
        :raises StoreError: if a Ceph cluster has to tell its monitors, and
            can't be asked
        """
        settings = self.settings
        requirement = self.required_by(request)
        if not requirement:
            return Plan(requirement)
        decision = self._decide(request, guest)
        location = storage.store_of(settings).location(request.uuid)
        xml = disk_xml(
            location,
            decision,
            cache=storage.cache_mode(settings),
            discard=settings.discard,
            ceph=storage.ceph_access(settings),
        )
        return Plan(requirement, decision, location, xml)

    def spawn(
        self,
        request: ConfigDriveRequest,
        guest: Guest | None = None,
        *,
        domain_xml: str | bytes | None = None,
        rebuild: bool = False,
    ) -> Drive | None:
        """Put an instance's drive in place, if it gets one.

        To be called once the domain is defined, so that the addresses of
        tagged devices are known, and before it is started.

        :param guest: as for :meth:`plan`
        :param domain_xml: the domain as libvirt defined it; tagged devices
            without bus and address take theirs from it
        :param rebuild: replace a drive that is there; otherwise it is left
            alone
        :raises ConfigDriveError: if it couldn't be done; there is no drive
            then that wasn't there before
        """
        started = time.monotonic()
        requirement = self.required_by(request)
        if not requirement:
            LOG.info(
                "Instance %s gets no config drive: %s",
                request.uuid,
                requirement.reason,
            )
            return None
        decision = self._decide(request, guest)
        if domain_xml is not None:
            devices = Domain(domain_xml).locate(request.devices)
            request = dataclasses.replace(request, devices=devices)
        for warning in decision.warnings:
            LOG.warning("Config drive of %s: %s", request.uuid, warning)
        store = self._store
        with locked(self.settings.instances_path, request.uuid):
            if store.exists(request.uuid) and not rebuild:
                location = store.location(request.uuid)
                LOG.info("Config drive %s is there already", location)
                return Drive(location, built=False)
            image = self.build(request, decision.format)
            location = store.write(request.uuid, image.data)
        LOG.info(
            "Config drive %s built: %s, %d bytes in %.3f s, because %s; %s",
            location,
            image.format,
            len(image.data),
            time.monotonic() - started,
            requirement.reason,
            decision.reason,
        )
        return Drive(location, built=True)

    def build(
        self, request: ConfigDriveRequest, image_format: str | None = None
    ) -> DriveImage:
        """Return an instance's drive, put nowhere.

        The same request, random_seed, timestamp and options give the same
        bytes.

        :param image_format: ``iso9660`` or ``vfat``; by default what
            :meth:`plan` decides on
        :raises ImageError: if it would be larger than ``[cfgdrive_virt]
            max_drive_size``
        """
        if image_format is None:
            image_format = self._decide(request).format
        settings = self.settings
        seed = request.random_seed or self._urandom(_SEED_SIZE)
        return content.image_of(
            content.tree_of(request, settings, seed),
            image_format,
            settings,
            uuid=request.uuid,
            timestamp=int(self._clock()),
        )

    def location(self, uuid: str) -> Location:
        """Return where an instance's drive is, or would be.

        :raises InvalidRequest: if that is no UUID
        """
        try:
            uuid = rules.canonical_uuid(uuid)
        except ValueError as error:
            problem = Problem("uuid", show(uuid), str(error))
            raise InvalidRequest([problem]) from error
        return self._store.location(uuid)

    def exists(self, uuid: str) -> bool:
        """Tell whether an instance has a drive.

        :raises StoreError: if what is in its place is none
        """
        location = self.location(uuid)
        return self._store.exists(location.uuid)

    def locked(self, uuid: str) -> AbstractContextManager[None]:
        """Hold an instance's ``domain`` lock, for as long as the context.

        A service that works on the instance's domain, and calls the other
        methods meanwhile, keeps others on this host from doing the same.

        :raises StoreError: on entry, if there is no place for locks
        """
        location = self.location(uuid)
        return locked(self.settings.instances_path, location.uuid, "domain")

    def destroy(self, uuid: str) -> bool:
        """Remove an instance's drive; tell whether there was one.

        In Ceph, one that somebody has open is tried again, as nova does
        ([libvirt] rbd_destroy_volume_retries).

        :raises ConfigDriveError: if it can't be removed
        """
        location = self.location(uuid)
        for left in range(self.settings.rbd_destroy_retries, -1, -1):
            try:
                with locked(self.settings.instances_path, location.uuid):
                    existed = self._store.delete(location.uuid)
            except DriveInUse as error:
                if not left:
                    raise
                LOG.info("%s; trying again, %d times at most", error, left)
                self._sleep(self.settings.rbd_destroy_interval)
            else:
                break
        what = "removed" if existed else "was not there"
        LOG.info("Config drive %s %s", location, what)
        return existed

    def _decide(
        self, request: ConfigDriveRequest, guest: Guest | None = None
    ) -> Decision:
        settings = self.settings
        return policy.decide(
            guest or self.guest(request),
            image_properties=request.image_properties,
            images_type=settings.images_type,
            config_drive_format=settings.config_drive_format,
            virt_type=settings.virt_type,
            migration=storage.must_survive(settings),
            disk_prefix=settings.disk_prefix,
        )
