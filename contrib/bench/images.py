"""Ways to make a drive's image on a local disk: ours, nova's, and tools."""

from __future__ import annotations

import functools
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import oracle
from nova.virt.configdrive import ConfigDriveBuilder

from bench.instance import Instance, as_spawned, network_known
from bench.measure import Goal, Way
from cfgdrive_virt.image import iso9660, vfat
from cfgdrive_virt.metadata.openstack import OPENSTACK
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.store.file import FileStore

#: The largest accepted parts of what nova's ISO 9660 image takes.
MOST_TIME = 0.5
MOST_BYTES = 0.4
#: The same for mkfs.vfat and mcopy.
MOST_VFAT_TIME = 0.3
MOST_VFAT_BYTES = 1.0

OURS = "ours"
IN_MEMORY = "ours, in memory"
GENISOIMAGE = "genisoimage"
NOVA = "nova"
NOVA_OWN = "nova, own files"
OURS_VFAT = "ours, vfat"
NO_FLUSH = "vfat, no flush"
MCOPY = "mkfs + mcopy"

GOALS = (
    Goal(OURS, NOVA, MOST_TIME, MOST_BYTES),
    Goal(OURS, NOVA_OWN, MOST_TIME, MOST_BYTES),
    Goal(OURS, GENISOIMAGE),
    Goal(OURS_VFAT, MCOPY),
    Goal(NO_FLUSH, MCOPY, MOST_VFAT_TIME, MOST_VFAT_BYTES),
)

_TOOLS = {
    # Where mkfs.vfat is, which is not in everyone's PATH.
    "PATH": f"/usr/sbin:/sbin:{os.defpath}",
    # mtools otherwise refuse a size that is not a multiple of a track.
    "MTOOLS_SKIP_CHECK": "1",
    "LC_ALL": "C.UTF-8",
}


def ways(instance: Instance, directory: Path) -> list[Way]:
    """Return every way to make the instance's image in a directory."""
    tree = instance.tree
    ready = directory / "ready"
    for path, data in tree.files.items():
        (ready / path).parent.mkdir(parents=True, exist_ok=True)
        (ready / path).write_bytes(data)
    instances = directory / "instances"
    instances.mkdir()
    store = FileStore(instances)
    remove = functools.partial(store.delete, instance.uuid)
    out = directory / "out"
    own = _nova_files(instance, directory)
    size = _smallest(ready, out, len(build_vfat(tree)) // 1024)

    def write(data: bytes) -> int:
        store.write(instance.uuid, data)
        return len(data)

    return [
        Way(OURS, lambda: write(build_iso9660(tree)), remove),
        Way(IN_MEMORY, lambda: len(build_iso9660(tree)), int),
        Way(GENISOIMAGE, lambda: _genisoimage(ready, out), out.unlink),
        Way(NOVA, lambda: _make_drive(tree.files, out), out.unlink),
        Way(NOVA_OWN, lambda: _make_drive(own, out), out.unlink),
        Way(OURS_VFAT, lambda: write(build_vfat(tree)), remove),
        Way(
            NO_FLUSH,
            lambda: out.write_bytes(build_vfat(tree)),
            out.unlink,
        ),
        Way(MCOPY, lambda: _mcopy(ready, out, size), out.unlink),
    ]


def build_iso9660(tree: MetadataTree) -> bytes:
    """Build our ISO 9660 image in memory."""
    return iso9660.build(
        tree, label=OPENSTACK.label, timestamp=int(time.time())
    ).data


def build_vfat(tree: MetadataTree) -> bytes:
    """Build our VFAT image in memory."""
    return vfat.build(
        tree, label=OPENSTACK.label, timestamp=int(time.time()), serial=1
    ).data


def _nova_files(instance: Instance, directory: Path) -> dict[str, bytes]:
    """Return the files that nova's InstanceMetadata makes of the instance."""
    with network_known(instance):
        files = oracle.Drives(directory).of_nova(as_spawned(instance))
    assert files.keys() == instance.tree.files.keys()
    return files


def _make_drive(files: Mapping[str, bytes], out: Path) -> int:
    """Make an image with nova's builder, and return its size."""
    with ConfigDriveBuilder() as builder:
        builder.mdfiles = list(files.items())
        builder.make_drive(str(out))
    return out.stat().st_size


def _genisoimage(ready: Path, out: Path) -> int:
    """Run genisoimage as nova does, and return the image's size.

    Like nova, it discards the warning about names.
    """
    options = "-ldots -allow-lowercase -allow-multidot -l -quiet -J -r"
    subprocess.run(
        [
            oracle.CONF.mkisofs_cmd,
            *("-o", out),
            *options.split(),
            *("-publisher", "OpenStack Nova"),
            *("-V", "config-2"),
            ready,
        ],
        check=True,
        capture_output=True,
    )
    return out.stat().st_size


def _mcopy(ready: Path, out: Path, size: int) -> int:
    """Make an image with mkfs.vfat, fill it with mcopy, return its size.

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
