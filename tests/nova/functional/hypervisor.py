"""nova's fake libvirt, with what libvirt does to disks.

nova's fake forgets most of what a ``<disk>`` says, and migrates nothing.  Here
a domain's disks are as they were defined, with what libvirt adds to them; and
a migration does with each disk's file what libvirt 9.0 does.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fixtures
from compute_hosts import Host, Hosts
from lxml import etree
from nova.tests.fixtures import libvirt as fakelibvirt

#: VIR_MIGRATE_NON_SHARED_DISK, which nova's fake lacks, and _INC.
_BLOCK_MIGRATION = 64 | 128

_parse_disk = fakelibvirt._parse_disk_info
_describe = fakelibvirt.Domain.XMLDesc
_define = fakelibvirt.Connection.defineXML


class Hypervisor(fixtures.Fixture):
    """Patch nova's fake libvirt.

    :param connection_of: returns a host's connection
    """

    def __init__(
        self, hosts: Hosts, connection_of: Callable[[str], Any]
    ) -> None:
        super().__init__()
        self._hosts = hosts
        self._connection_of = connection_of
        #: Guests that moved, as (uuid, from, to).
        self.moved: list[tuple[str, str, str]] = []
        #: Called while a guest is on its way; may raise libvirtError.
        self.on_the_way: Callable[[], None] = lambda: None

    def _setUp(self) -> None:  # noqa: N802  (so it is called)
        def migrate(dom: Any, uri: str, params: Any, flags: int) -> None:
            try:
                self._move(dom, urlsplit(uri).hostname or "", params, flags)
            except fakelibvirt.libvirtError:
                dom.fail_job()
                raise
            dom.complete_job()

        for owner, name, new in (
            (fakelibvirt, "_parse_disk_info", _parse_disk_keeping_all),
            (fakelibvirt.Connection, "defineXML", _define_again),
            (fakelibvirt.Domain, "XMLDesc", _describe_with_disks),
            (fakelibvirt.Domain, "blockInfo", _block_info),
            (fakelibvirt.Domain, "blockPeek", _block_peek),
            (fakelibvirt.Domain, "migrateToURI3", migrate),
        ):
            if hasattr(owner, name):
                self.addCleanup(setattr, owner, name, getattr(owner, name))
            else:
                self.addCleanup(delattr, owner, name)
            setattr(owner, name, new)

    def knows(self, host: str, uuid: str) -> bool:
        """Tell whether a host has an instance's domain."""
        domains = self._connection_of(host)._vms.values()
        return any(domain.UUIDString() == uuid for domain in domains)

    def disks(self, host: str, uuid: str) -> list[Any]:
        """Return the <disk> elements of an instance's domain."""
        domain = self._connection_of(host).lookupByUUIDString(uuid)
        return list(etree.fromstring(domain.XMLDesc(0)).iterfind(".//disk"))

    def _move(self, dom: Any, to: str, params: Any, flags: int) -> None:
        source = self._hosts.by_address(dom._connection.hostname)
        destination = self._hosts.by_address(to)
        xml = params["destination_xml"]
        for disk in etree.fromstring(xml).iterfind("devices/disk"):
            path = source_of(disk)
            if path is not None:
                self._move_disk(
                    disk,
                    self._hosts.there(source, path),
                    self._hosts.there(destination, path),
                    flags,
                    params.get("migrate_disks"),
                )
        self.on_the_way()
        self._check_open(destination, xml)
        made = self._connection_of(destination.name).createXML(xml, 0)
        made._transient = not flags & fakelibvirt.VIR_MIGRATE_PERSIST_DEST
        # VIR_MIGRATE_UNDEFINE_SOURCE, which nova sets.
        connection = dom._connection
        connection._running_vms = {
            number: other
            for number, other in connection._running_vms.items()
            if other is not dom
        }
        connection._vms.pop(dom.name(), None)
        self.moved.append((dom.UUIDString(), source.name, destination.name))

    def _move_disk(
        self,
        disk: Any,
        here: Path,
        there: Path,
        flags: int,
        listed: list[str] | None,
    ) -> None:
        """Do with a disk's file what libvirt does, as measured with 9.0."""
        if here.resolve() == there.resolve():
            return
        if disk.find("readonly") is not None:
            # Neither copied nor compared; QEMU has to find one, though.
            return
        target = disk.find("target").get("dev")
        copied = flags & _BLOCK_MIGRATION and (
            listed is None or target in listed
        )
        if not copied:
            raise failure(
                "Unsafe migration: Migration without shared storage is unsafe"
            )
        if not there.exists():
            raise failure(
                f"Cannot access storage file '{there}':"
                " No such file or directory"
            )
        if there.stat().st_size != here.stat().st_size:
            raise failure(
                f"Source and target image of {target} differ in size"
            )
        # Into the very file that is there: its owner and its mode stay.
        with here.open("rb") as old, there.open("r+b") as new:
            shutil.copyfileobj(old, new)

    def _check_open(self, host: Host, xml: str) -> None:
        """QEMU at the destination opens every file."""
        for disk in etree.fromstring(xml).iterfind("devices/disk"):
            path = source_of(disk)
            if path and not self._hosts.there(host, path).exists():
                raise failure(
                    f"Cannot access storage file '{path}':"
                    " No such file or directory"
                )


def source_of(disk: Any) -> str | None:
    """Return the path of a disk's file, None if it isn't in a file."""
    source = disk.find("source")
    return None if source is None else source.get("file")


def _parse_disk_keeping_all(element: Any) -> dict[str, Any]:
    return _parse_disk(element) | {"element": copy.deepcopy(element)}


def _describe_with_disks(dom: Any, flags: int = 0) -> str:
    tree = etree.fromstring(_describe(dom, flags))
    # As nova's fake renders them, but for the disks.
    for number, (shown, info) in enumerate(
        zip(
            tree.findall("devices/disk"),
            dom._def["devices"]["disks"],
            strict=True,
        )
    ):
        shown.getparent().replace(shown, _completed(info["element"], number))
    return etree.tostring(tree, encoding="unicode")


def _completed(defined: Any, number: int) -> Any:
    """Return a <disk> with what libvirt adds where it wasn't said."""
    disk = copy.deepcopy(defined)
    if disk.get("device") == "cdrom" and disk.find("readonly") is None:
        etree.SubElement(disk, "readonly")
    if disk.find("alias") is None:
        etree.SubElement(disk, "alias", name=f"disk{number}")
    if disk.find("address") is None:
        if disk.find("target").get("bus") == "virtio":
            place = {"type": "pci", "domain": "0x0000", "bus": "0x00"}
            place |= {"slot": f"{number + 4:#04x}", "function": "0x0"}
        else:
            place = {"type": "drive", "controller": "0", "bus": f"{number}"}
            place |= {"target": "0", "unit": "0"}
        etree.SubElement(disk, "address", place)
    return disk


def _define_again(connection: Any, xml: str) -> Any:
    """Define a domain; one that runs keeps running, and becomes persistent."""
    name = etree.fromstring(xml).findtext("name")
    known = connection._vms.get(name)
    if known is None or known._state == fakelibvirt.VIR_DOMAIN_SHUTOFF:
        return _define(connection, xml)
    known._def = known._parse_definition(xml)
    known._transient = False
    return known


def _file_of(dom: Any, target: str) -> str:
    for info in dom._def["devices"]["disks"]:
        if info["target_dev"] == target:
            return str(info["source"])
    raise failure(f"invalid path {target} not assigned to domain")


def _block_info(dom: Any, target: str, flags: int = 0) -> list[int]:
    del flags
    size = Path(_file_of(dom, target)).stat().st_size
    return [size, size, size]


def _block_peek(
    dom: Any, target: str, offset: int, size: int, flags: int = 0
) -> bytes:
    del flags
    with open(_file_of(dom, target), "rb") as file:
        file.seek(offset)
        return file.read(size)


def failure(text: str) -> Exception:
    made: Exception = fakelibvirt.make_libvirtError(
        fakelibvirt.libvirtError,
        text,
        error_code=fakelibvirt.VIR_ERR_INTERNAL_ERROR,
        error_domain=fakelibvirt.VIR_FROM_QEMU,
    )
    return made
