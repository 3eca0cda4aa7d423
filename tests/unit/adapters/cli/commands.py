"""How the tests run the command, and what they give it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from click.testing import Result

from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.readers import Content, Demand, Loss, Reader

from ...samples import document

#: libvirt's own make-believe hypervisor, and the domain that it comes with.
TEST = ("--connect", "test:///default")
THEIRS = "6695eb01-f6a4-8304-79aa-97f2502e193f"
HOSTILE = "\x1b]0;owned\x07\x1b[31m\x9b2J\r\u202e"
Run = Callable[..., Result]
Real = Callable[..., "subprocess.CompletedProcess[str]"]


META_DATA = "openstack/latest/meta_data.json"


def _no_lost(content: Content) -> Iterator[Loss]:
    for key in content.document(META_DATA).get("meta", {}):
        if key.startswith("lost"):
            yield Loss(META_DATA, f"meta.{key}", "does not arrive")


def _not_this_drive(content: Content) -> Iterator[Loss]:
    # So that a test sees what the reader was given.
    if content.image_format == "vfat":
        what = f"isn't mounted, being VFAT of {content.size} bytes"
        yield Loss(META_DATA, "", what, refused=True)


#: A reader that loses some metadata, and one that refuses VFAT besides.
PLAIN = Reader("cloud-init", "", (Demand("no such metadata", "", _no_lost),))
ODD = Reader(
    "odd", "", (*PLAIN.demands, Demand("no VFAT", "", _not_this_drive))
)


def instance(**fields: Any) -> bytes:
    return json.dumps(document(**fields)).encode()


def write_image(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(
        iso9660.build(MetadataTree(files), label="config-2", timestamp=0).data
    )
    return path
