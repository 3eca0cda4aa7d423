"""Whole inputs to start from, made here: requests, trees and images."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from oslo_config import cfg

from cfgdrive_virt import (
    ConfigDriveRequest,
    DiskDevice,
    InjectedFile,
    Interface,
    Keypair,
    NetworkInfo,
    NicDevice,
    ShareDevice,
    Subnet,
)
from cfgdrive_virt import image as images
from cfgdrive_virt.conf import register_opts
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.model.request import Device
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.settings import read_settings
from fuzz.target import SECRET

UUID = "83679162-1378-4288-a2d4-70e13ec132aa"
MAC = "fa:16:3e:ed:9a:59"
SERIAL = "2f6d2b8e-7c55-4a0c-9a57-2d7a9c5e5b1f"
SHARE = "e8debdc0-447a-4376-a10a-4cd9122d7986"
LABEL = "config-2"
#: 2023-11-14 22:13:20 UTC
TIMESTAMP = 1_700_000_000
SEED = b"seed " + SECRET.encode()

#: Versions that are left out of most trees: more inputs in the same time.
_OLD = frozenset(
    "1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15 2008-02-01"
    " 2008-09-01".split()
)
_TOOLS = {
    "PATH": f"/usr/sbin:/sbin:{os.defpath}",
    "MTOOLS_SKIP_CHECK": "1",
    "LC_ALL": "C.UTF-8",
}
_BLANK_VFAT = 1 << 19


@functools.cache
def settings() -> Settings:
    """Return the defaults of all options."""
    conf = cfg.ConfigOpts()
    conf(args=[], default_config_files=[], default_config_dirs=[])
    register_opts(conf)
    return read_settings(conf)


@functools.cache
def request() -> ConfigDriveRequest:
    """Return an instance that has something in every field of a drive."""
    return ConfigDriveRequest(
        uuid=UUID,
        name="web-1",
        hostname="web-1",
        metadata={"role": "web", "owner": "Renée"},
        keypairs=(Keypair(name="one", public_key="ssh-rsa AAAA"),),
        user_data=f"#!/bin/sh\n# {SECRET}\n".encode() * 30,
        vendor_data={"cloud-init": SECRET},
        vendor_data2={"inventory": {"rack": SECRET, "position": 7}},
        injected_files=(
            InjectedFile(path="/etc/motd", content=SECRET.encode()),
            InjectedFile(path="/opt/blob", content=bytes(range(256)) * 12),
        ),
        admin_pass=SECRET,
        random_seed=SEED,
        network=NetworkInfo(interfaces=(_interface(),)),
        network_config=f"auto lo\n# {SECRET}\n".encode(),
        devices=devices(),
        config_drive=True,
    )


def devices() -> tuple[Device, ...]:
    """Return a tagged device of each kind."""
    return (
        NicDevice(mac=MAC, tags=("public",)),
        DiskDevice(serial=SERIAL, tags=("database",)),
        ShareDevice(share_id=SHARE, tag="media"),
    )


def _interface() -> Interface:
    subnet = Subnet(
        type="ipv4",
        cidr="192.0.2.0/24",
        ip_address="192.0.2.10",
        gateway="192.0.2.1",
    )
    return Interface(id="tap1", mac=MAC, subnets=(subnet,))


@functools.cache
def bare() -> ConfigDriveRequest:
    """Return the same instance, with all that a drive knows left open."""
    return ConfigDriveRequest(
        uuid=UUID,
        name="web-1",
        hostname="web-1",
        devices=devices(),
        config_drive=True,
    )


@functools.cache
def trees() -> tuple[MetadataTree, ...]:
    """Return trees of few files, of some more, and of none."""
    drive = build_tree(request(), random_seed=SEED, skip_versions=_OLD)
    newest = {
        path: content
        for path, content in drive.files.items()
        if "/latest/" in path or "/content/" in path
    }
    plain = build_tree(bare(), random_seed=SEED, skip_versions=_OLD)
    return (
        MetadataTree(newest),
        MetadataTree(
            {
                path: content
                for path, content in plain.files.items()
                if "/latest/" in path or "/2018" in path
            }
        ),
        drive,
        MetadataTree(
            {
                "openstack/latest/meta_data.json": b'{"uuid": "1"}',
                "openstack/latest/a long name with énough parts.json": b"{}",
                "openstack/content/0000": b"x" * 5000,
                "openstack/empty": b"",
                "a/b/c/d/e/F": b"y" * 700,
                "A.TXT": b"z",
            }
        ),
    )


def image(tree: MetadataTree, image_format: str) -> bytes:
    """Return an image of a tree."""
    built = images.build(
        image_format, tree, label=LABEL, timestamp=TIMESTAMP, serial=1
    )
    return built.data


@functools.cache
def iso9660() -> tuple[bytes, ...]:
    """Return our images, and those of genisoimage if that is installed."""
    ours = [image(tree, ISO9660) for tree in trees()]
    theirs = [
        made
        for options in (["-r"], ["-J"], ["-J", "-r"], [])
        if (made := _genisoimage(trees()[3], options))
    ]
    return (*ours, *theirs)


@functools.cache
def vfat() -> tuple[bytes, ...]:
    """Return our images, and those of mtools if these are installed."""
    wide = {**trees()[3].files, "openstack/big": b"w" * 2_200_000}
    ours = [image(tree, VFAT) for tree in trees()]
    # FAT16, with clusters of 512 bytes: few inputs may be as large.
    ours.append(image(MetadataTree(wide), VFAT))
    theirs = [
        made
        for options in ([], ["-s", "4", "-f", "1"], ["-S", "1024"])
        if (made := _mtools(trees()[3], options))
    ]
    return (*ours, *theirs)


def _genisoimage(tree: MetadataTree, options: list[str]) -> bytes | None:
    with _unpacked(tree) as directory:
        return _made(
            directory / "image",
            *("genisoimage", "-quiet", "-l", "-V", LABEL, *options),
            *("-o", str(directory / "image"), str(directory / "tree")),
        )


def _mtools(tree: MetadataTree, options: list[str]) -> bytes | None:
    with _unpacked(tree) as directory:
        out = directory / "image"
        with out.open("wb") as file:
            file.truncate(_BLANK_VFAT)
        if not _made(out, "mkfs.vfat", "-n", LABEL, *options, str(out)):
            return None
        tops = sorted(str(top) for top in (directory / "tree").iterdir())
        return _made(out, "mcopy", "-s", "-i", str(out), *tops, "::")


@contextlib.contextmanager
def _unpacked(tree: MetadataTree) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        for path, content in tree.files.items():
            place = directory / "tree" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        yield directory


def _made(path: Path, program: str, *arguments: str) -> bytes | None:
    """Return the file that a program makes; None if it isn't installed."""
    found = shutil.which(program, path=_TOOLS["PATH"])
    if found is None:
        return None
    subprocess.run(
        [found, *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=_TOOLS,
    )
    return path.read_bytes()
