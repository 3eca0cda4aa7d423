"""Read a guest's drive through its host's libvirtd.

virDomainBlockPeek reads the file of a domain's disk, as root, whether or not
the domain is running.  It works on any connection that is allowed to change
domains.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import libvirt

from cfgdrive_virt.driver.instance_drive import Peek
from cfgdrive_virt.exception import DomainError
from cfgdrive_virt.libvirt_xml.domain import Domain
from cfgdrive_virt.model.drive import Location
from cfgdrive_virt.model.migration import MigratingDrive

#: Bytes per call; every version of libvirt accepts this many.
_STEP = 64 * 1024


def fetch_from(
    source: libvirt.virConnect, drive: MigratingDrive
) -> Iterator[bytes]:
    """Yield the bytes of a migrating guest's drive, in parts.

    :param source: a connection to the libvirtd of the host that the guest
        runs on; it has to stay open until the last part
    :param drive: its size has been checked
    :raises DomainError: if the drive can't be read
    """
    with _reading(drive.location):
        found = _find(source, drive.uuid, drive.location)
    if found is None:
        raise DomainError(
            f"no domain on the source host has the disk {drive.location}"
        )
    yield from _parts(*found, drive.location, drive.size)


def peek_by(connection: libvirt.virConnect) -> Peek:
    """Return a function that reads drives which this process may not read.

    libvirt changes the owner of a disk's file to QEMU's user while the guest
    runs, and does not restore the owner of a read-only disk afterwards
    (dynamic_ownership).  libvirt itself can read the file in either case.
    """

    def peek(location: Location, max_bytes: int) -> bytes | None:
        source = location.source
        with _reading(source):
            found = _find(connection, location.uuid, source)
            if found is None:
                return None
            domain, target = found
            size = int(domain.blockInfo(target)[0])
        if size > max_bytes:
            raise DomainError(
                f"can't read {source} through libvirt: it is larger than"
                f" {max_bytes:,} bytes"
            )
        return b"".join(_parts(domain, target, source, size))

    return peek


def _find(
    connection: libvirt.virConnect, uuid: str, source: str
) -> tuple[libvirt.virDomain, str] | None:
    """Return the domain with this disk, and the disk's target."""
    try:
        domain = connection.lookupByUUIDString(uuid)
        disk = Domain(domain.XMLDesc()).disk_of(source)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    return None if disk is None else (domain, disk.target)


def _parts(
    domain: libvirt.virDomain, target: str, source: str, size: int
) -> Iterator[bytes]:
    for at in range(0, size, _STEP):
        wanted = min(_STEP, size - at)
        with _reading(source):
            part: bytes = domain.blockPeek(target, at, wanted, 0)
        if len(part) != wanted:
            raise DomainError(
                f"can't read {source} through libvirt: it sent {len(part):,}"
                f" bytes instead of {wanted:,}"
            )
        yield part


@contextlib.contextmanager
def _reading(source: str) -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        raise DomainError(
            f"can't read {source} through libvirt: {error}"
        ) from error
