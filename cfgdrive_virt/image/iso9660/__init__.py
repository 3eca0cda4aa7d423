"""ISO9660 with Rock Ridge and Joliet: a tree becomes an image, and back."""

from cfgdrive_virt.image.iso9660.reader import read, recognizes
from cfgdrive_virt.image.iso9660.writer import LAST_TIMESTAMP, build

__all__ = ["LAST_TIMESTAMP", "build", "read", "recognizes"]
