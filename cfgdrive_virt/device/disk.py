"""A location and a decision become libvirt's ``<disk>``.

Source: libvirt's domain XML format, "Hard drives, floppy disks, CDROMs".
"""

from __future__ import annotations

from lxml import etree

from cfgdrive_virt.model.decision import Decision
from cfgdrive_virt.model.drive import FileLocation


def disk_xml(
    location: FileLocation,
    decision: Decision,
    *,
    cache: str,
    discard: str | None = None,
) -> str:
    """Return the ``<disk>`` element, ready for a domain's ``<devices>``.

    :param cache: libvirt's cache mode, such as ``none``
    :param discard: ``unmap``, ``ignore`` or None for libvirt's default
    """
    disk = etree.Element("disk", type="file", device=decision.device)
    driver = etree.SubElement(
        disk, "driver", name="qemu", type="raw", cache=cache
    )
    if discard is not None:
        driver.set("discard", discard)
    etree.SubElement(disk, "source", file=str(location.path))
    etree.SubElement(disk, "target", dev=decision.target, bus=decision.bus)
    if decision.readonly:
        etree.SubElement(disk, "readonly")
    text: str = etree.tostring(disk, pretty_print=True, encoding="unicode")
    return text
