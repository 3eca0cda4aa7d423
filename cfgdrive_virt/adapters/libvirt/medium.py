"""Detach the drive of a running domain through libvirt, and attach it again.

QEMU keeps the old file open after the file has been replaced, and a guest's
caches do not notice that a volume has been rewritten.  So the guest has to
lose the drive and find it again.  libvirt ignores an update of a disk whose
source stays the same; therefore a cdrom is ejected and inserted, and any
other disk is detached and attached.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

import libvirt

from cfgdrive_virt.exception import DomainError
from cfgdrive_virt.libvirt_xml.domain import Disk, Domain
from cfgdrive_virt.model.drive import Location

LOG = logging.getLogger(__name__)

#: Seconds between two checks of the domain.
_PAUSE = 0.2

#: Parts of QEMU's error messages which mean that an earlier request to the
#: guest is still pending.  With native PCIe hotplug (ports that have an
#: attention button) Linux waits for 5 seconds.
_PATIENCE = ("already in the process of unplug", "guest is busy")

#: QEMU may keep a file open for a moment after its disk is gone.
_STILL_OPEN = 'Failed to get "write" lock'

#: If the guest's firmware resets the bus between two steps of libvirt, the
#: tray is closed, but libvirt keeps believing that it is open.
_CLOSED_UNSEEN = "is not open"


class LibvirtMedium:
    """A config drive in a running domain.

    Only the running domain changes, never its persistent configuration.  A
    domain that is not running is left alone: its next start opens the drive
    that is there then.  Not safe for use by two callers at once.

    :param disk_xml: the drive as the configuration has it; names the device
        if the domain's XML doesn't.  None if it is not known
    :param force: eject a cdrom even if the guest has mounted it, which locks
        the tray
    :param timeout: seconds that the guest has to release the drive.  A cdrom
        is ejected at least once, which takes libvirt up to 5 seconds
    :param sleep: waits for a number of seconds
    :param clock: returns seconds, from any starting point
    """

    def __init__(
        self,
        domain: libvirt.virDomain,
        location: Location,
        disk_xml: str | None,
        *,
        force: bool = False,
        timeout: float = 30,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._domain = domain
        self._location = location
        self._planned = None if disk_xml is None else Disk(disk_xml)
        self._force = force
        self._timeout = timeout
        self._sleep = sleep
        self._clock = clock
        #: The drive as it was before take(), including its address.
        self._taken: Disk | None = None
        #: The run of the domain during which take() saw that the drive was
        #: gone; None if the domain was not running, empty if not known.
        self._run: str | None = ""

    def take(self) -> None:
        """Eject or detach the drive, and wait until it is gone.

        Do nothing if the domain does not have the drive.

        :raises DomainError: if another device has its place, the guest does
            not release it, or libvirt refuses.  The guest still has the drive
            then, but may lose it later if it responds late: :meth:`give`
            brings it back
        """
        run = None
        with self._while_running("detach"):
            live = self._live()
            drive = live.disk_of(self._location.source)
            if drive is None:
                self._slot(live, self._wanted())
            else:
                self._remove(drive)
            run = live.run
        self._run = run

    def give(self) -> None:
        """Insert or attach the drive where it was.

        Do nothing if the domain already has the current drive.

        :raises DomainError: if another device has its place, or libvirt
            refuses.  The guest is without the drive then; this method may be
            called again
        """
        with self._while_running("attach"):
            self._give()
        self._run = ""

    def _give(self) -> None:
        live = self._live()
        drive = live.disk_of(self._location.source)
        if drive is not None:
            # If the domain was started in between, it may have opened the
            # old content.
            fresh = self._run in ("", live.run)
            # A guest that responds late to an eject may have opened the tray.
            if fresh and not drive.tray_is_open:
                return
            self._remove(drive)
            live = self._live()
        wanted = self._wanted()
        slot = self._slot(live, wanted)
        if slot is None:
            xml, ask = str(wanted), self._domain.attachDeviceFlags
        else:
            xml = str(slot.filled(wanted))
            ask = self._domain.updateDeviceFlags
        end = self._clock() + self._timeout
        while True:
            try:
                ask(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
                break
            except libvirt.libvirtError as error:
                if _STILL_OPEN not in str(error) or self._clock() >= end:
                    raise
            self._sleep(_PAUSE)
        LOG.info(
            "Attached config drive %s as %s", self._location, wanted.target
        )

    def _remove(self, drive: Disk) -> None:
        self._taken = drive
        flags = libvirt.VIR_DOMAIN_AFFECT_LIVE
        if drive.is_cdrom:
            if self._force:
                flags |= libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
            xml, ask = str(drive.emptied()), self._domain.updateDeviceFlags
        else:
            xml, ask = str(drive), self._domain.detachDeviceFlags
        refusal, asked = None, False
        end = self._clock() + self._timeout
        # Repeat the request: a guest that is booting ignores it, and a tray
        # may be locked only while the guest reads a file.
        while True:
            try:
                ask(xml, flags)
            except libvirt.libvirtError as error:
                # After one accepted request, an error may only mean that
                # the guest is still busy with it.
                if not asked and not self._may_pass(error, drive):
                    raise
                refusal = error
            else:
                asked = True
            if self._live().disk_of(self._location.source) is None:
                break
            if self._clock() >= end:
                raise DomainError(self._kept(drive, refusal)) from refusal
            self._sleep(_PAUSE)
        LOG.info(
            "Detached config drive %s from %s", self._location, drive.target
        )

    def _may_pass(self, error: libvirt.libvirtError, drive: Disk) -> bool:
        if any(words in str(error) for words in _PATIENCE):
            return True
        code = error.get_error_code()
        if drive.is_cdrom:
            locked = libvirt.VIR_ERR_OPERATION_FAILED
            return bool(code == locked and not self._force)
        return bool(code == libvirt.VIR_ERR_DEVICE_MISSING)

    def _kept(self, drive: Disk, refusal: libvirt.libvirtError | None) -> str:
        said = "" if refusal is None else f" ({refusal})"
        lead = (
            f"the guest of domain {self._domain.name()} did not release"
            f" {drive.target} (drive {self._location}) within"
            f" {self._timeout:g} seconds{said}"
        )
        if not drive.is_cdrom:
            return (
                f"{lead}; it may still do so later, and is then without its"
                " drive. A guest that is paused, hangs, or has no PCI hotplug"
                " does not respond: try again when it responds, or shut it"
                " down"
            )
        return (
            f"{lead}: the guest has probably mounted it, which locks the"
            " tray. Unmount it in the guest, or force the ejection"
        )

    def _slot(self, live: Domain, wanted: Disk) -> Disk | None:
        """Return the empty cdrom that the drive goes into; None for a disk."""
        slot = live.disk_at(wanted.target)
        if slot is None or (slot.is_cdrom and not slot.source):
            return slot
        raise DomainError(
            f"{wanted.target} of domain {self._domain.name()} is"
            f" {slot.source or 'another device'}, not drive"
            f" {self._location}; remove that device first"
        )

    def _wanted(self) -> Disk:
        """Return the drive as it was, or as the next start would have it."""
        if self._taken is not None:
            return self._taken
        xml = self._domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        found = Domain(xml).disk_of(self._location.source) or self._planned
        if found is None:
            raise DomainError(
                f"domain {self._domain.name()} has no drive {self._location},"
                " and its XML does not name a device for it; refresh the"
                " drive with the instance's request, or shut the domain down"
            )
        return found

    def _live(self) -> Domain:
        live = Domain(self._domain.XMLDesc())
        if live.run is None:
            raise _NotRunning
        return live

    @contextlib.contextmanager
    def _while_running(self, what: str) -> Iterator[None]:
        try:
            yield
        except _NotRunning:
            LOG.debug("Domain of %s is not running", self._location)
        except libvirt.libvirtError as error:
            if self._has_ended():
                return
            advice = (
                "; restart libvirt's daemon: it then checks the tray again,"
                " and the guest keeps running"
            )
            raise DomainError(
                f"can't {what} drive {self._location}: {error}"
                f"{advice if _CLOSED_UNSEEN in str(error) else ''}"
            ) from error

    def _has_ended(self) -> bool:
        try:
            return not self._domain.isActive()
        except libvirt.libvirtError as error:
            return bool(error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)


class _NotRunning(Exception):
    """The domain is not running, so no guest has the drive."""
