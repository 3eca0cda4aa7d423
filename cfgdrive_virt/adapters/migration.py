"""Fetch a migrating guest's drive through its host's libvirtd."""

from __future__ import annotations

import libvirt

from cfgdrive_virt.device.domain import Domain
from cfgdrive_virt.exception import DomainError
from cfgdrive_virt.model.migration import MigratingDrive

#: What virDomainBlockPeek promises to carry in one call.
_STEP = 64 * 1024


def fetch_from(source: libvirt.virConnect, drive: MigratingDrive) -> bytes:
    """Return the bytes of a running guest's drive.

    :param source: a connection to the libvirtd that the guest runs on
    :raises DomainError: if it can't be read
    """
    try:
        domain = source.lookupByUUIDString(drive.uuid)
        disk = Domain(domain.XMLDesc()).disk_of(drive.location)
        if disk is None:
            raise DomainError(
                f"domain {domain.name()} has no disk {drive.location}"
            )
        return b"".join(
            domain.blockPeek(disk.target, at, min(_STEP, drive.size - at), 0)
            for at in range(0, drive.size, _STEP)
        )
    except libvirt.libvirtError as error:
        raise DomainError(
            f"can't read {drive.location} of the source: {error}"
        ) from error
