"""What the two hosts of a live migration tell each other of a drive.

Plain values, for a service to send in whatever form it has.
"""

from __future__ import annotations

import dataclasses
import hashlib


@dataclasses.dataclass(frozen=True, slots=True)
class DestinationCheck:
    """Where a host would have an instance's drive.

    :param uuid: the instance's
    :param locations: where a drive may be, as texts
    :param cluster: the fsid of the Ceph cluster; None where there is none
    :param test_file: name of the shared storage test file below
        instances_path, by which the source finds out whether it sees the same
    """

    uuid: str
    locations: tuple[str, ...]
    cluster: str | None
    test_file: str


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
    :param inode: of the source's file: no other is removed from there
    """

    uuid: str
    location: str
    shared: bool
    readonly: bool
    size: int = 0
    sha256: str = ""
    inode: int = 0

    def is_same(self, data: bytes) -> bool:
        """Tell whether these are the bytes that the source had."""
        return len(data) == self.size and sum_of(data) == self.sha256

    def has_arrived(self, data: bytes | None) -> bool:
        """Tell whether a guest that has come finds its drive in these bytes.

        What is writable it may have changed on its way, but not to zeros.
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
