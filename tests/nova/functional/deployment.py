"""A nova of several compute hosts in one process, by nova's own fixtures.

API, conductor, scheduler, placement and compute managers are nova's, and so is
the libvirt driver; libvirt is nova's fake (see ``hypervisor``), and a host's
storage is its own (see ``compute_hosts``).  What else is stood in for,
as nova's own functional tests do it, is in ``stand_ins``.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fixtures
import futurist
import nova.conf
import stand_ins
from compute_hosts import Hosts, RemoteFiles
from hypervisor import Hypervisor
from nova import rpc, utils
from nova.tests import fixtures as nova_fixtures
from nova.tests.functional.api import client
from nova.tests.functional.libvirt import base
from oslo_concurrency import lockutils

CONF = nova.conf.CONF

STOCK = "libvirt.LibvirtDriver"
OURS = "cfgdrive_virt.LibvirtDriver"

#: Before personality went away, and with tags on devices.
MICROVERSION = "2.56"

USER_DATA = b"#cloud-config\nhostname: \xc3\xa4\n"
PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Zkk3rSgZyaXWXvSzo6cV8Zkk3rSgZyaXW"
    "XvSzo6cV someone"
)
FILES = (
    ("/etc/motd", b"Welcome!\n"),
    ("/etc/secret.bin", bytes(range(256))),
)
PASSWORD = "Sesame-1-open"


class Deployment(base.ServersTestBase):  # type: ignore[misc]
    """Tests of servers on hosts that are started with ``start``.

    :cvar DRIVER: nova's compute_driver, of hosts that name none of their own
    """

    DRIVER = STOCK
    ADMIN_API = True
    microversion = MICROVERSION

    def setUp(self) -> None:
        root = Path(self.useFixture(fixtures.TempDir()).path)
        self._scratch = root / "scratch"
        self._scratch.mkdir()
        self._numbers = itertools.count()
        self.hosts = Hosts(root)
        self._given: dict[str, tuple[Any, str | None]] = {}
        stand_ins.import_shim()
        self.computes, self.compute_rp_uuids = {}, {}
        # Not ServersTestBase's own: it has mocks of all disks.
        super(base.ServersTestBase, self).setUp()
        self.flags(instances_path=str(self.hosts.instances_path))
        self.flags(images_type="flat", group="libvirt")
        if "response_validation" in CONF.api:
            # One of nova 34's schemas has a stopped server make progress.
            self.flags(response_validation="ignore", group="api")
        for made in (
            nova_fixtures.CGroupsFixture(),
            nova_fixtures.LibvirtFixture(),
            nova_fixtures.OSBrickFixture(),
            nova_fixtures.PrivsepFixture(),
            nova_fixtures.SpawnIsSynchronousFixture(),
        ):
            self.useFixture(made)
        self.hypervisor = self.useFixture(
            Hypervisor(self.hosts, self._connection)
        )
        for name, value in (
            (
                "nova.virt.libvirt.LibvirtDriver._get_local_gb_info",
                lambda *_: {"total": 128, "used": 44, "free": 84},
            ),
            (
                "nova.virt.libvirt.host.Host.get_online_cpus",
                lambda *_: set(range(16)),
            ),
            ("nova.privsep.utils.supports_direct_io", lambda *_: True),
            (
                "nova.virt.libvirt.driver.libvirt_utils.is_valid_hostname",
                lambda *_: True,
            ),
            *stand_ins.FUNCTIONS.items(),
        ):
            self.useFixture(fixtures.MonkeyPatch(name, value))
        RemoteFiles.hosts = self.hosts
        self.useFixture(
            fixtures.MonkeyPatch(
                "nova.virt.libvirt.volume.remotefs.SshDriver", RemoteFiles
            )
        )
        patcher = fixtures.MockPatch(
            "nova.virt.libvirt.host.Host.get_connection"
        )
        self.mock_conn = self.useFixture(patcher).mock
        self._log = self.useFixture(stand_ins.Log())
        self.addCleanup(self._check_log)
        self.key_name = "key"
        self.api.post_keypair(
            {"keypair": {"name": self.key_name, "public_key": PUBLIC_KEY}}
        )

    def _clear_attrs(self) -> None:
        # One is pytest's, which removes it by itself.
        test = vars(self).get(self._testMethodName)
        super()._clear_attrs()
        if test is not None:
            setattr(self, self._testMethodName, test)

    def _check_log(self) -> None:
        """No secret is in what our driver has logged."""
        told = "\n".join(self._log.lines)
        for secret in (
            PASSWORD,
            PUBLIC_KEY,
            USER_DATA.decode(),
            base64.b64encode(USER_DATA).decode(),
            FILES[0][1].decode().strip(),
        ):
            assert secret not in told

    # Hosts.

    def _setup_services(self) -> None:
        # Before the first of nova's RPC servers.
        for name, value in (
            ("nova.rpc.get_server", self.hosts.serving(rpc.get_server)),
            (
                "oslo_concurrency.lockutils.internal_lock",
                self.hosts.locking(lockutils.internal_lock),
            ),
        ):
            self.useFixture(fixtures.MonkeyPatch(name, value))
        self.useFixture(stand_ins.PromptBus())
        super()._setup_services()

    def _setup_compute_service(self) -> None:
        """Start none yet."""

    def _stop_computes(self) -> None:
        for name, compute in self.computes.items():
            with self.hosts.on(name):
                compute.stop()

    def start(
        self,
        name: str,
        *,
        shared_with: str | None = None,
        driver: str | None = None,
        **options: Any,
    ) -> None:
        """Start a compute host.

        :param shared_with: the host whose storage it shares
        :param driver: its compute_driver, the class' own by default
        :param options: of its nova.conf; ``group__name`` where they have a
            group
        """
        host = self.hosts.add(name, shared_with)
        host.options["compute_driver"] = driver or self.DRIVER
        self._configure(name, options)
        with self.hosts.on(name):
            self.start_compute(name)
        self._synchronous(name)

    def restart(
        self, name: str, *, driver: str | None = None, **options: Any
    ) -> None:
        """Start the host's nova-compute again; its guests go on."""
        if driver:
            self.hosts[name].options["compute_driver"] = driver
        self._configure(name, options)
        with self.hosts.on(name):
            self.restart_compute_service(name)
        self._synchronous(name)

    def disable(self, name: str) -> None:
        """Have the scheduler send nothing to a host."""
        self.api.put_service(self._service(name), {"status": "disabled"})

    def _service(self, name: str) -> str:
        found = self.api.get_services(binary="nova-compute", host=name)
        return str(found[0]["id"])

    def fail_host(self, name: str) -> None:
        """Have a host fail, with all that runs on it."""
        with self.hosts.on(name):
            self.computes[name].stop()
        self.api.put_service_force_down(self._service(name), True)

    def recover(self, name: str) -> None:
        """Start a host that has failed; its guests run no more."""
        connection = self._connection(name)
        connection._running_vms.clear()
        self.restart(name)
        self.api.put_service_force_down(self._service(name), False)

    def _configure(self, name: str, options: dict[str, Any]) -> None:
        self.hosts[name].options |= {
            option.replace("__", "."): value
            for option, value in options.items()
        }

    def _synchronous(self, name: str) -> None:
        # Where the fixture doesn't do it, before nova 33.
        manager = self.computes[name].manager
        if hasattr(manager, "_live_migration_executor"):
            manager._live_migration_executor = futurist.SynchronousExecutor()

    def _connection(self, name: str) -> Any:
        return self.computes[name].driver._host.get_connection()

    # Servers.

    def boot(self, **fields: Any) -> dict[str, Any]:
        """Boot a server, bare but for what is given."""
        body = {
            "name": "web",
            "imageRef": self.glance.auto_disk_config_enabled_image["id"],
            "flavorRef": self.flavor("small"),
            "networks": "none",
        } | fields
        made = self.api.post_server({"server": body})
        server = self._wait_for_state_change(made, "ACTIVE")
        self._given[server["id"]] = (
            [
                (file["path"], base64.b64decode(file["contents"]))
                for file in fields.get("personality", ())
            ],
            # nova makes one up where none is given, and puts that there.
            made["adminPass"],
        )
        return server

    def boot_full(self, **fields: Any) -> dict[str, Any]:
        """Boot a server of which everything is told."""
        told = {
            "config_drive": True,
            "user_data": base64.b64encode(USER_DATA).decode(),
            "metadata": {"role": "web", "size": "😀 Größe"},
            "key_name": self.key_name,
            "adminPass": PASSWORD,
            "personality": [
                {
                    "path": path,
                    "contents": base64.b64encode(content).decode(),
                }
                for path, content in FILES
            ],
            "networks": [
                {"uuid": self.neutron.network_1["id"], "tag": "front"}
            ],
        }
        return self.boot(**told | fields)

    def flavor(self, name: str) -> str:
        """Return the id of a flavor; ``small`` or ``large``."""
        vcpus = {"small": 1, "large": 2}[name]
        known = [f["id"] for f in self.api.get_flavors() if f["name"] == name]
        if known:
            return known[0]
        return self._create_flavor(
            name=name, memory_mb=512, vcpu=vcpus, disk=1, ephemeral=0
        )

    def act(
        self,
        server: dict[str, Any],
        action: str,
        body: Any = None,
        *,
        then: str = "ACTIVE",
        version: str = MICROVERSION,
    ) -> dict[str, Any]:
        """Do something with a server; return the answer once it is over."""
        with utils.temporary_mutation(self.api, microversion=version):
            answer = self.api.post_server_action(server["id"], {action: body})
        self._wait_for_state_change(server, then)
        return answer or {}

    def live_migrate(self, server: dict[str, Any]) -> None:
        """Migrate a server that runs to the other host."""
        self.act(
            server,
            "os-migrateLive",
            {"host": None, "block_migration": "auto"},
        )
        self._wait_for_migration_status(server, ["completed"])

    def fail_to_live_migrate(self, server: dict[str, Any]) -> None:
        """See a live migration fail, and the server stay where it is."""
        # Where no host may have it, the cast that is a call says so.
        with contextlib.suppress(client.OpenStackApiException):
            self.api.post_server_action(
                server["id"],
                {"os-migrateLive": {"host": None, "block_migration": "auto"}},
            )
        self._wait_for_migration_status(server, ["error", "failed"])
        # nova 34 has put it into ERROR if libvirt failed.
        self.api.post_server_action(
            server["id"], {"os-resetState": {"state": "active"}}
        )
        self._wait_for_server_parameter(
            server, {"status": "ACTIVE", "OS-EXT-STS:task_state": None}
        )

    def host_of(self, server: dict[str, Any]) -> str:
        found = self.api.get_server(server["id"])
        return str(found["OS-EXT-SRV-ATTR:host"])

    def given(
        self,
        server: dict[str, Any],
        *,
        files: Sequence[tuple[str, bytes]],
        password: str | None,
    ) -> None:
        """Say what a server has been given since it was booted."""
        self._given[server["id"]] = (files, password)
