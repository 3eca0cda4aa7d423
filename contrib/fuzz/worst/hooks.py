"""What a drive costs each hook."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oslo_config import cfg

from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest
from cfgdrive_virt.adapters.cli.main import main as command
from cfgdrive_virt.exception import ConfigDriveError
from cfgdrive_virt.model.migration import DestinationCheck
from cfgdrive_virt.model.request import NicDevice
from fuzz.worst.drive import LARGEST, MAC, MIB, UUID, Drive
from fuzz.worst.image import image_of


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
