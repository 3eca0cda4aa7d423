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

from bench import ceph
from bench.instance import Instance, as_spawned, network_known
from bench.measure import Goal, Way
from cfgdrive_virt.adapters.nova import metadata
from cfgdrive_virt.adapters.nova.driver import LibvirtDriver
from cfgdrive_virt.metadata.layout import Recalled

STEP = "nova-compute's step, to a file"
STEP_RBD = "nova-compute's step, to Ceph"

OURS = "our driver, flushed"
NOVA = "nova's driver, not flushed"
METADATA = "nova's InstanceMetadata, in both"

GOALS = (
    Goal(STEP, OURS, NOVA, 0.30),
    Goal(STEP_RBD, OURS, NOVA, 0.35),
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
        """Return the way to a file, after having taken it once."""

        def build() -> int:
            self.make()
            return self.drive.stat().st_size

        build()
        self.drive.unlink()
        return Way(STEP, name, build, self.drive.unlink)

    def metadata(self) -> Way:
        """Return the way to the files alone, which is nova's own."""

        def render() -> None:
            metadata.rendered(
                self.instance,
                self.injection_info.network_info,
                injected_files=self.injection_info.files,
                admin_pass=self.injection_info.admin_pass,
                known=Recalled(),
            )

        return Way(STEP, METADATA, render)

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
        return Way(STEP_RBD, name, build, clean)


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
        found = [ours.way(OURS), novas.way(NOVA), ours.metadata()]
        if cluster is not None:
            found += [
                ours.way_to_ceph(OURS, cluster),
                novas.way_to_ceph(NOVA, cluster),
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
