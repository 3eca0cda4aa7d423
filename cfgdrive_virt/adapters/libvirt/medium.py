"""The drive of a domain that runs, taken out and given back by libvirt.

A QEMU that has a file open goes on with the old one when it is replaced, and
a guest's caches know nothing of a volume that is written anew: so the guest
has to lose the drive, and to find it again.  libvirt takes an update with the
same source for none at all; a cdrom is really ejected, a disk detached.
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

#: Seconds from one look at the domain to the next.
_PAUSE = 0.2

#: QEMU's own words: the guest has been asked before, and takes its time.
#: Linux waits 5 seconds where a PCI port has a button (PCIe's own hotplug).
_PATIENCE = ("already in the process of unplug", "guest is busy")

#: QEMU may have a file open for a moment longer than the disk is there.
_STILL_OPEN = 'Failed to get "write" lock'

#: Where a guest's firmware resets the bus between two steps of libvirt, the
#: tray is closed, and libvirt takes it to be open for good.
_CLOSED_UNSEEN = "is not open"


class LibvirtMedium:
    """A config drive in a domain; its persistent configuration stays.

    To be used by one at a time.  A domain that doesn't run is left alone:
    its next start opens what is there then.

    :param disk_xml: the drive as the configuration has it: where it belongs
        if the domain doesn't tell; None where that isn't known
    :param force: eject a cdrom that the guest has locked, because it is
        mounted
    :param timeout: seconds that a guest has to let go of the drive; a cdrom
        is asked for at least once, which takes libvirt up to 5
    :param sleep: waits for so many seconds
    :param clock: tells the seconds that pass
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
        #: The drive as it was, address and all.
        self._taken: Disk | None = None
        #: The run of the domain that has been seen without it, None for a
        #: domain that didn't run, empty for what isn't known.
        self._run: str | None = ""

    def take(self) -> None:
        """Eject or detach the drive, and wait until it is gone.

        It may be out already.

        :raises DomainError: if something else has its place, the guest
            doesn't let go of it, or libvirt refuses; it is still in then.  A
            guest that answers late may yet lose it: :meth:`give` brings it
            back
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

        It may be in already.

        :raises DomainError: if something else has its place, or libvirt
            refuses; it is out then, and this may be repeated
        """
        with self._while_running("attach"):
            self._give()
        self._run = ""

    def _give(self) -> None:
        live = self._live()
        drive = live.disk_of(self._location.source)
        if drive is not None:
            # A run that began meanwhile may have opened the old content.
            fresh = self._run in ("", live.run)
            # A guest that was asked for it may open the tray too late.
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
        # Asked again and again: a guest that boots hears nothing yet, and a
        # tray may be locked for as long as it takes to read a file.
        while True:
            try:
                ask(xml, flags)
            except libvirt.libvirtError as error:
                # Who has let himself be asked once may be busy with that.
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
        """Return the empty cdrom that is to have the drive, if it is one."""
        slot = live.disk_at(wanted.target)
        if slot is None or (slot.is_cdrom and not slot.source):
            return slot
        raise DomainError(
            f"{wanted.target} of domain {self._domain.name()} is"
            f" {slot.source or 'another device'}, not drive"
            f" {self._location}; remove that device first"
        )

    def _wanted(self) -> Disk:
        """Return the drive as it was, or as it would be after a restart."""
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
    """There is no guest that could have the drive."""
