"""Ways to make a drive's image in memory or on a disk that is not flushed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import oracle
from nova.virt.configdrive import ConfigDriveBuilder

from bench.instance import Instance
from bench.measure import Goal, Way
from cfgdrive_virt.image import iso9660, vfat
from cfgdrive_virt.image.iso9660.template import TEMPLATES
from cfgdrive_virt.metadata.openstack import OPENSTACK
from cfgdrive_virt.model.tree import MetadataTree

ISO9660 = "an ISO9660 image"
VFAT = "a VFAT image, not flushed"

KNOWN = "ours, of a known shape"
FIRST = "ours, the first of its shape: by pycdlib"
GENISOIMAGE = "genisoimage"
XORRISO = "xorriso -as mkisofs"
NOVA = "nova's ConfigDriveBuilder"
OURS = "ours"
MCOPY = "mkfs.vfat and mcopy"

GOALS = (
    Goal(ISO9660, KNOWN, NOVA, 1 / 100),
    Goal(ISO9660, KNOWN, FIRST, 1 / 40),
    Goal(VFAT, OURS, MCOPY, 1 / 10),
)

_TOOLS = {
    # Where mkfs.vfat is, which is not in everyone's PATH.
    "PATH": f"/usr/sbin:/sbin:{os.defpath}",
    # mtools otherwise refuse a size that is not a multiple of a track.
    "MTOOLS_SKIP_CHECK": "1",
    "LC_ALL": "C.UTF-8",
}
_MKISOFS = "-ldots -allow-lowercase -allow-multidot -l -quiet -J -r"


def ways(instance: Instance, directory: Path) -> list[Way]:
    """Return every way to make the instance's image.

    :param directory: an empty one, for what other programs read and write
    """
    tree = instance.tree
    ready = directory / "ready"
    for path, data in tree.files.items():
        (ready / path).parent.mkdir(parents=True, exist_ok=True)
        (ready / path).write_bytes(data)
    out = directory / "out"
    size = _smallest(ready, out, len(build_vfat(tree)) // 1024)
    build_iso9660(tree)

    def first() -> int:
        kept, TEMPLATES.kept = TEMPLATES.kept, {}
        try:
            return len(build_iso9660(tree))
        finally:
            TEMPLATES.kept = kept

    def by(*program: str) -> int:
        options = (*_MKISOFS.split(), "-V", "config-2")
        _run(*program, "-o", out, *options, ready)
        return out.stat().st_size

    return [
        Way(ISO9660, KNOWN, lambda: len(build_iso9660(tree)), times=10),
        Way(ISO9660, FIRST, first, times=3),
        Way(ISO9660, GENISOIMAGE, lambda: by("genisoimage"), out.unlink),
        Way(
            ISO9660,
            XORRISO,
            lambda: by("xorriso", "-as", "mkisofs"),
            out.unlink,
        ),
        Way(ISO9660, NOVA, lambda: _make_drive(tree.files, out), out.unlink),
        Way(
            VFAT,
            OURS,
            lambda: out.write_bytes(build_vfat(tree)),
            out.unlink,
            times=10,
        ),
        Way(VFAT, MCOPY, lambda: _mcopy(ready, out, size), out.unlink),
    ]


def build_iso9660(tree: MetadataTree) -> bytes:
    """Build our ISO9660 image in memory."""
    return iso9660.build(
        tree, label=OPENSTACK.label, timestamp=int(time.time())
    ).data


def build_vfat(tree: MetadataTree) -> bytes:
    """Build our VFAT image in memory."""
    return vfat.build(
        tree, label=OPENSTACK.label, timestamp=int(time.time()), serial=1
    ).data


def _make_drive(files: Mapping[str, bytes], out: Path) -> int:
    """Make an image with nova's builder, and return its size."""
    assert oracle.CONF.config_drive_format in (None, "iso9660")
    with ConfigDriveBuilder() as builder:
        builder.mdfiles = list(files.items())
        builder.make_drive(str(out))
    return out.stat().st_size


def _mcopy(ready: Path, out: Path, size: int) -> int:
    """Make an image with mkfs.vfat, fill it with mcopy, return its size.

    nova's own way needs root and a loop device, and always makes 64 MiB.

    :param size: of the image to make, in KiB
    """
    _run("mkfs.vfat", "-C", "-n", "config-2", out, str(size))
    _run("mcopy", "-s", "-Q", "-i", out, *ready.iterdir(), "::")
    return out.stat().st_size


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, env=_TOOLS)


def _smallest(ready: Path, out: Path, size: int) -> int:
    """Return the smallest size that mkfs.vfat and mcopy succeed with.

    :param size: where to begin, in KiB
    """
    while not _fits(ready, out, size):
        size += 4
    while _fits(ready, out, size - 4):
        size -= 4
    return size


def _fits(ready: Path, out: Path, size: int) -> bool:
    try:
        _mcopy(ready, out, size)
    except subprocess.CalledProcessError:
        return False
    finally:
        out.unlink(missing_ok=True)
    return True
