"""A small compute service on libvirt: define, build the drive, start.

If a step fails, the steps before it are undone: no domain and no drive is
left that did not exist before.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection

import libvirt

from cfgdrive_virt.adapters.libvirt.block_peek import peek_by
from cfgdrive_virt.adapters.libvirt.connection import explained
from cfgdrive_virt.adapters.libvirt.medium import LibvirtMedium
from cfgdrive_virt.driver.driver import ConfigDriveDriver, Drive, Plan
from cfgdrive_virt.exception import ConfigDriveError, DomainError
from cfgdrive_virt.libvirt_xml.domain import NAMESPACE, Domain, small_domain
from cfgdrive_virt.model.drive import Location, is_drive
from cfgdrive_virt.model.request import ConfigDriveRequest

LOG = logging.getLogger(__name__)

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


@dataclasses.dataclass(frozen=True, slots=True)
class Spawned:
    """A running domain, by name, and its drive; None if it has none."""

    domain: str
    plan: Plan
    drive: Drive | None


@dataclasses.dataclass(frozen=True, slots=True)
class Destroyed:
    """Whether there was a domain, and a drive, to remove."""

    domain: bool
    drive: bool


class LibvirtService:
    """Spawn and destroy instances on one libvirt."""

    def __init__(
        self, connection: libvirt.virConnect, driver: ConfigDriveDriver
    ) -> None:
        self._connection = connection
        self._driver = driver.reading_by(peek_by(connection))

    def spawn(
        self,
        request: ConfigDriveRequest,
        domain_xml: str | bytes | None = None,
        *,
        rebuild: bool = False,
    ) -> Spawned:
        """Define and start a domain with its config drive.

        :param domain_xml: XML of the domain, without the drive; its name and
            UUID may be left out.  Default: a small domain that boots nothing
        :param rebuild: replace an existing drive
        :raises DomainError: if the instance already has a domain, or libvirt
            refuses.  No domain and no drive is left then that did not exist
            before, or the error says what may be left
        """
        if domain_xml is None:
            virt_type = self._driver.settings.virt_type
            domain_xml = small_domain(request, virt_type)
        domain = Domain(domain_xml)
        machine = domain.complete(request, self._driver.machine(request))
        plan = self._driver.plan(request, machine)
        for device_xml in (plan.controller_xml, plan.disk_xml):
            if device_xml is not None:
                domain.add_device(device_xml)
        # defineXML would redefine an existing domain: check and define under
        # one lock.
        with self._driver.locked(request.uuid):
            if self._lookup(request.uuid) is not None:
                raise DomainError(
                    f"instance {request.uuid} already has a domain; destroy"
                    " it first"
                )
            # An instance that needs no drive must not depend on the store.
            had_drive = plan.location is None or self._driver.exists(
                request.uuid
            )
            try:
                with explained(f"can't define domain of {request.uuid}"):
                    defined = self._connection.defineXML(str(domain))
                prepare = (
                    self._driver.rebuild if rebuild else self._driver.spawn
                )
                with explained(f"can't start domain {defined.name()}"):
                    drive = prepare(
                        request, machine, domain_xml=defined.XMLDesc()
                    )
                    defined.create()
            except BaseException as error:
                self._undo(request.uuid, error, had_drive=had_drive)
                raise
        LOG.info(
            "Started domain %s of instance %s", defined.name(), request.uuid
        )
        return Spawned(defined.name(), plan, drive)

    def destroy(self, uuid: str) -> Destroyed:
        """Stop and undefine an instance's domain, and remove its drive.

        :raises DomainError: if :meth:`spawn` did not make the domain, or
            libvirt refuses
        """
        location = self._driver.location(uuid)
        uuid = location.uuid
        with self._driver.locked(uuid):
            domain = self._lookup(uuid)
            if domain is not None:
                with explained(f"can't remove domain {domain.name()}"):
                    _refuse_foreign(domain, location)
                    _remove(domain)
            return Destroyed(domain is not None, self._driver.destroy(uuid))

    def refresh(
        self, request: ConfigDriveRequest, *, force: bool = False
    ) -> Drive | None:
        """Bring an instance's drive up to date, also in a running domain.

        :param force: eject a cdrom even if the guest has mounted it
        :raises ConfigDriveError: if that fails.  A running guest still has
            its old drive then, unless the error says otherwise
        """
        plan = self._driver.plan(request)
        with self._driver.locked(request.uuid):
            medium = self._medium(request.uuid, plan.disk_xml, force=force)
            return self._driver.refresh(request, medium)

    def forget_secrets(
        self,
        uuid: str,
        names: Collection[str] | None = None,
        *,
        force: bool = False,
    ) -> Drive:
        """Remove secrets from an instance's drive, also in a running domain.

        :param names: the secrets; default: ``[cfgdrive_virt]
            one_shot_secrets``
        :param force: as for :meth:`refresh`
        :raises ConfigDriveError: as :meth:`refresh`
        """
        with self._driver.locked(uuid):
            medium = self._medium(uuid, None, force=force)
            return self._driver.forget_secrets(uuid, medium, names=names)

    def _medium(
        self, uuid: str, disk_xml: str | None, *, force: bool
    ) -> LibvirtMedium | None:
        location = self._driver.location(uuid)
        domain = self._lookup(location.uuid)
        if domain is None:
            return None
        with explained(f"can't read the XML of domain {domain.name()}"):
            xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        _refuse_another_drive(xml, domain.name(), location)
        return LibvirtMedium(domain, location, disk_xml, force=force)

    def _lookup(self, uuid: str) -> libvirt.virDomain | None:
        with explained(f"can't look up domain {uuid}"):
            try:
                return self._connection.lookupByUUIDString(uuid)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
        return None

    def _undo(
        self, uuid: str, error: BaseException, *, had_drive: bool
    ) -> None:
        """Remove the domain and the drive of a failed spawn.

        libvirt is asked whether there is a domain: a signal may have arrived
        after a call had done its work, but before it returned.

        :raises DomainError: if something may be left; its text says what.
            After a signal, that is logged instead
        """
        left = []
        try:
            with explained("libvirt"):
                domain = self._lookup(uuid)
                # libvirt refused to start the domain, but it is running:
                # somebody else has started it in between, so it and its drive
                # are in use.
                refused = isinstance(error, DomainError)
                if domain is not None:
                    _refuse_foreign(domain, self._driver.location(uuid))
                    if domain.isActive() and refused:
                        raise DomainError(
                            "it is running, so it was not removed"
                        )
                    _remove(domain)
        except DomainError as problem:
            left.append(f"the domain and its drive ({problem})")
        try:
            if not had_drive and not left:
                self._driver.destroy(uuid)
        except ConfigDriveError as problem:
            left.append(f"the drive ({problem})")
        if not left:
            return
        remains = f"may still exist: {' and '.join(left)}"
        if not isinstance(error, Exception):
            # A signal: the caller raises it again for its exit code.
            LOG.error("Interrupted; %s", remains)
            return
        raise DomainError(f"{error}; {remains}") from error


def _remove(domain: libvirt.virDomain) -> None:
    """Stop and undefine a domain; ignore one that does not exist."""
    try:
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(_UNDEFINE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise


def _refuse_foreign(domain: libvirt.virDomain, location: Location) -> None:
    try:
        domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            raise
        raise DomainError(
            f"domain {domain.name()} was not spawned by cfgdrive_virt; to"
            " remove it, use virsh"
        ) from error
    _refuse_another_drive(domain.XMLDesc(), domain.name(), location)


def _refuse_another_drive(xml: str, name: str, location: Location) -> None:
    for source in Domain(xml).disk_sources():
        if is_drive(source) and source != location.source:
            raise DomainError(
                f"the drive of domain {name} is {source}, but the"
                f" configuration says {location}; use the configuration that"
                " the domain was spawned with"
            )
