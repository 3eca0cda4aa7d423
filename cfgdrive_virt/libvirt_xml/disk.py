"""A location and a decision become libvirt's ``<disk>`` and ``<controller>``.

Source: libvirt's domain XML format, "Hard drives, floppy disks, CDROMs" and
"Controllers".
"""

from __future__ import annotations

from lxml import etree

from cfgdrive_virt.model.decision import Decision
from cfgdrive_virt.model.drive import CephAccess, Location, RbdLocation
from cfgdrive_virt.model.machine import Controller


def disk_xml(
    location: Location,
    decision: Decision,
    *,
    cache: str,
    discard: str | None = None,
    ceph: CephAccess | None = None,
) -> str:
    """Return the ``<disk>`` element, ready for a domain's ``<devices>``.

    :param cache: libvirt's cache mode, such as ``none``
    :param discard: ``unmap``, ``ignore`` or None for libvirt's default
    :param ceph: required for a drive in RBD
    """
    kind = "network" if isinstance(location, RbdLocation) else "file"
    disk = etree.Element("disk", type=kind, device=decision.device)
    driver = etree.SubElement(
        disk, "driver", name="qemu", type="raw", cache=cache
    )
    if discard is not None:
        driver.set("discard", discard)
    if isinstance(location, RbdLocation):
        assert ceph is not None
        _add_rbd_source(disk, location, ceph)
    else:
        etree.SubElement(disk, "source", file=location.source)
    etree.SubElement(disk, "target", dev=decision.target, bus=decision.bus)
    if decision.readonly:
        etree.SubElement(disk, "readonly")
    text: str = etree.tostring(disk, pretty_print=True, encoding="unicode")
    return text


def controller_xml(controller: Controller) -> str:
    """Return the ``<controller>`` element for a domain's ``<devices>``."""
    element = etree.Element(
        "controller", type=controller.type, index=str(controller.index)
    )
    if controller.model is not None:
        element.set("model", controller.model)
    text: str = etree.tostring(element, pretty_print=True, encoding="unicode")
    return text


def _add_rbd_source(
    disk: etree._Element, location: RbdLocation, ceph: CephAccess
) -> None:
    if ceph.user is not None:
        auth = etree.SubElement(disk, "auth", username=ceph.user)
        etree.SubElement(
            auth, "secret", type="ceph", uuid=str(ceph.secret_uuid)
        )
    source = etree.SubElement(
        disk, "source", protocol="rbd", name=location.source
    )
    for monitor in ceph.monitors:
        etree.SubElement(
            source, "host", name=monitor.host, port=str(monitor.port)
        )
