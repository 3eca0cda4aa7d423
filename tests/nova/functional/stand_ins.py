"""What stands in for what a test has not got.

nova mounts the VFAT drives that it makes, which takes a kernel that has VFAT:
mtools do that.  Root disks hold nothing, since nobody boots them, and are raw
without qemu-img being asked.  The message bus is oslo.messaging's own fake.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fixtures
import nova.virt
from oslo_messaging._drivers import impl_fake

from cfgdrive_virt.adapters import nova as adapter


class Log(fixtures.Fixture):
    """Keep what cfgdrive_virt logs, at any level."""

    def _setUp(self) -> None:  # noqa: N802  (so it is called)
        self.lines: list[str] = []
        kept = self.lines

        class Keeper(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                kept.append(self.format(record))
                kept.append(repr(vars(record)))

        logger, keeper = logging.getLogger("cfgdrive_virt"), Keeper()
        self.addCleanup(logger.removeHandler, keeper)
        self.addCleanup(logger.setLevel, logger.level)
        logger.addHandler(keeper)
        logger.setLevel(logging.DEBUG)


class PromptBus(fixtures.Fixture):
    """Have oslo.messaging's fake bus deliver at once.

    Its servers look for messages every 50 ms, and a step of a server's life
    takes a dozen.
    """

    def _setUp(self) -> None:  # noqa: N802  (so it is called)
        arrived = threading.Condition()
        deliver = impl_fake.FakeExchange.deliver_message

        class Clock:
            time = staticmethod(time.time)

            @staticmethod
            def sleep(seconds: float) -> None:
                with arrived:
                    arrived.wait(seconds)

        def deliver_and_tell(*args: Any, **kwargs: Any) -> None:
            deliver(*args, **kwargs)
            with arrived:
                arrived.notify_all()

        for owner, name, new in (
            (impl_fake, "time", Clock),
            (impl_fake.FakeExchange, "deliver_message", deliver_and_tell),
        ):
            self.addCleanup(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, new)


def import_shim() -> None:
    """Have our driver where nova looks for it.

    Installed, it is a file in nova's own package; an earlier nova is put
    before the installed one.
    """
    shim = str(Path(adapter.__path__[0], "shim"))
    if shim not in nova.virt.__path__:
        nova.virt.__path__.append(shim)
    # Now: nova's fixtures let nobody import libvirt.
    importlib.import_module("nova.virt.cfgdrive_virt")


def _make_disk(
    image: Any, prepare_template: Any, base: str, *_: Any, **__: Any
) -> None:
    """Make a disk that holds no image: nobody boots it."""
    del prepare_template, base
    path = Path(image.path)
    if not path.exists():
        path.write_bytes(os.urandom(512) + bytes(65024))
    image.correct_format()


#: Images by where nova mounts them.
_mounted: dict[str, str] = {}


def _mount_vfat(
    fstype: str | None, device: str, mountpoint: str, options: Sequence[str]
) -> tuple[str, str]:
    del fstype, options
    _mounted[mountpoint] = device
    return "", ""


def _umount_vfat(mountpoint: str) -> None:
    image = _mounted.pop(mountpoint)
    for entry in sorted(Path(mountpoint).iterdir()):
        subprocess.run(
            ["mcopy", "-s", "-i", image, entry, "::"], check=True, timeout=30
        )


#: By the names of what they stand in for.
FUNCTIONS = {
    "nova.privsep.fs.mount": _mount_vfat,
    "nova.privsep.fs.umount": _umount_vfat,
    "nova.virt.libvirt.imagebackend.Flat.create_image": _make_disk,
    "nova.virt.libvirt.imagebackend.Flat._get_driver_format": (
        lambda _: "raw"
    ),
}
