"""An image, and its location."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from cfgdrive_virt.model.tree import MetadataTree

#: Nova's names: of a file in the instance's directory, and, after the UUID
#: and "_", of a volume.
NAME = "disk.config"
RESCUE_NAME = "disk.config.rescue"
#: Nova's suffix for an instance's directory during a resize.
RESIZE_SUFFIX = "_resize"

ISO9660 = "iso9660"
VFAT = "vfat"

#: The builder that an image carries in its header if we built it: in ISO9660
#: the volume descriptor's application identifier (ECMA-119, 8.4.22), in VFAT
#: a part of the unused boot code.
BUILDER = b"CFGDRIVE_VIRT"
BUILDER_OFFSETS = {ISO9660: 16 * 2048 + 574, VFAT: 62}
#: Bytes at the start of an image that is_built_here needs.
HEAD_SIZE = 17 * 2048


def is_built_here(head: bytes) -> bool:
    """Tell whether an image was built here, from its first HEAD_SIZE bytes."""
    # At ISO9660's offset, a VFAT image may have data of the tenant.
    image_format = VFAT if head[510:512] == b"\x55\xaa" else ISO9660
    return head.startswith(BUILDER, BUILDER_OFFSETS[image_format])


@dataclasses.dataclass(frozen=True, slots=True)
class Stamp:
    """What an image says about itself, beside its file system.

    It is a part of the image, so that both are written, copied and lost
    together.

    :param fingerprint: of the tree that the image was built from
    :param without: names of the secrets that were left out of the tree
    """

    fingerprint: str
    without: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class DriveImage:
    """The bytes of a drive, in one of the formats."""

    format: str
    data: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Contents:
    """What an image holds, as read back from its bytes.

    :param ours: whether cfgdrive_virt built the image
    :param stamp: None if the image has none
    """

    format: str
    label: str
    ours: bool
    tree: MetadataTree
    stamp: Stamp | None = None

    @property
    def is_as_built(self) -> bool:
        """Return whether the tree is the one that was built; True if unknown.

        A guest that may write to its drive may add files: see :meth:`below`.
        """
        return (
            self.stamp is None
            or self.stamp.fingerprint == self.tree.fingerprint
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return the names of secrets that were left out of the tree."""
        return self.stamp.without if self.stamp else ()

    def below(self, prefixes: tuple[str, ...]) -> Contents:
        """Return the contents, with these files of the tree only."""
        tree = self.tree.below(prefixes)
        return (
            self if tree is self.tree else dataclasses.replace(self, tree=tree)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class FileLocation:
    """A drive in a file, on this host or on a shared file system.

    :param uuid: the instance's
    """

    uuid: str
    path: Path

    @property
    def source(self) -> str:
        """Return the drive's name in libvirt's ``<source>``."""
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


@dataclasses.dataclass(frozen=True, slots=True)
class RbdLocation:
    """A drive in a volume (RBD's word: image) of a Ceph pool.

    :param uuid: the instance's
    """

    uuid: str
    pool: str
    name: str

    @property
    def source(self) -> str:
        """Return the drive's name in libvirt's ``<source>``."""
        return f"{self.pool}/{self.name}"

    def __str__(self) -> str:
        return f"rbd:{self.source}"


Location = FileLocation | RbdLocation


def is_drive(source: str) -> bool:
    """Tell by its name whether a domain's disk is a config drive."""
    name = source.rpartition("/")[2]
    return name == NAME or name.endswith(f"_{NAME}")


@dataclasses.dataclass(frozen=True, slots=True)
class Monitor:
    """A Ceph monitor's address; IPv6 addresses have no brackets."""

    host: str
    port: int


@dataclasses.dataclass(frozen=True, slots=True)
class StoredDrive:
    """A drive, or the leftover of a killed writer, in a store.

    :param size: in bytes
    :param modified: in seconds since 1970; for a volume, its creation time
    :param ours: whether it carries our builder
    :param users: the clients that have it open, in words
    :param problem: why it can't be accessed; then only the location is known.
        Empty if it can be
    """

    location: Location
    size: int
    modified: float
    ours: bool
    users: tuple[str, ...]
    problem: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class CephAccess:
    """How QEMU accesses a Ceph cluster.

    :param monitors: at least one
    :param user: the client's name without ``client.``; None for a cluster
        without authentication
    :param secret_uuid: of the libvirt secret with the user's key
    """

    monitors: tuple[Monitor, ...]
    user: str | None = None
    secret_uuid: str | None = None
