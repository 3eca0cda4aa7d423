"""The hook that a compute service calls; where the steps meet.

    request -> tree -> image -> store -> location -> <disk>

The only place, beside the adapters, that reads the configuration, the clock
and the source of randomness.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from oslo_config import cfg

from cfgdrive_virt import policy
from cfgdrive_virt.conf import Settings, read_settings, register_opts
from cfgdrive_virt.device.disk import disk_xml
from cfgdrive_virt.device.domain import Domain
from cfgdrive_virt.exception import (
    ImageError,
    InvalidConfiguration,
    InvalidRequest,
    Problem,
)
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.metadata import build_tree
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.decision import Decision, Guest, Requirement
from cfgdrive_virt.model.drive import ISO9660, DriveImage, FileLocation
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show
from cfgdrive_virt.store.file import FileStore, supports_direct_io

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
    location: FileLocation | None = None
    disk_xml: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Drive:
    """A drive that is in place.

    :param built: False if it was there before and has been left alone
    """

    location: FileLocation
    built: bool


class ConfigDriveDriver:
    """Build, place and remove config drives as the configuration says.

    Safe to share between threads and processes.

    :param conf: nova's configuration, or one of ours; options that aren't
        registered yet are
    :param clock: gives the drive's timestamp, in seconds since 1970
    :param urandom: gives so many random bytes
    :param architecture: the host's, for images that name none
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        *,
        clock: Callable[[], float] = time.time,
        urandom: Callable[[int], bytes] = os.urandom,
        architecture: str = platform.machine(),
    ) -> None:
        register_opts(conf)
        self._conf = conf
        self._clock = clock
        self._urandom = urandom
        self._architecture = architecture

    @property
    def settings(self) -> Settings:
        """Return what the options say now.

        :raises InvalidConfiguration: if one has a value that it can't have
        """
        return read_settings(self._conf)

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
        """
        settings = self.settings
        requirement = self.required_by(request)
        if not requirement:
            return Plan(requirement)
        decision = policy.decide(
            guest or self.guest(request),
            image_properties=request.image_properties,
            images_type=settings.images_type,
            config_drive_format=settings.config_drive_format,
            virt_type=settings.virt_type,
            disk_prefix=settings.disk_prefix,
        )
        location = _store(settings).location(request.uuid)
        xml = disk_xml(
            location,
            decision,
            cache=_cache_mode(settings),
            discard=settings.discard,
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
        plan = self.plan(request, guest)
        if plan.decision is None:
            LOG.info(
                "Instance %s gets no config drive: %s",
                request.uuid,
                plan.requirement.reason,
            )
            return None
        if domain_xml is not None:
            devices = Domain(domain_xml).locate(request.devices)
            request = dataclasses.replace(request, devices=devices)
        store = _store(self.settings)
        with store.locked(request.uuid):
            if store.exists(request.uuid) and not rebuild:
                location = store.location(request.uuid)
                LOG.info("Config drive %s is there already", location)
                return Drive(location, built=False)
            image = self.build(request, plan.decision.format)
            location = store.write(request.uuid, image.data)
        LOG.info(
            "Config drive %s built: %s, %d bytes in %.3f s, because %s; %s",
            location,
            image.format,
            len(image.data),
            time.monotonic() - started,
            plan.requirement.reason,
            plan.decision.reason,
        )
        return Drive(location, built=True)

    def build(
        self, request: ConfigDriveRequest, image_format: str = ISO9660
    ) -> DriveImage:
        """Return an instance's drive, put nowhere.

        The same request, random_seed, timestamp and options give the same
        bytes.

        :raises UnsupportedCombination: if the format can't be built
        :raises ImageError: if it would be larger than ``[cfgdrive_virt]
            max_drive_size``
        """
        policy.check_format(image_format)
        settings = self.settings
        tree = build_tree(
            request,
            random_seed=request.random_seed or self._urandom(_SEED_SIZE),
            vendor_data=_static_vendor_data(settings),
            vendor_data_static=settings.vendordata_static,
            dhcp_domain=settings.dhcp_domain,
            skip_versions=settings.skip_versions,
        )
        limit = settings.max_drive_size
        _check_size(tree, limit)
        image = iso9660.build(tree, timestamp=int(self._clock()))
        if len(image.data) > limit:
            raise ImageError(
                f"the drive would be {len(image.data):,} bytes, and"
                f" [cfgdrive_virt] max_drive_size allows {limit:,}"
            )
        return image

    def location(self, uuid: str) -> FileLocation:
        """Return where an instance's drive is, or would be.

        :raises InvalidRequest: if that is no UUID
        """
        try:
            uuid = rules.canonical_uuid(uuid)
        except ValueError as error:
            problem = Problem("uuid", show(uuid), str(error))
            raise InvalidRequest([problem]) from error
        return _store(self.settings).location(uuid)

    def exists(self, uuid: str) -> bool:
        """Tell whether an instance has a drive.

        :raises StoreError: if what is in its place is none
        """
        location = self.location(uuid)
        return _store(self.settings).exists(location.uuid)

    def locked(self, uuid: str) -> AbstractContextManager[None]:
        """Hold an instance's ``domain`` lock, for as long as the context.

        A service that works on the instance's domain, and calls the other
        methods meanwhile, keeps others on this host from doing the same.

        :raises StoreError: on entry, if there is no place for locks
        """
        location = self.location(uuid)
        return _store(self.settings).locked(location.uuid, "domain")

    def destroy(self, uuid: str) -> bool:
        """Remove an instance's drive; tell whether there was one.

        :raises ConfigDriveError: if it can't be removed
        """
        location = self.location(uuid)
        store = _store(self.settings)
        with store.locked(location.uuid):
            existed = store.delete(location.uuid)
        what = "removed" if existed else "was not there"
        LOG.info("Config drive %s %s", location, what)
        return existed


def _store(settings: Settings) -> FileStore:
    return FileStore(settings.instances_path)


def _cache_mode(settings: Settings) -> str:
    if "file" in settings.cache_modes:
        return settings.cache_modes["file"]
    direct = supports_direct_io(settings.instances_path)
    return "none" if direct else "writeback"


def _static_vendor_data(settings: Settings) -> Any:
    path = settings.vendordata_jsonfile_path
    if not path or not settings.vendordata_static:
        return None
    lead = f"[api] vendordata_jsonfile_path={path}"
    try:
        with open(path, "rb") as file:
            data = file.read(settings.max_drive_size + 1)
    except OSError as error:
        raise InvalidConfiguration(
            f"{lead} can't be read: {error.strerror}"
        ) from error
    if len(data) > settings.max_drive_size:
        raise InvalidConfiguration(
            f"{lead} is larger than [cfgdrive_virt] max_drive_size allows a"
            f" drive, {settings.max_drive_size:,} bytes"
        )
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        # Its words say where; the error itself holds all of the file.
        raise InvalidConfiguration(f"{lead} is no JSON: {error}") from None
    try:
        return rules.vendor_data(document)
    except ValueError as error:
        raise InvalidConfiguration(f"{lead}: it {error}") from error


def _check_size(tree: MetadataTree, limit: int) -> None:
    # What several versions share is stored once.
    size = sum(map(len, set(tree.files.values())))
    if size <= limit:
        return
    by_size = sorted(
        tree.files, key=lambda path: len(tree.files[path]), reverse=True
    )
    biggest = ", ".join(
        f"{path} ({len(tree.files[path]):,} bytes)" for path in by_size[:3]
    )
    raise ImageError(
        f"the drive would hold {size:,} bytes, and [cfgdrive_virt]"
        f" max_drive_size allows {limit:,}; the biggest: {biggest}"
    )
