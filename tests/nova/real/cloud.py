"""Nova in one process: API, conductor, scheduler, placement, and computes.

All is nova's own but what is around it: Glance, Neutron, Cinder and Keystone
are the fakes that nova's functional tests bring, the database is in memory,
the message bus in the process.  The computes' driver talks to real libvirts,
and each compute is on a host of its own.
"""

from __future__ import annotations

import builtins
import contextlib
import glob
import os
import pathlib
import uuid as uuids
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import fixtures
import futurist
import images
import libvirt
import nova.conf
import psutil
from hosts import Host, Hosts
from nova.tests import fixtures as nova_fixtures
from nova.tests.functional import integrated_helpers
from nova.virt.libvirt import blockinfo
from oslo_config import cfg
from threads import among_mounts, submit_from_here

from tests.guest.guests import Probe, moving

CONF = nova.conf.CONF

STOCK = "libvirt.LibvirtDriver"
OURS = "cfgdrive_virt.LibvirtDriver"

# What nova's own tests must not use, and these have to.
_REAL: Mapping[str, Any] = {
    "os.uname": os.uname,
    "os.listdir": os.listdir,
    "os.path.isdir": os.path.isdir,
    "builtins.open": builtins.open,
    "glob.glob": glob.glob,
    "glob.iglob": glob.iglob,
    "psutil.net_if_addrs": psutil.net_if_addrs,
}
_get_disk_mapping = blockinfo.get_disk_mapping


class Cloud(integrated_helpers._IntegratedTestBase):
    """The test case that nova's fixtures want to be set up by."""

    # Not one of pytest's.
    __test__ = False
    ADMIN_API = True
    CAST_AS_CALL = False
    # The last one that takes files.
    microversion = "2.56"

    def __init__(
        self, hosts: Hosts, probe: Probe, drivers: tuple[str, ...]
    ) -> None:
        super().__init__("test_nothing")
        self.hosts = hosts
        self._probe = probe
        self._drivers = dict(zip(hosts.all, drivers, strict=True))
        self._wires = hosts.peers

    def test_nothing(self) -> None:
        """Be what unittest wants a test case to have."""

    def setUp(self) -> None:
        super().setUp()
        for name, real in _REAL.items():
            self._replace(name, real)
        self.useFixture(nova_fixtures.PrivsepFixture())
        self._replace_what_hosts_have_one_each_of()
        self._configure()
        for host, driver in self._drivers.items():
            self._start(host, driver)
        self._flavor = self._create_flavor(
            memory_mb=256, vcpu=1, disk=1, ephemeral=0
        )
        self._images = images.uploaded(self.glance, self._probe)
        self.flags(
            group="libvirt", rescue_ramdisk_id=self._images.rescue_ramdisk
        )

    def _setup_compute_service(self) -> None:
        """Leave it to setUp(), when all is prepared."""

    def _replace(self, name: str, new: Any) -> None:
        self.useFixture(fixtures.MonkeyPatch(name, new))

    def _replace_what_hosts_have_one_each_of(self) -> None:
        def name(_: object) -> str:
            host = self.hosts.here()
            assert host is not None
            return host.name

        get_option = cfg.ConfigOpts.__getattr__

        def get_option_of_host(conf: cfg.ConfigOpts, option: str) -> Any:
            if option == "host" and conf is CONF and self.hosts.here():
                return name(conf)
            return get_option(conf, option)

        self._replace(
            "oslo_config.cfg.ConfigOpts.__getattr__", get_option_of_host
        )
        self._replace("nova.virt.libvirt.host.Host.get_hostname", name)
        # By which ssh and scp find a host.
        driver = "nova.virt.libvirt.driver.LibvirtDriver"
        self._replace(f"{driver}.get_host_ip_addr", name)
        self._replace(f"{driver}._check_my_ip", lambda _: None)
        path = f"{self.hosts.programs}:{os.environ['PATH']}"
        self.useFixture(fixtures.EnvironmentVariable("PATH", path))
        # Its thread would go on after the test.
        self._replace(
            "nova.virt.libvirt.host.Host._init_events", lambda _: None
        )
        self._replace(
            "futurist.ThreadPoolExecutor.submit",
            submit_from_here(futurist.ThreadPoolExecutor.submit),
        )
        self._replace(
            "libvirt.virDomain.migrateToURI3",
            self._by_sockets(libvirt.virDomain.migrateToURI3),
        )
        # Our driver replaces it, for a process that has no other one.
        self._replace(
            "nova.virt.libvirt.blockinfo.get_disk_mapping", _get_disk_mapping
        )

    def _by_sockets(self, migrate: Callable[..., int]) -> Callable[..., int]:
        """Have guests move by sockets, for hosts have no addresses."""

        def migrate_by_sockets(
            domain: libvirt.virDomain,
            to: str,
            params: dict[str, Any],
            flags: int,
        ) -> int:
            wires = {
                name: self._wires / f"{domain.UUIDString()}-{name}"
                for name in (
                    libvirt.VIR_MIGRATE_PARAM_URI,
                    libvirt.VIR_MIGRATE_PARAM_DISKS_URI,
                )
            }
            uris = {name: f"unix://{path}" for name, path in wires.items()}
            try:
                with moving(domain, to):
                    return migrate(domain, to, params | uris, flags)
            finally:
                for path in wires.values():
                    path.unlink(missing_ok=True)

        return migrate_by_sockets

    def _configure(self) -> None:
        self.flags(
            instances_path=str(self.hosts.instances_path),
            state_path=str(self.hosts.top),
            use_cow_images=False,
            force_raw_images=True,
            # The probe doesn't hear of it.
            shutdown_timeout=0,
        )
        self.flags(
            group="libvirt",
            connection_uri=self.hosts.connection_uri,
            live_migration_uri=self.hosts.live_migration_uri,
            virt_type="qemu",
            cpu_mode="none",
            images_type="raw",
        )
        self.flags(group="vnc", enabled=False)

    def _start(self, host: Host, driver: str) -> None:
        self.flags(compute_driver=driver)
        others = blockinfo.get_disk_mapping
        uuid = str(uuids.uuid5(uuids.NAMESPACE_DNS, host.name))
        with (
            among_mounts(host.mounts),
            mock.patch(
                "nova.virt.node.get_local_node_uuid", return_value=uuid
            ),
        ):
            compute = self._start_compute(host.name)
            # Asked for while it is this host's.
            compute.driver._host.get_node_uuid()
        own = blockinfo.get_disk_mapping

        def get_disk_mapping(*args: Any, **kwargs: Any) -> Any:
            at_home = self.hosts.here() == host
            return (own if at_home else others)(*args, **kwargs)

        blockinfo.get_disk_mapping = get_disk_mapping

    @contextlib.contextmanager
    def options(
        self, group: str | None = None, /, **set_to: Any
    ) -> Iterator[None]:
        """Have other options for a while."""
        for name, value in set_to.items():
            CONF.set_override(name, value, group)
        try:
            yield
        finally:
            for name in set_to:
                CONF.clear_override(name, group)

    @contextlib.contextmanager
    def disconnected(self) -> Iterator[None]:
        """Have guests not get from host to host for a while."""
        known, self._wires = self._wires, pathlib.Path("/nonexistent")
        try:
            yield
        finally:
            self._wires = known

    def boot(self, host: Host, **fields: Any) -> dict[str, Any]:
        """Have a server on a host, running."""
        server = {
            "name": "guest",
            "imageRef": self._images.server,
            "flavorRef": self._flavor,
            "networks": "none",
            "availability_zone": f"nova:{host.name}",
            "config_drive": True,
            **fields,
        }
        made: dict[str, Any] = self.api.post_server({"server": server})
        self._wait_for_state_change(made, "ACTIVE", max_retries=120)
        return made


@contextlib.contextmanager
def cloud(hosts: Hosts, probe: Probe, *drivers: str) -> Iterator[Cloud]:
    """Have nova run on these hosts, each with a driver of its own."""
    made = Cloud(hosts, probe, drivers)
    try:
        made.setUp()
        yield made
    finally:
        made.doCleanups()
        for host in hosts.all:
            host.clear()
