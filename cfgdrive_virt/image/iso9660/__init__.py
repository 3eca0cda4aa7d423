"""ISO9660 with Rock Ridge and Joliet: a tree becomes an image, and back."""

from __future__ import annotations

from cfgdrive_virt.image.iso9660 import reader
from cfgdrive_virt.image.iso9660.reader import recognizes
from cfgdrive_virt.image.iso9660.template import TEMPLATES
from cfgdrive_virt.image.iso9660.writer import LAST_TIMESTAMP, build, remember
from cfgdrive_virt.model.drive import Contents

__all__ = ["LAST_TIMESTAMP", "build", "read", "recognizes", "remember"]


def read(data: bytes) -> Contents:
    """Return the contents of an image.

    :raises ImageError: as :func:`reader.read`
    """
    return TEMPLATES.read(data) or reader.read(data)
