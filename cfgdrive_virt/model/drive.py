"""An image, and where it lives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from cfgdrive_virt.model.tree import MetadataTree

#: Nova's names: of a file in the instance's directory, and, after the UUID
#: and "_", of a volume.
NAME = "disk.config"
RESCUE_NAME = "disk.config.rescue"

ISO9660 = "iso9660"
VFAT = "vfat"

#: Images that were built here bear a mark: in the volume descriptor's
#: application identifier (ECMA-119, 8.4.22), in the unused boot code of VFAT.
BUILDER = b"CFGDRIVE_VIRT"
BUILDER_OFFSETS = {ISO9660: 16 * 2048 + 574, VFAT: 62}
#: Bytes from an image's start that tell whether it bears the mark.
HEAD_SIZE = 17 * 2048


def is_built_here(head: bytes) -> bool:
    """Tell whether an image was built here, from its first HEAD_SIZE bytes."""
    # Where ISO9660 has it, VFAT may have what a tenant wrote.
    image_format = VFAT if head[510:512] == b"\x55\xaa" else ISO9660
    return head.startswith(BUILDER, BUILDER_OFFSETS[image_format])


@dataclasses.dataclass(frozen=True, slots=True)
class Stamp:
    """What an image says of itself, beside its file system.

    It lies in the image, so that both are written, copied and lost at once.

    :param fingerprint: of the tree that went into it
    :param without: names of secrets that were left out of the tree
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
        return dataclasses.replace(self, tree=self.tree.below(prefixes))


@dataclasses.dataclass(frozen=True, slots=True)
class FileLocation:
    """A drive in a file of this host, or of a shared file system.

    :param uuid: the instance's
    """

    uuid: str
    path: Path

    @property
    def source(self) -> str:
        """Return what libvirt's ``<source>`` calls it."""
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
        """Return what libvirt's ``<source>`` calls it."""
        return f"{self.pool}/{self.name}"

    def __str__(self) -> str:
        return f"rbd:{self.source}"


Location = FileLocation | RbdLocation


def is_drive(source: str) -> bool:
    """Tell whether a domain's disk is a config drive, by nova's names."""
    name = source.rpartition("/")[2]
    return name == NAME or name.endswith(f"_{NAME}")


@dataclasses.dataclass(frozen=True, slots=True)
class Monitor:
    """A Ceph monitor's address; an IPv6 one without brackets."""

    host: str
    port: int


@dataclasses.dataclass(frozen=True, slots=True)
class StoredDrive:
    """A drive, or what a writer that was killed left of one, in a store.

    :param size: in bytes
    :param modified: in seconds since 1970; of a volume, when it was made
    :param ours: whether it bears our mark
    :param users: who holds it open, in words
    """

    location: Location
    size: int
    modified: float
    ours: bool
    users: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class CephAccess:
    """How QEMU gets at a Ceph cluster.

    :param monitors: at least one
    :param user: the client's name without ``client.``; None for a cluster
        that asks for no key
    :param secret_uuid: of the libvirt secret that holds the user's key
    """

    monitors: tuple[Monitor, ...]
    user: str | None = None
    secret_uuid: str | None = None
