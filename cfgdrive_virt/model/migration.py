"""What the two hosts of a live migration tell each other of a drive.

Plain values, for a service to send in whatever form it has.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class DestinationCheck:
    """Where a host would have an instance's drive.

    :param uuid: the instance's
    :param location: the drive's, as a text
    :param cluster: the fsid of the Ceph cluster; None for a file
    :param token: what is in a file in instances_path, so that another host
        can tell whether it has the same one; None for Ceph
    """

    uuid: str
    location: str
    cluster: str | None
    token: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class MigratingDrive:
    """An instance's drive as it was when its migration began.

    :param uuid: the instance's
    :param location: the same on both hosts, as a text
    :param shared: whether both hosts see one drive: then nothing is carried
        and nothing removed, and size and sum are 0 and empty
    :param readonly: whether libvirt leaves it alone; what is writable it
        copies over once more
    :param size: in bytes
    :param sha256: of the bytes, in hex
    """

    uuid: str
    location: str
    shared: bool
    readonly: bool
    size: int = 0
    sha256: str = ""
