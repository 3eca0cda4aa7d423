"""The stamp of an image as bytes: a line of ASCII.

In ISO9660 it is the volume descriptor's application use, 512 bytes that the
standard leaves to the application (ECMA-119, 8.4.32); in VFAT it follows the
boot code in the first sector.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from cfgdrive_virt.model.drive import BUILDER, ISO9660, VFAT, Stamp
from cfgdrive_virt.model.request import ONE_SHOT
from cfgdrive_virt.model.tree import MetadataTree

#: Offset of the stamp's first byte, and its largest size.
OFFSETS = {ISO9660: 16 * 2048 + 883, VFAT: 96}
SIZE = 400

_LINE = re.compile(
    rb"%s 1 sha256=([0-9a-f]{64})(?: without=([a-z_]+(?:,[a-z_]+)*))?\n"
    % BUILDER
)


def encode(tree: MetadataTree, without: Collection[str]) -> bytes:
    """Return the stamp for an image of a tree."""
    line = f"{BUILDER.decode()} 1 sha256={tree.fingerprint}"
    if without:
        line += f" without={','.join(sorted(without))}"
    return f"{line}\n".encode()


def decode(data: bytes, image_format: str) -> Stamp | None:
    """Return the stamp of an image; None if it has none."""
    start = OFFSETS[image_format]
    found = _LINE.match(data[start : start + SIZE])
    if not found:
        return None
    # A guest that may write to its drive may write anything here.
    named = (found[2] or b"").decode().split(",")
    without = tuple(name for name in ONE_SHOT if name in named)
    return Stamp(found[1].decode(), without)
