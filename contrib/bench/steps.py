"""The whole step of a compute service, with nova's driver and with ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import oracle
from nova.virt.libvirt import driver as libvirt_driver

from bench import ceph, images
from bench.instance import Instance, as_spawned, network_known
from bench.measure import Goal, Way
from cfgdrive_virt.adapters.nova.driver import LibvirtDriver

NOVA = "nova's driver"
OURS = "our driver"
NOVA_RBD = "nova's driver, rbd"
OURS_RBD = "our driver, rbd"

GOALS = (
    # No goal for the time: ours is flushed, nova's is not.
    Goal(OURS, NOVA, most_bytes=images.MOST_BYTES),
    Goal(OURS_RBD, NOVA_RBD, ceph.MOST_TIME),
)


@dataclass(frozen=True, slots=True)
class _Step:
    """A driver's step for one instance.

    :param driver: nova's LibvirtDriver, or ours
    :param instance: nova's object
    :param injection_info: nova's object
    :param drive: the file that the step makes, unless options say Ceph
    """

    driver: Any
    instance: Any
    injection_info: Any
    drive: Path

    def make(self) -> None:
        """Make the drive where nova's options say."""
        self.driver._create_configdrive(
            self.instance._context, self.instance, self.injection_info
        )

    def way(self, name: str) -> Way:
        """Return the way to a file."""

        def build() -> int:
            self.make()
            return self.drive.stat().st_size

        return Way(name, build, self.drive.unlink)

    def way_to_ceph(self, name: str, cluster: ceph.Cluster) -> Way:
        """Return the way to a cluster, after having taken it once."""
        uuid, options = self.instance.uuid, cluster.options()

        def make() -> None:
            with _overridden("libvirt", options):
                self.make()

        def build() -> int:
            make()
            return size

        def clean() -> None:
            cluster.nova_driver().cleanup_volumes(
                lambda volume: volume.startswith(uuid)
            )

        # Found out here, because reading a drive is not part of the step.
        make()
        store = cluster.our_store()
        size = len(store.read(store.location(uuid), 1 << 26) or b"")
        clean()
        return Way(name, build, clean)


@contextlib.contextmanager
def ways(
    instance: Instance, directory: Path, cluster: ceph.Cluster | None
) -> Iterator[list[Way]]:
    """Provide both drivers' steps, for as long as nova's parts are replaced.

    Replaced is what does not make the drive: the domain, from which nova takes
    the addresses of devices, and what the oracle replaces.
    """
    spawn = as_spawned(instance)
    nova_instance = oracle.nova_instance(spawn)
    nova_instance.config_drive = "True"
    nova_instance.launched_at = nova_instance.task_state = None
    injection_info = libvirt_driver.InjectionInfo(
        network_info=spawn.network_info,
        files=spawn.files,
        admin_pass=spawn.admin_pass,
    )
    root = directory / "steps"
    drive = root / instance.uuid / "disk.config"
    drive.parent.mkdir(parents=True)
    options = {
        "instances_path": str(root),
        "config_drive_format": "iso9660",
        "force_raw_images": False,
    }
    novas, ours = (
        _Step(driver(None), nova_instance, injection_info, drive)
        for driver in (libvirt_driver.LibvirtDriver, LibvirtDriver)
    )
    with (
        _overridden(None, options),
        oracle.Drives(directory).around(spawn),
        network_known(instance),
        mock.patch.object(
            libvirt_driver.LibvirtDriver,
            "_build_device_metadata",
            return_value=nova_instance.device_metadata,
        ),
    ):
        found = [novas.way(NOVA), ours.way(OURS)]
        if cluster is not None:
            found += [
                novas.way_to_ceph(NOVA_RBD, cluster),
                ours.way_to_ceph(OURS_RBD, cluster),
            ]
        yield found


@contextlib.contextmanager
def _overridden(
    group: str | None, options: Mapping[str, object]
) -> Iterator[None]:
    """Set options of nova for a while."""
    for name, value in options.items():
        oracle.CONF.set_override(name, value, group=group)
    try:
        yield
    finally:
        for name in options:
            oracle.CONF.clear_override(name, group=group)
