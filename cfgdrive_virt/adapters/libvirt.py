"""A plain compute service on libvirt: define, build the drive, start.

libvirt's only importer.  What goes wrong on the way is undone: no domain and
no drive is left that wasn't there before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator

import libvirt

from cfgdrive_virt.device.domain import MARK, Domain, small_domain
from cfgdrive_virt.driver import ConfigDriveDriver, Drive, Plan
from cfgdrive_virt.exception import DomainError
from cfgdrive_virt.model.request import ConfigDriveRequest

LOG = logging.getLogger(__name__)

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


@dataclasses.dataclass(frozen=True, slots=True)
class Spawned:
    """A running domain, by name, and its drive if it has one."""

    domain: str
    plan: Plan
    drive: Drive | None


@dataclasses.dataclass(frozen=True, slots=True)
class Destroyed:
    """What there was to remove."""

    domain: bool
    drive: bool


@contextlib.contextmanager
def connected(uri: str) -> Iterator[libvirt.virConnect]:
    """Connect to a libvirt for a while.

    :raises DomainError: if it can't be reached
    """
    # libvirt prints its errors by itself unless somebody takes them.
    libvirt.registerErrorHandler(lambda *_: None, None)
    with _explained(f"can't connect to {uri}"):
        connection = libvirt.open(uri)
    try:
        yield connection
    finally:
        connection.close()


class LibvirtService:
    """Spawn and destroy instances on one libvirt."""

    def __init__(
        self, connection: libvirt.virConnect, driver: ConfigDriveDriver
    ) -> None:
        self._connection = connection
        self._driver = driver

    def spawn(
        self,
        request: ConfigDriveRequest,
        domain_xml: str | bytes | None = None,
        *,
        rebuild: bool = False,
    ) -> Spawned:
        """Start a domain with its config drive.

        :param domain_xml: the domain, without the drive; its name and UUID
            may be left out.  By default a small one that boots nothing
        :param rebuild: replace a drive that is there
        :raises DomainError: if the instance has a domain already, or
            libvirt refuses; nothing is left behind
        """
        virt_type = self._driver.settings.virt_type
        domain = Domain(domain_xml or small_domain(request, virt_type))
        guest = domain.complete(request, self._driver.guest(request))
        plan = self._driver.plan(request, guest)
        if plan.disk_xml is not None:
            domain.add_disk(plan.disk_xml)
        if self._lookup(request.uuid) is not None:
            raise DomainError(
                f"instance {request.uuid} has a domain already; destroy it"
                " first"
            )
        with _explained(f"can't define the domain of {request.uuid}"):
            defined = self._connection.defineXML(str(domain))
        drive = None
        try:
            with _explained(f"can't start domain {defined.name()}"):
                devices = Domain(defined.XMLDesc()).locate(request.devices)
                drive = self._driver.spawn(
                    request.with_devices(devices), guest, rebuild=rebuild
                )
                defined.create()
        except BaseException:
            self._undo(defined, request.uuid, drive)
            raise
        LOG.info("Domain %s of %s started", defined.name(), request.uuid)
        return Spawned(defined.name(), plan, drive)

    def destroy(self, uuid: str) -> Destroyed:
        """Stop and undefine an instance's domain, and remove its drive.

        :raises DomainError: if the domain isn't one that :meth:`spawn`
            made, or libvirt refuses
        """
        uuid = self._driver.location(uuid).uuid
        domain = self._lookup(uuid)
        if domain is not None:
            with _explained(f"can't remove domain {domain.name()}"):
                _refuse_foreign(domain)
                _remove(domain)
        return Destroyed(domain is not None, self._driver.destroy(uuid))

    def _lookup(self, uuid: str) -> libvirt.virDomain | None:
        with _explained(f"can't look up {uuid}"):
            try:
                return self._connection.lookupByUUIDString(uuid)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
        return None

    def _undo(
        self, domain: libvirt.virDomain, uuid: str, drive: Drive | None
    ) -> None:
        """Remove what a failed spawn made; log what can't be removed."""
        try:
            _remove(domain)
            if drive is not None and drive.built:
                self._driver.destroy(uuid)
        except Exception:
            LOG.exception("Undoing the spawn of %s failed", uuid)


def _remove(domain: libvirt.virDomain) -> None:
    if domain.isActive():
        domain.destroy()
    domain.undefineFlags(_UNDEFINE)


def _refuse_foreign(domain: libvirt.virDomain) -> None:
    try:
        domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, MARK)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            raise
        raise DomainError(
            f"domain {domain.name()} wasn't spawned by cfgdrive_virt; if it"
            " is to go, remove it with virsh"
        ) from error


@contextlib.contextmanager
def _explained(lead: str) -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        raise DomainError(f"{lead}: {error}") from error
