"""How the tests run the command, and what they give it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model.tree import MetadataTree

from ...samples import document

#: libvirt's own make-believe hypervisor, and the domain that it comes with.
TEST = ("--connect", "test:///default")
THEIRS = "6695eb01-f6a4-8304-79aa-97f2502e193f"
HOSTILE = "\x1b]0;owned\x07\x1b[31m\x9b2J\r\u202e"
Run = Callable[..., Result]
Real = Callable[..., "subprocess.CompletedProcess[str]"]


def instance(**fields: Any) -> bytes:
    return json.dumps(document(**fields)).encode()


def write_image(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(
        iso9660.build(MetadataTree(files), label="config-2", timestamp=0).data
    )
    return path
