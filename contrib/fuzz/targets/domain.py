"""A domain's XML, as a caller, or a libvirt of another host, gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from cfgdrive_virt.exception import InvalidDomain
from cfgdrive_virt.libvirt_xml.domain import Disk, Domain
from cfgdrive_virt.model.machine import Machine
from fuzz import corpus, mutate
from fuzz.limits import Limits
from fuzz.target import SECRET, Target, Violation, secret_in

_MACHINE = Machine("x86_64", "pc")
_DISK = (
    '<disk type="file" device="cdrom"><driver name="qemu" type="raw"/>'
    '<source file="/instances/u/disk.config"/>'
    '<target dev="sda" bus="sata"/><readonly/></disk>'
)
_LARGE = f"""<domain type="kvm" id="7">
  <name>instance-1</name>
  <uuid>{corpus.UUID}</uuid>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:name>web-1</nova:name>
    </nova:instance>
  </metadata>
  <memory unit="KiB">131072</memory>
  <os><type arch="x86_64" machine="pc-i440fx-8.0">hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type="file" device="disk">
      <driver name="qemu" type="qcow2"/>
      <source file="/instances/u/disk" index="2"/>
      <backingStore type="file"><source file="/base/b"/></backingStore>
      <target dev="vda" bus="virtio"/>
      <alias name="virtio-disk0"/>
      <address type="pci" domain="0x0000" bus="0x00" slot="0x04"
       function="0x0"/>
    </disk>
    <disk type="network" device="cdrom">
      <auth username="nova"><secret type="ceph" uuid="{corpus.SHARE}"/></auth>
      <source protocol="rbd" name="vms/u_disk.config"><host name="::1"
       port="6789"/></source>
      <target dev="sda" bus="sata" tray="open"/><readonly/>
      <address type="drive" controller="0" bus="0" target="0" unit="0"/>
    </disk>
    <disk type="block" device="disk">
      <source dev="/dev/sdx"/><target dev="sdb" bus="scsi"/>
      <serial>{corpus.SERIAL}</serial>
      <address type="drive" controller="0" bus="0" target="0" unit="1"/>
    </disk>
    <interface type="bridge">
      <mac address="{corpus.MAC}"/><source bridge="br-int"/>
      <target dev="tap1"/><model type="virtio"/>
      <address type="pci" domain="0x0000" bus="0x01" slot="0x00"
       function="0x1"/>
    </interface>
    <graphics type="vnc" port="-1" passwd="{SECRET}"/>
  </devices>
</domain>
"""
_SMALL = (
    '<domain type="qemu"><name>a</name><memory>1</memory><devices>'
    f'<interface type="user"><mac address="{corpus.MAC}"/></interface>'
    "</devices></domain>"
)
_HEADS = (
    '<?xml version="1.0" encoding="utf-16"?>', '<?xml version="1.1"?>', "\n",
    '<?xml version="1.0" encoding="latin-1"?>', "<!DOCTYPE domain>", "\ufeff",
    '<!DOCTYPE d [<!ENTITY e "x"><!ENTITY f "&e;&e;&e;">]>', "<!-- c -->",
    '<!DOCTYPE d SYSTEM "http://127.0.0.1/x.dtd">', "<?pi x?>", "x",
    '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
)  # fmt: skip
_SNIPPETS = (
    "<!-- c -->", "<?pi x?>", "<![CDATA[<x>]]>", "&amp;", "&#0;", "&#x1;",
    "&#xD800;", "&#x10FFFF;", "&lt;", "&e;", "<!DOCTYPE domain>",
    '<!DOCTYPE d [<!ENTITY e "x">]>', '<?xml version="1.0"?>',
    '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    '<?xml version="1.0" encoding="utf-16"?>', '<?xml version="1.1"?>',
    '<?xml version="1.0" encoding="latin-1"?>', 'xmlns="urn:x"',
    'xmlns:a="urn:a"', "<a:b/>", "<disk/>", "<source/>", "<target/>",
    "<mac/>", "<serial/>", "<address/>", "<alias/>", "<devices/>", "<os/>",
    "<uuid/>", "<metadata/>", 'type="pci"', 'type="drive"', 'type="usb"',
    'bus="ide"', 'dev=""', 'file=""', 'name="x"', 'domain="0x"',
    'slot="-1"', 'slot="0x1_0"', 'bus="99999999999999999999"', "<type/>",
    'function="zz"', 'arch=""', 'machine=""', "\0", "\x1b[1m", "\x85",
    "\ufeff", "\u202e", "\ufffe", "<a>" * 300, "</a>" * 300, "<disk>" * 200,
    "<x/>" * 3000, " " * 70_000, "a" * 70_000,
    f'<instance xmlns="urn:cfgdrive_virt:domain:1">{"x" * 9}</instance>',
)  # fmt: skip


class DomainXml(Target):
    """Texts and bytes of a domain's XML."""

    name = "domain"
    # libxml2 has an object for each element, and lxml another one.
    limits = Limits(memory=16 << 20, factor=64)

    def corpus(self) -> list[bytes]:
        """Return a domain of libvirt's, and the smallest one."""
        return [_LARGE.encode(), _SMALL.encode()]

    def mutate(
        self, data: bytes, chance: Random, pool: Sequence[bytes]
    ) -> bytes:
        """Change elements, attributes and text."""
        some = bytearray(data)
        for _ in range(1 + int(chance.random() ** 2 * 5)):
            _change(some, chance, chance.choice(pool))
        if chance.random() < 0.03:
            text = some.decode(errors="replace")
            coding = chance.choice(("utf-16", "utf-8-sig", "utf-32", "cp037"))
            return text.encode(coding, "replace")
        return bytes(some)

    def run(self, data: bytes) -> str:
        """Complete a domain, look up its disks and devices, write it."""
        domain = Domain(data)
        kind = self._use(domain, data)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return kind
        # A string has no encoding; whether its declaration says another or
        # not, the same XML gives the same domain.
        try:
            Domain(text)
        except InvalidDomain:
            return f"{kind}, not as a string"
        return kind

    def leak(self, text: str, data: bytes) -> str | None:
        """Return the secret, if it isn't where an error may show it."""
        # Out of its attribute, it may be a machine, or a name.
        whole = data.count(f'passwd="{SECRET}"'.encode())
        moved = data.count(SECRET.encode()) != whole
        return None if moved else secret_in(text)

    def _use(self, domain: Domain, data: bytes) -> str:
        sources = domain.disk_sources()
        for source in sources[:20]:
            found = domain.disk_of(source)
            if found is None:
                raise Violation("a disk isn't found by its source")
            _use_disk(found)
        for target in ("", "vda", "sda"):
            found = domain.disk_at(target)
            if found is not None:
                _use_disk(found)
        located = domain.locate(corpus.request().devices)
        machine = domain.complete(corpus.bare(), _MACHINE)
        domain.add_device(_DISK)
        written = str(domain)
        if len(written) > 2 * len(data) + 2000:
            raise Violation(f"{len(data):,} bytes become {len(written):,}")
        again = Domain(written)
        if again.disk_sources() != domain.disk_sources():
            raise Violation("written and read again, it has other disks")
        if again.complete(corpus.bare(), _MACHINE) != domain.complete(
            corpus.bare(), _MACHINE
        ):
            raise Violation("written and read again, it has another machine")
        buses = [device.bus for device in located]
        return f"{min(len(sources), 4)} {buses} {machine.targets == set()}"


def _use_disk(disk: Disk) -> None:
    other = Disk(_DISK)
    full = disk.filled(other)
    if full.source != other.source:
        raise Violation("a filled drive has another source")
    if Disk(str(full)).source != other.source:
        raise Violation("a written drive has another source")
    if disk.emptied().source:
        raise Violation("an emptied drive has a source")
    str(disk)


def _insert(data: bytearray, chance: Random, _other: bytes) -> None:
    at = chance.randrange(len(data) + 1)
    mark = chance.choice((b">", b"<", b'"', b" ", b"="))
    found = data.find(mark, at)
    at = found + chance.randrange(2) if found >= 0 else at
    data[at:at] = chance.choice(_SNIPPETS).encode("utf-8", "surrogatepass")


def _move(data: bytearray, chance: Random, _other: bytes) -> None:
    """Copy an element, or what looks like one, somewhere, or delete it."""
    start = data.find(b"<", chance.randrange(len(data)))
    end = start
    for _ in range(chance.choice((1, 1, 2, 5))):
        end = data.find(b">", end + 1)
    if start < 0 or end < 0:
        return
    piece = bytes(data[start : end + 1])
    if chance.random() < 0.3:
        del data[start : end + 1]
    if chance.random() < 0.7 and len(data) < 1 << 17:
        at = data.find(b"<", chance.randrange(len(data) or 1))
        data[max(0, at) : max(0, at)] = piece * chance.choice((1, 1, 1, 100))


def _value(data: bytearray, chance: Random, _other: bytes) -> None:
    """Change the value of an attribute."""
    start = data.find(b'"', chance.randrange(len(data)))
    end = data.find(b'"', start + 1)
    if start < 0 or end < 0:
        return
    other = data.find(b'"', chance.randrange(len(data)))
    until = data.find(b'"', other + 1)
    value = bytes(data[other + 1 : until]) if 0 <= other < until else b""
    if chance.random() < 0.5:
        value = chance.choice(_VALUES)
    data[start + 1 : end] = value


_VALUES = (
    b"", b"0", b"-1", b"0x0", b"0x1_0", b"0xFFFFFFFFFFFFFFFFF", b"pci", b"usb",
    b"drive", b"ide", b"scsi", b"sata", b"x" * 5000, b"&#10;", b"\xc3\xa9",
    b"&quot;", b"\xff", b"cdrom", b"ua-1", b"../x", b"9" * 5000,
)  # fmt: skip


def _head(data: bytearray, chance: Random, _other: bytes) -> None:
    """Change what comes before the root element, or its name."""
    if chance.random() < 0.3:
        data[:] = data.replace(b"domain", b"domainsnapshot")
    else:
        data[:0] = chance.choice(_HEADS).encode()


def _any(data: bytearray, chance: Random, other: bytes) -> None:
    chance.choice((*mutate.IN_PLACE, *mutate.OF_SIZE))(data, chance, other)


_CHANGES: tuple[Callable[[bytearray, Random, bytes], None], ...] = (
    _insert, _insert, _insert, _move, _move, _move, _move, _value, _value,
    _value, _value, _any, _any, _head,
)  # fmt: skip


def _change(data: bytearray, chance: Random, other: bytes) -> None:
    if data:
        chance.choice(_CHANGES)(data, chance, other)
