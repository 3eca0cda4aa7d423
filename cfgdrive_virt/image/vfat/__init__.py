"""VFAT, FAT12 or FAT16: a tree becomes an image, and back."""

from cfgdrive_virt.image.vfat.reader import read
from cfgdrive_virt.image.vfat.volume import recognizes
from cfgdrive_virt.image.vfat.writer import build

__all__ = ["build", "read", "recognizes"]
