"""An image, and where it lives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

#: Readers look a drive up by this label, in lower case.
LABEL = "config-2"

ISO9660 = "iso9660"
VFAT = "vfat"


@dataclasses.dataclass(frozen=True, slots=True)
class DriveImage:
    """The bytes of a drive, in one of the formats."""

    format: str
    data: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class FileLocation:
    """A drive in a file of this host, or of a shared file system.

    :param uuid: the instance's
    """

    uuid: str
    path: Path

    def __str__(self) -> str:
        return str(self.path)
