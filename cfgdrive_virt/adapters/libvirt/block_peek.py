"""Read a guest's drive through its host's libvirtd.

virDomainBlockPeek reads the file of a domain's disk, as root, whether or not
the domain is running.  It works on any connection that is allowed to change
domains.
"""

from __future__ import annotations

import libvirt

from cfgdrive_virt.driver.instance_drive import Peek
from cfgdrive_virt.exception import DomainError
from cfgdrive_virt.libvirt_xml.domain import Domain
from cfgdrive_virt.model.drive import Location
from cfgdrive_virt.model.migration import MigratingDrive

#: Bytes per call; every version of libvirt accepts this many.
_STEP = 64 * 1024


def fetch_from(source: libvirt.virConnect, drive: MigratingDrive) -> bytes:
    """Return the bytes of a migrating guest's drive.

    :param source: a connection to the libvirtd of the host that the guest
        runs on
    :raises DomainError: if the drive can't be read
    """
    found = _peek(source, drive.uuid, drive.location, drive.size)
    if found is None:
        raise DomainError(
            f"no domain on the source host has the disk {drive.location}"
        )
    return found


def peek_by(connection: libvirt.virConnect) -> Peek:
    """Return a function that reads drives which this process may not read.

    libvirt changes the owner of a disk's file to QEMU's user while the guest
    runs, and does not restore the owner of a read-only disk afterwards
    (dynamic_ownership).  libvirt itself can read the file in either case.
    """

    def peek(location: Location, max_bytes: int) -> bytes | None:
        return _peek(
            connection, location.uuid, location.source, None, max_bytes
        )

    return peek


def _peek(
    connection: libvirt.virConnect,
    uuid: str,
    source: str,
    size: int | None,
    max_bytes: int = 0,
) -> bytes | None:
    lead = f"can't read {source} through libvirt"
    try:
        domain = connection.lookupByUUIDString(uuid)
        disk = Domain(domain.XMLDesc()).disk_of(source)
        if disk is None:
            return None
        if size is None:
            size = int(domain.blockInfo(disk.target)[0])
            if size > max_bytes:
                raise DomainError(
                    f"{lead}: it is larger than {max_bytes:,} bytes"
                )
        return b"".join(
            domain.blockPeek(disk.target, at, min(_STEP, size - at), 0)
            for at in range(0, size, _STEP)
        )
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise DomainError(f"{lead}: {error}") from error
