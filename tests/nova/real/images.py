"""The probe guest as images that nova's fake Glance holds."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nova.tests import fixtures

from tests.guest.guests import GUEST, Probe

_DISK = bytes(1 << 20)
_COMMAND_LINE = "console=ttyS0 quiet panic=-1 probe.interval=0.1"


@dataclass(frozen=True, slots=True)
class Images:
    """Their IDs.

    :param server: an empty disk, with a kernel and an initramfs of its own
    :param rescue_ramdisk: what such a server has to be rescued with
    """

    server: str
    rescue_ramdisk: str


def uploaded(glance: fixtures.GlanceFixture, probe: Probe) -> Images:
    """Give the probe to Glance."""
    initrd = probe.initrd.read_bytes()
    kernel = _upload(glance, "aki", probe.kernel.read_bytes())
    server = _upload(
        glance,
        "raw",
        _DISK,
        {
            "kernel_id": kernel,
            "ramdisk_id": _upload(glance, "ari", initrd),
            "os_command_line": _COMMAND_LINE,
        },
    )
    talking = initrd + _talking_init()
    return Images(server, _upload(glance, "ari", talking))


def _upload(
    glance: fixtures.GlanceFixture,
    kind: str,
    data: bytes,
    properties: Mapping[str, str] | None = None,
) -> str:
    described: dict[str, Any] = {
        "name": kind,
        "disk_format": kind,
        "container_format": "bare" if kind == "raw" else kind,
        "size": len(data),
        "visibility": "public",
        "properties": dict(properties or {}),
    }
    return str(glance.create(None, described, io.BytesIO(data))["id"])


def _talking_init() -> bytes:
    """An archive to follow an initramfs, with an /init on the serial port.

    A rescued server gets a kernel command line of nova's own, whatever its
    image says: its console is a virtio one, which it hasn't got.
    """
    known = "exec </dev/console >/dev/console 2>&1"
    script = (GUEST / "probe-init").read_text()
    assert known in script
    quiet = "echo 1 >/proc/sys/kernel/printk"
    serial = "exec </dev/ttyS0 >/dev/ttyS0 2>&1"
    talking = script.replace(known, f"{quiet}\n{serial}").encode()
    members = (
        (b"init\0", 0o100755, talking),
        (b"TRAILER!!!\0", 0, b""),
    )
    archive = b""
    for name, mode, data in members:
        # The kernel's Documentation: early-userspace/buffer-format
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        archive += b"070701" + b"".join(b"%08x" % field for field in fields)
        for part in (name, data):
            archive += part
            archive += bytes(-len(archive) % 4)
    return archive
