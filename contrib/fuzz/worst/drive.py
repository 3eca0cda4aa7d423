"""The drives of the search: their parameters, and the files they have."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

UUID = "83679162-1378-4288-a2d4-70e13ec132aa"
MAC = "fa:16:3e:ed:9a:59"
MIB = 1024 * 1024
LARGEST = 64 * MIB
VERSIONS = (
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30",
    "2016-10-06", "2017-02-22", "2018-08-27", "2020-10-14", "2025-04-04",
    "latest",
)  # fmt: skip


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
    "text of 32 bits, VFAT": Drive(
        shape="raw astral", size=7_900_000, blob=52 * MIB, vfat=True
    ),
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


Node = dict[str, Any]


def tree_of(drive: Drive, files: dict[str, bytes]) -> Node:
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
