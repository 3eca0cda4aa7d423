"""What the two hosts of a live migration tell each other about a drive.

Plain values, which a compute service sends in a form of its choice.
"""

from __future__ import annotations

import dataclasses
import hashlib


@dataclasses.dataclass(frozen=True, slots=True)
class DestinationCheck:
    """Where the destination would have an instance's drive.

    :param uuid: the instance's
    :param locations: the possible locations, as strings
    :param cluster: the fsid of the Ceph cluster; None without one
    :param test_file: name of the shared storage test file below
        instances_path; if the source sees it, both hosts share storage
    """

    uuid: str
    locations: tuple[str, ...]
    cluster: str | None
    test_file: str


@dataclasses.dataclass(frozen=True, slots=True)
class MigratingDrive:
    """An instance's drive as it was when its migration began.

    :param uuid: the instance's
    :param location: the same on both hosts, as a string
    :param shared: whether both hosts share the drive: then it is neither
        transferred nor removed, and size is 0 and sha256 empty
    :param readonly: whether the guest has it read-only: libvirt copies only
        writable drives, over the transferred one
    :param size: in bytes
    :param sha256: of the bytes, in hex
    :param inode: of the source's file; only this file is removed there
    """

    uuid: str
    location: str
    shared: bool
    readonly: bool
    size: int = 0
    sha256: str = ""
    inode: int = 0

    def is_same(self, data: bytes) -> bool:
        """Tell whether the source had these bytes."""
        return len(data) == self.size and sum_of(data) == self.sha256

    def has_arrived(self, data: bytes | None) -> bool:
        """Tell whether these bytes are the drive of a migrated guest.

        The guest may have changed a writable drive meanwhile, but not to
        zeros.
        """
        if data is None:
            return False
        if not self.shared and self.is_same(data):
            return True
        zeros = data.count(0) == len(data)
        if self.shared or zeros:
            return not zeros
        return not self.readonly and len(data) == self.size


def sum_of(data: bytes) -> str:
    """Return the SHA-256 sum of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()
