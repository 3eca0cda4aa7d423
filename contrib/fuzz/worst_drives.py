"""Search for the drive that costs a hook most: CPU time and memory.

    python contrib/fuzz/worst_drives.py --seconds 300

A drive is what a guest may write on its disk: up to 64 MiB in either format,
with or without a forged stamp.  Families of such drives have parameters; the
search measures each family once, then changes the parameters of the worst
drives as long as the time lasts.  Every hook runs in a process of its own: its
CPU seconds, and by how much its peak memory exceeds that of a process that
has read the same drive's bytes.

The images are built here: the library's writers refuse most of them.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import math
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest
from cfgdrive_virt.adapters.cli.main import main as command
from cfgdrive_virt.exception import ConfigDriveError
from cfgdrive_virt.model.migration import DestinationCheck
from cfgdrive_virt.model.request import NicDevice

UUID = "83679162-1378-4288-a2d4-70e13ec132aa"
MAC = "fa:16:3e:ed:9a:59"
MIB = 1024 * 1024
LARGEST = 64 * MIB
#: What any drive of at most 64 MiB may cost a hook: seconds and bytes.
MAX_SECONDS, MAX_BYTES = 0.3, 64 * MIB

VERSIONS = (
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30",
    "2016-10-06", "2017-02-22", "2018-08-27", "2020-10-14", "2025-04-04",
    "latest",
)  # fmt: skip


# JSON of many shapes.


def _repeated(unit: bytes, size: int) -> bytes:
    return b"[" + unit * max(1, size // len(unit)) + b"0]"


def _keys(size: int) -> bytes:
    count = max(1, size // 12)
    return b"{%s}" % b",".join(b'"%08x":1' % n for n in range(count))


def _long_keys(size: int) -> bytes:
    count = max(1, size // 320)
    long = b"k" * 300
    return b"{%s}" % b",".join(b'"%s%06x":1' % (long, n) for n in range(count))


JSON: dict[str, Callable[[int], bytes]] = {
    "objects": lambda size: _repeated(b"{},", size),
    "lists": lambda size: _repeated(b"[],", size),
    "pairs": lambda size: _repeated(b'{"a":{}},', size),
    "numbers": lambda size: _repeated(b"1,", size),
    "floats": lambda size: _repeated(b"1.5,", size),
    "600 digits": lambda size: _repeated(b"7" * 600 + b",", size),
    "4200 digits": lambda size: _repeated(b"7" * 4200 + b",", size),
    "one float": lambda size: b"0." + b"3" * size,
    "nested": lambda size: _repeated(b"[" * 58 + b"]" * 58 + b",", size),
    "deep": lambda size: _repeated(b"[" * 900 + b"]" * 900 + b",", size),
    "keys": _keys,
    "long keys": _long_keys,
    "one key": lambda size: b"{%s}" % b",".join([b'"a":1'] * (size // 6 or 1)),
    "strings": lambda size: _repeated(b'"",', size),
    "one string": lambda size: b'"' + b"a" * size + b'"',
    "commas": lambda size: b'"' + b"," * size + b'"',
    "escapes": lambda size: b'"' + b"\\n" * (size // 2) + b'"',
    "astral": lambda size: b'"' + b"a" * size + b'\\ud83d\\ude00"',
    "raw astral": lambda size: b'"' + b"a" * size + b'\xf0\x9f\x98\x80"',
    "two bytes": lambda size: b'"' + "é".encode() * (size // 2) + b'"',
    "NaN": lambda size: _repeated(b"NaN,", size),
    "surrogates": lambda size: _repeated(b'"\\ud800",', size),
}


@dataclasses.dataclass(frozen=True)
class Drive:
    """A drive by its parameters.

    :param vfat: else ISO9660
    :param stamp: whether it has one that fits
    :param shape: of JSON
    :param size: of one JSON file
    :param names: of JSON files with one content, beside those that are read
    :param distinct: contents of JSON files that differ
    :param everywhere: whether all versions have the JSON in their files, as
        vendor data and as a key of the metadata
    :param files: empty ones
    :param directories: empty ones
    :param depth: of the directories that hold the files
    :param long: characters of a file's name
    :param blob: bytes of one content
    :param shares: names of that content
    :param injected: files that meta_data.json lists
    :param path: characters of their paths in the guest
    :param content: bytes of each, one content for all in ISO9660
    :param devices: that meta_data.json lists
    :param fragmented: whether a file's clusters are in reverse order
    :param areas: bytes of a record's continuation area
    :param deleted: entries of deleted files
    """

    vfat: bool = False
    stamp: bool = True
    shape: str = "objects"
    size: int = 0
    names: int = 0
    distinct: int = 1
    everywhere: bool = False
    files: int = 0
    directories: int = 0
    depth: int = 1
    long: int = 4
    blob: int = 0
    shares: int = 1
    injected: int = 0
    path: int = 10
    content: int = 10
    devices: int = 0
    fragmented: bool = False
    areas: int = 0
    deleted: int = 0


#: The ranges in which the search changes a drive's numbers.
RANGES = {
    "size": LARGEST, "names": 5000, "distinct": 2000, "files": 2_000_000,
    "directories": 100_000, "depth": 7, "long": 200, "blob": LARGEST,
    "shares": 5000, "injected": 20_000, "path": 4096, "content": MIB,
    "devices": 500_000, "areas": 2048, "deleted": 2_000_000,
}  # fmt: skip

FAMILIES: dict[str, Drive] = {
    "164 KiB of {} by 60 names": Drive(size=160_000, names=60),
    "1 MiB of {} by 60 names": Drive(size=MIB, names=60),
    "4 MiB of {} by 60 names": Drive(size=4 * MIB, names=60),
    "... without a stamp": Drive(size=4 * MIB, stamp=False, names=60),
    **{
        f"{shape}, {'VFAT' if vfat else 'ISO9660'}": Drive(
            shape=shape, size=size, vfat=vfat, everywhere=True
        )
        for shape, size in {
            "objects": 60_000, "lists": 60_000, "pairs": 70_000,
            "numbers": 40_000, "keys": 250_000, "long keys": 400_000,
            "floats": 90_000, "600 digits": 400_000, "escapes": 400_000,
            "astral": 700_000, "raw astral": 700_000, "two bytes": 700_000,
            "nested": 60_000, "one float": 900, "strings": 60_000,
        }.items()
        for vfat in (False, True)
    },
    **{
        f"1 MiB of {shape}": Drive(shape=shape, size=MIB, names=20)
        for shape in JSON
    },
    "vendor data of depth 900": Drive(shape="deep", size=MIB, everywhere=True),
    "many distinct files": Drive(size=2000, names=1, distinct=900),
    "64 MiB of one content": Drive(blob=62 * MIB),
    "64 MiB, VFAT": Drive(vfat=True, blob=62 * MIB),
    "64 MiB, fragmented": Drive(vfat=True, blob=62 * MIB, fragmented=True),
    "64 MiB, no stamp": Drive(blob=62 * MIB, stamp=False),
    "64 MiB by 60 names": Drive(blob=62 * MIB, shares=60),
    "1 MiB by 60 names": Drive(blob=MIB, shares=60),
    "files": Drive(files=2000),
    "files, VFAT": Drive(files=2000, vfat=True),
    "2 million files": Drive(files=1_500_000),
    "2 million files, VFAT": Drive(files=900_000, vfat=True),
    "long deep paths": Drive(files=700, long=200, depth=7),
    "long deep paths, VFAT": Drive(files=2000, long=60, depth=3, vfat=True),
    "directories": Drive(directories=2000),
    "directories, VFAT": Drive(directories=2000, vfat=True),
    "continuation areas": Drive(files=80, areas=2048),
    "more areas": Drive(files=20_000, areas=2048),
    "deleted entries": Drive(deleted=120_000, vfat=True),
    "2 million deleted": Drive(deleted=1_900_000, vfat=True),
    "injected files": Drive(injected=1000, content=10_000, path=200),
    "injected, VFAT": Drive(
        injected=1000, content=10_000, path=200, vfat=True
    ),
    "injected files that share": Drive(injected=200, content=300_000),
    "long injected paths": Drive(injected=4000, path=2000),
    "devices": Drive(devices=400_000),
    "some devices": Drive(devices=15_000, everywhere=True),
    "all at once": Drive(
        shape="keys", size=600_000, everywhere=True, files=1200,
        blob=44 * MIB, injected=700, path=200, content=9000, devices=10_000,
        vfat=True, fragmented=True,
    ),
    "all at once, ISO9660": Drive(
        shape="pairs", size=50_000, everywhere=True, files=1200,
        blob=30 * MIB, shares=2, injected=700, path=200, content=9000,
        devices=10_000,
    ),
}  # fmt: skip


# The files of a drive.


def files_of(drive: Drive) -> dict[str, bytes]:
    """Return a drive's files; equal contents are one object."""
    value = JSON[drive.shape](drive.size) if drive.size else b"{}"
    injected = [
        {"path": "/" + "p" * drive.path, "content_path": f"/content/{n:04}"}
        for n in range(drive.injected)
    ]
    devices = [{"mac": f"{n:012x}", "tags": []} for n in range(drive.devices)]
    start = json.dumps(
        {
            "uuid": UUID, "hostname": "web-1", "name": "web-1",
            "files": injected, "devices": devices, "random_seed": "c2VlZA==",
        }
    ).encode()  # fmt: skip
    meta_data = start[:-1] + b', "x": ' + value + b"}"
    files = {}
    for version in VERSIONS:
        below = f"openstack/{version}"
        whole = drive.everywhere or version == "latest"
        files[f"{below}/meta_data.json"] = meta_data if whole else start
        if drive.everywhere:
            files[f"{below}/vendor_data.json"] = value
            files[f"{below}/vendor_data2.json"] = b'{"a": %s}' % value
            files[f"{below}/network_data.json"] = value
    for number in range(drive.distinct):
        content = value + b" " * number if number else value
        for name in range(drive.names):
            files[f"openstack/{number}-{name}/meta_data.json"] = content
    blob = os.urandom(1024) * (drive.blob // 1024)
    for number in range(drive.shares if blob else 0):
        files[f"openstack/latest/b{number}"] = blob
    content = bytes(drive.content)
    for number in range(drive.injected):
        files[f"openstack/content/{number:04}"] = content
    above = "openstack/" + f"{'d' * drive.long}/" * (drive.depth - 1)
    for number in range(drive.files):
        leaf = f"{number:x}".rjust(drive.long, "f")
        # A directory of VFAT has at most 65,536 entries.
        below = above if drive.files < 20_000 else f"{above}{number >> 14:x}/"
        files[f"{below}{leaf}"] = b""
    return files


def fingerprint(files: dict[str, bytes]) -> str:
    """Return what the stamp of a drive with these files says."""
    digest = hashlib.sha256()
    for path in sorted(files):
        name = path.encode()
        digest.update(b"%d %d " % (len(name), len(files[path])))
        digest.update(name)
        digest.update(files[path])
    return digest.hexdigest()


Node = dict[str, Any]


def _tree(drive: Drive, files: dict[str, bytes]) -> Node:
    """Return nested mappings of names to content or mappings."""
    root: Node = {}
    for path, content in files.items():
        *above, name = path.split("/")
        at = root
        for part in above:
            at = at.setdefault(part, {})
        at[name] = content
    at = root["openstack"]
    for number in range(drive.directories):
        at[f"e{number:x}"] = {}
    return root


# ISO9660, with plain names, or with Rock Ridge for continuation areas.

_SECTOR = 2048


def _both(number: int, code: str = "I") -> bytes:
    return struct.pack(f"<{code}", number) + struct.pack(f">{code}", number)


def _record(
    name: bytes, sector: int, size: int, flags: int = 0, use: bytes = b""
) -> bytes:
    made = bytearray(33) + name + bytes((len(name) + 1) % 2) + use
    made += bytes(len(made) % 2)
    made[0], made[25], made[32] = len(made), flags, len(name)
    made[2:18] = _both(sector) + _both(size)
    made[28:32] = _both(1, "H")
    return bytes(made)


def _in_sectors(records: list[bytes]) -> bytes:
    sectors, room = [bytearray()], _SECTOR
    for record in records:
        if len(record) > room:
            sectors[-1] += bytes(room)
            sectors.append(bytearray())
            room = _SECTOR
        sectors[-1] += record
        room -= len(record)
    sectors[-1] += bytes(room)
    return b"".join(sectors)


class Iso:
    """An ISO9660 image, built from the leaves to the root."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.data = bytearray(19 * _SECTOR)
        self.extents: dict[int, int] = {}

    def _put(self, content: bytes) -> int:
        sector = len(self.data) // _SECTOR
        self.data += content
        self.data += bytes(-len(content) % _SECTOR)
        return sector

    def build(self, files: dict[str, bytes], stamp: bytes) -> bytes:
        """Return the bytes of the image."""
        root, size = self._directory(_tree(self.drive, files), top=True)
        count = len(self.data) // _SECTOR
        primary = bytearray(_SECTOR)
        primary[:7] = b"\1CD001\1"
        primary[40:72] = b"config-2".ljust(32)
        primary[80:88] = _both(count)
        primary[120:132] = _both(1, "H") * 2 + _both(_SECTOR, "H")
        primary[156:190] = _record(b"\0", root, size, 2)
        primary[883 : 883 + len(stamp)] = stamp
        self.data[16 * _SECTOR : 17 * _SECTOR] = primary
        self.data[17 * _SECTOR : 17 * _SECTOR + 7] = b"\xffCD001\1"
        return bytes(self.data)

    def _use(self) -> bytes:
        """Return an entry for a continuation area of its own, full of them."""
        size = self.drive.areas // 4 * 4
        if not size:
            return b""
        sector = self._put(b"XX\4\1" * (size // 4))
        return b"CE\x1c\1" + _both(sector) + _both(0) + _both(size)

    def _directory(self, node: Node, *, top: bool = False) -> tuple[int, int]:
        entries = []
        for name, below in node.items():
            if isinstance(below, dict):
                sector, size = self._directory(below)
                entries.append((name, sector, size, 2))
            else:
                if id(below) not in self.extents:
                    self.extents[id(below)] = self._put(below)
                sector = self.extents[id(below)]
                entries.append((name, sector, len(below), 0))
        records = [
            _record(name.encode(), sector, size, flags, self._use())
            for name, sector, size, flags in entries
        ]
        rock_ridge = b""
        if top and self.drive.areas:
            rock_ridge = b"SP\x07\x01\xbe\xef\0ER\x12\x01\x0a\0\0\1RRIP_1991A"
        own = len(_record(b"\0", 0, 0, 2, rock_ridge))
        size = len(_in_sectors([bytes(own), bytes(34), *records]))
        sector = len(self.data) // _SECTOR
        itself = _record(b"\0", sector, size, 2, rock_ridge)
        above = _record(b"\1", sector, size, 2)
        return self._put(_in_sectors([itself, above, *records])), size


# VFAT: FAT16, of clusters that are as small as the size allows.


class Fat:
    """A FAT16 image; a file's clusters may be in reverse order."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.links: list[int] = [0xFFF8, 0xFFFF]
        self.clusters: list[bytes] = []
        self.size = 512

    def build(self, files: dict[str, bytes], stamp: bytes) -> bytes:
        """Return the bytes of the image."""
        tree = _tree(self.drive, files)
        total = sum(map(len, files.values())) + 96 * len(files)
        total += 32 * self.drive.deleted + MIB
        full = sum(map(bool, files.values())) + self.drive.directories
        while total // self.size + full > 60_000:
            self.size *= 2
            if self.size == 65_536:
                break
        root = self._entries(tree, 0, 0)
        self._chain(bytes(self.size * max(0, 4200 - len(self.clusters))))
        fat = struct.pack(f"<{len(self.links)}H", *self.links)
        sectors = -(-len(fat) // 512)
        total = 1 + sectors + len(root) // 512
        total += len(self.clusters) * self.size // 512
        boot = struct.pack(
            "<3s8sHBHBHHBHHHIIBBBI11s8s",
            *(b"\xeb\x3c\x90", b"MSWIN4.1", 512, self.size // 512, 1, 1),
            *(len(root) // 32, 0, 0xF8, sectors, 8, 2, 0, total, 128, 0, 41),
            *(1, b"config-2   ", b"FAT16   "),
        )
        boot = boot.ljust(96, b"\0") + stamp
        boot = boot.ljust(510, b"\0") + b"\x55\xaa"
        fat = fat.ljust(sectors * 512, b"\0")
        return b"".join((boot, fat, root, *self.clusters))

    def _chain(self, content: bytes) -> int:
        count = -(-len(content) // self.size)
        if not count:
            return 0
        content = content.ljust(count * self.size, b"\0")
        first = len(self.links)
        if self.drive.fragmented:
            self.links += [0xFFFF, *range(first, first + count - 1)]
            self.clusters += [
                content[n * self.size : (n + 1) * self.size]
                for n in reversed(range(count))
            ]
            return first + count - 1
        self.links += [*range(first + 1, first + count), 0xFFFF]
        self.clusters += [content]
        # One piece for all its clusters.
        self.clusters += [b""] * (count - 1)
        return first

    def _entries(self, node: Node, itself: int, above: int) -> bytes:
        made = []
        if itself:
            for dots, cluster in ((b".", itself), (b"..", above)):
                made.append(self._entry(dots.ljust(11), 16, cluster, 0))
        else:
            made.append(self._entry(b"config-2".ljust(11), 8, 0, 0))
        deleted = 0 if itself or "deleted" in node else self.drive.deleted
        for number, (name, below) in enumerate(node.items()):
            short = b"F%010d" % number
            made.append(_long(name, short))
            if isinstance(below, dict):
                cluster = self._reserve(below)
                made.append(self._entry(short, 16, cluster, 0))
                size = self._size_of(below)
                content = self._entries(below, cluster, itself)
                self._fill(cluster, content.ljust(size, b"\0"))
            else:
                cluster = self._chain(below)
                made.append(self._entry(short, 32, cluster, len(below)))
        if deleted:
            made.append(self._deleted(deleted))
        data = b"".join(made)
        return (
            data if itself else data.ljust(-(-len(data) // 512) * 512, b"\0")
        )

    def _deleted(self, count: int) -> bytes:
        """Return directories of 60,000 deleted entries each."""
        made = []
        for number in range(0, count, 60_000):
            content = (b"\xe5".ljust(32, b"x")) * min(60_000, count - number)
            first = self._chain(bytes(64) + content)
            dots = self._entry(b".".ljust(11), 16, first, 0)
            dots += self._entry(b"..".ljust(11), 16, 0, 0)
            self._fill(first, (dots + content).ljust(64 + len(content)))
            short = b"D%010d" % number
            made.append(self._entry(short, 16, first, 0))
        return b"".join(made)

    def _size_of(self, node: Node) -> int:
        count = 2 + sum(1 + len(_long(name, b"")) // 32 for name in node)
        return -(-count * 32 // self.size) * self.size

    def _reserve(self, node: Node) -> int:
        fragmented = self.drive.fragmented
        self.drive = dataclasses.replace(self.drive, fragmented=False)
        first = self._chain(bytes(self._size_of(node)))
        self.drive = dataclasses.replace(self.drive, fragmented=fragmented)
        return first

    def _fill(self, first: int, content: bytes) -> None:
        whole = -(-len(content) // self.size) * self.size
        self.clusters[first - 2] = content.ljust(whole, b"\0")

    @staticmethod
    def _entry(short: bytes, kind: int, cluster: int, size: int) -> bytes:
        return struct.pack(
            "<11sBBBHHHHHHHI", short, kind, *[0] * 8, cluster, size
        )


def _long(name: str, short: bytes) -> bytes:
    text = name.encode("utf-16-le")
    count = -(-len(text) // 26)
    if len(text) % 26:
        text = (text + b"\0\0").ljust(count * 26, b"\xff")
    total = 0
    for byte in short:
        total = ((total >> 1 | total << 7) + byte) & 0xFF
    made = []
    for number in range(count, 0, -1):
        part = text[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        made.append(
            struct.pack(
                "<B10sBBB12sH4s",
                *(order, part[:10], 15, 0, total, part[10:22], 0, part[22:]),
            )
        )
    return b"".join(made)


def image_of(drive: Drive) -> bytes | None:
    """Return a drive's bytes; None if it has more than 64 MiB."""
    if drive.size * drive.distinct > LARGEST or drive.blob > LARGEST:
        return None
    files = files_of(drive)
    stored = files.values()
    held = stored if drive.vfat else {id(one): one for one in stored}.values()
    if sum(map(len, held)) > LARGEST:
        return None
    stamp = b""
    if drive.stamp:
        line = f"CFGDRIVE_VIRT 1 sha256={fingerprint(files)}\n"
        stamp = line.encode()
    try:
        built = (Fat if drive.vfat else Iso)(drive).build(files, stamp)
    except struct.error:
        # More clusters or entries than FAT16 has.
        return None
    return built if len(built) <= LARGEST else None


# The hooks.


class Host:
    """A driver, and the place of the instance's drive."""

    def __init__(self, root: Path) -> None:
        conf = cfg.ConfigOpts()
        conf(args=[], default_config_files=[], default_config_dirs=[])
        self.driver = ConfigDriveDriver(conf, architecture="x86_64")
        conf.set_override("instances_path", str(root))
        conf.set_override("config_drive_format", "vfat")
        self.place = root / UUID / "disk.config"
        self.place.parent.mkdir(exist_ok=True)
        self.request = ConfigDriveRequest(
            uuid=UUID, name="web-1", hostname="web-1", config_drive=True,
            metadata={"role": "new"}, devices=(NicDevice(mac=MAC),),
            launched=True,
        )  # fmt: skip

    def migrate(self) -> None:
        """Check the drive as the source of a live migration."""
        check = DestinationCheck(UUID, (str(self.place),), None, "0" * 32)
        xml = (
            f"<domain type='kvm'><name>a</name><uuid>{UUID}</uuid><devices>"
            f"<disk type='file' device='disk'><source file='{self.place}'/>"
            "<target dev='vda' bus='virtio'/></disk></devices></domain>"
        )
        self.driver.check_can_live_migrate_source(
            UUID, check, xml, block_migration=True
        )

    def command(self, *arguments: str) -> None:
        """Run the command, its output into a file."""
        with (
            tempfile.TemporaryFile("w") as out,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
            contextlib.suppress(SystemExit),
        ):
            command.main([*arguments, str(self.place)])

    def hooks(self) -> dict[str, Callable[[], Any]]:
        """Return what is measured, by name."""
        return {
            "status": lambda: self.driver.status(self.request),
            "reboot": lambda: self.driver.reboot(self.request),
            "reboot uuid": lambda: self.driver.reboot(UUID),
            "migrate": self.migrate,
            "recall": lambda: self.driver.recall(UUID),
            "refresh": lambda: self.driver.refresh(self.request),
            "forget": lambda: self.driver.forget_secrets(
                UUID, names=["admin_pass"]
            ),
            "inspect": lambda: self.command("inspect"),
            "inspect --json": lambda: self.command("inspect", "--json"),
        }


def _in_a_child(act: Callable[[], Any], stop: int) -> Any:
    """Return what a function returns in a forked process, from JSON.

    None if it takes more than so many seconds.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        # Whatever happens, the copy of this program ends here.
        try:
            os.close(reads)
            signal.signal(signal.SIGXCPU, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CPU, (stop, stop))
            resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
            with open(writes, "w", encoding="ascii") as pipe:
                json.dump(act(), pipe)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writes)
    with open(reads, encoding="ascii") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else None


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _measured(host: Host, hook: str) -> tuple[float, int, str]:
    """Return CPU seconds, bytes, and what a status says."""
    host.place.read_bytes()
    before, found = _peak(), None
    begin = time.process_time()
    with contextlib.suppress(ConfigDriveError, MemoryError):
        found = host.hooks()[hook]()
    seconds, size = time.process_time() - begin, _peak() - before
    return seconds, size, str(found)[:70] if hook == "status" else ""


#: By hook.
Costs = dict[str, tuple[float, float, str]]


def measure(
    host: Host, drive: Drive, only: list[str], stop: int
) -> Costs | None:
    """Return CPU seconds and MiB of each hook; None for no drive."""

    def build() -> int:
        data = image_of(drive)
        if data is None:
            return 0
        host.place.with_name("image").write_bytes(data)
        return len(data)

    if not _in_a_child(build, 600):
        return None
    costs = {}
    for hook in only or host.hooks():
        # A hook may have replaced the drive.
        host.place.unlink(missing_ok=True)
        for left in host.place.parent.glob("disk.config*"):
            left.unlink()
        image = host.place.with_name("image")
        with image.open("rb") as read, host.place.open("wb") as write:
            os.copy_file_range(read.fileno(), write.fileno(), LARGEST)
        act = functools.partial(_measured, host, hook)
        found = _in_a_child(act, stop)
        seconds, size, state = found or (stop, 6 << 30, "")
        costs[hook] = (seconds, size / MIB, state)
    return costs


def excess(costs: Costs) -> float:
    """Return the largest part of its bounds that a hook has used."""
    return max(
        max(seconds / MAX_SECONDS, mib * MIB / MAX_BYTES)
        for seconds, mib, _ in costs.values()
    )


def changed(drive: Drive, chance: random.Random) -> Drive:
    """Return a drive with some parameters changed."""
    changes: dict[str, Any] = {}
    for _ in range(chance.choice((1, 1, 2, 3))):
        name = chance.choice([one.name for one in dataclasses.fields(Drive)])
        value = getattr(drive, name)
        if name == "shape":
            changes[name] = chance.choice(list(JSON))
        elif isinstance(value, bool):
            changes[name] = not value
        else:
            least = 1 if getattr(Drive, name) else 0
            most = RANGES[name]
            near = chance.choice((0.5, 0.8, 0.95, 1.05, 1.25, 2)) * value
            far = math.exp(chance.uniform(0, math.log(most)))
            picked = near if value and chance.random() < 0.7 else far
            changes[name] = min(most, max(least, int(picked)))
    return dataclasses.replace(drive, **changes)


def search(
    host: Host,
    seconds: float,
    chance: random.Random,
    only: list[str],
    stop: int,
    families: list[str],
) -> Iterator[tuple[str, Drive, Costs]]:
    """Yield name, parameters and costs of drives."""
    pool: list[tuple[float, Drive]] = []
    for name in families or FAMILIES:
        drive = FAMILIES[name]
        costs = measure(host, drive, only, stop)
        if costs is not None:
            pool.append((excess(costs), drive))
            yield name, drive, costs
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pool = sorted(pool, key=lambda one: -one[0])[:12]
        drive = changed(chance.choice(pool)[1], chance)
        costs = measure(host, drive, only, stop)
        if costs is not None:
            pool.append((excess(costs), drive))
            yield "found", drive, costs


def _said(drive: Drive) -> str:
    plain = dataclasses.asdict(Drive())
    return " ".join(
        f"{name}={value}"
        for name, value in dataclasses.asdict(drive).items()
        if value != plain[name]
    )


def _row(name: str, costs: Costs) -> str:
    cells = "".join(
        f"{seconds:7.2f}s{mib:5.0f}M" for seconds, mib, _ in costs.values()
    )
    state = costs.get("status", (0, 0, ""))[2]
    return f"{name:<30.30}{cells}  {state}"


def main() -> None:
    """Search, and print a table of the worst drives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stop", type=int, default=60, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hook", action="append", default=[])
    parser.add_argument("--family", action="append", default=[])
    parser.add_argument(
        "--strict", action="store_true", help="fail beyond the bounds"
    )
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    worst: dict[tuple[str, int], tuple[float, str, Drive]] = {}
    number = 0
    with tempfile.TemporaryDirectory() as root:
        host = Host(Path(root))
        names = arguments.hook or list(host.hooks())
        print(" " * 30 + "".join(f"{name:>14.14}" for name in names))
        found = search(
            host,
            arguments.seconds,
            random.Random(arguments.seed),
            arguments.hook,
            arguments.stop,
            arguments.family,
        )
        for name, drive, costs in found:
            number += 1
            if name != "found":
                print(_row(name, costs), flush=True)
            for hook, (seconds, mib, _) in costs.items():
                for kind, cost in enumerate((seconds, mib)):
                    known = worst.get((hook, kind), (-1.0, "", drive))
                    if cost > known[0]:
                        worst[hook, kind] = (cost, name, drive)
    print(f"\nthe worst of {number:,} drives")
    for (hook, kind), (cost, name, drive) in worst.items():
        unit = "MiB" if kind else "s"
        print(f"{hook:<16}{cost:8.2f} {unit:<4} {name}: {_said(drive)}")
    missed = any(
        cost > (MAX_BYTES / MIB if kind else MAX_SECONDS)
        for (_, kind), (cost, _, _) in worst.items()
    )
    if arguments.strict and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
