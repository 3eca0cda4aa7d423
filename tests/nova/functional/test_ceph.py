"""Our driver, in nova, with a real Ceph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import checked
import pytest
from deployment import OURS, STOCK
from drives import ISO9660, VFAT, Drive, read
from nova.virt.libvirt import imagebackend

from tests.ceph.cluster import Cluster, cluster


@pytest.fixture(scope="module")
def ceph() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


#: nova's root disks hold nothing here, and are nowhere.
_NO_ROOT_DISK = (
    "cache",
    "create_snap",
    "remove_snap",
    "rollback_to_snap",
    "flatten",
    "direct_snapshot",
    "cleanup_direct_snapshot",
)


class InCeph(checked.Checked):
    """A server whose hosts keep all disks in one pool."""

    DRIVER = OURS
    REFRESHES = True
    FORM = ISO9660

    @pytest.fixture(autouse=True)
    def _with_ceph(self, ceph: Cluster) -> Iterator[None]:
        self.ceph = ceph
        yield
        left = ceph.volumes()
        ceph.empty()
        assert left == []

    def setUp(self) -> None:
        super().setUp()
        for name in _NO_ROOT_DISK:
            self.stub_out(
                f"nova.virt.libvirt.imagebackend.Rbd.{name}",
                lambda *_, **__: None,
            )
        exists = imagebackend.Rbd.exists
        self.stub_out(
            "nova.virt.libvirt.imagebackend.Rbd.exists",
            lambda disk: disk.rbd_name.endswith("_disk") or exists(disk),
        )

    def begin(self, *hosts: str) -> None:
        for host in hosts:
            self.start(host, **self.options())

    def options(self) -> dict[str, Any]:
        chosen = {}
        if self.FORM != ISO9660:
            chosen["config_drive_format"] = self.FORM
        return chosen | {
            "libvirt__images_type": "rbd",
            "libvirt__images_rbd_pool": "compute",
            "libvirt__images_rbd_ceph_conf": str(self.ceph.conf),
            "libvirt__rbd_user": "compute",
            "libvirt__rbd_secret_uuid": "5c1d36d4-9e4c-4b5b-a6d0-5b5e3c0d6f0e",
        }

    def in_pool(self, server: dict[str, Any], name: str) -> Drive:
        """Return a drive of the pool, by Ceph's own program and others."""
        path = self._scratch / f"{next(self._numbers)}.img"
        volume = f"compute/{server['id']}_{name}"
        self.ceph.rbd("export", "--no-progress", volume, path)
        return read(path, self._scratch / str(next(self._numbers)))

    def check_pool(
        self,
        server: dict[str, Any],
        *,
        name: str = "disk.config",
        password: str | None = None,
        beside: Sequence[str] = (),
        scrubbed: bool = False,
    ) -> Drive:
        """Compare a server's volume with what nova says of it now."""
        host = self.host_of(server)
        drive = self.in_pool(server, name)
        assert (drive.form, drive.label) == (self.FORM, "config-2")
        self.check_content(drive, server, name, password, scrubbed)
        assert sorted(self.ceph.volumes()) == sorted(
            f"{server['id']}_{one}" for one in (name, *beside)
        )
        assert self.configs(host, server) == []
        sources = {
            disk.find("source").get("name"): disk
            for disk in self.hypervisor.disks(host, server["id"])
            if disk.get("type") == "network"
        }
        disk = sources[f"compute/{server['id']}_{name}"]
        assert (disk.get("device"), disk.find("target").get("bus")) == (
            "disk",
            "virtio",
        )
        assert disk.find("readonly") is None
        assert disk.find("auth").get("username") == "compute"
        return drive


@pytest.mark.every_release
class TestIso9660(InCeph):
    def test_through_its_life(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check_pool(server)
        with self.step("told otherwise, and hard reboot"):
            self.api.post_server_metadata(server["id"], {"role": "db"})
            self.act(server, "reboot", {"type": "HARD"})
            after = self.check_pool(server)
            assert before != after
        with self.step("rescued"):
            answer = self.act(server, "rescue", {}, then="RESCUE")
            self.check_pool(
                server,
                name="disk.config.rescue",
                password=answer["adminPass"],
                beside=["disk.config"],
            )
        with self.step("unrescued"):
            self.act(server, "unrescue")
            assert after == self.check_pool(server)
        self.begin("dest")
        for host in ("dest", "src"):
            with self.step(f"live migrated to {host}"):
                self.live_migrate(server)
                assert self.host_of(server) == host
                assert after == self.check_pool(server)
        with self.step("resized and reverted"):
            self.act(
                server,
                "resize",
                {"flavorRef": self.flavor("large")},
                then="VERIFY_RESIZE",
            )
            self.check_pool(server)
            self.act(server, "revertResize")
            self.check_pool(server)
        with self.step("migrated and confirmed"):
            self.act(server, "migrate", then="VERIFY_RESIZE")
            self.check_pool(server)
            self.act(server, "confirmResize")
            assert self.host_of(server) == "dest"
            self.check_pool(server)
        self.fail_host("dest")
        with self.step("evacuated"):
            self.act(server, "evacuate", {"adminPass": "Key-7"})
            self.given(
                server, files=self._given[server["id"]][0], password="Key-7"
            )
            self.check_pool(server)
        with self.step("the old host is back"):
            self.recover("dest")
            self.check_pool(server)
        with self.step("rebuilt"):
            self.act(
                server,
                "rebuild",
                {
                    "imageRef": self.glance.image1["id"],
                    "adminPass": "Key-8",
                    "metadata": {"role": "cache"},
                },
            )
            self.given(server, files=(), password="Key-8")
            self.check_pool(server)
        with self.step("shelved and offloaded"):
            self.act(server, "shelve", then="SHELVED_OFFLOADED")
            assert self.ceph.volumes() == []
        with self.step("unshelved"):
            self.act(server, "unshelve")
            self.given(server, files=(), password=None)
            self.check_pool(server, scrubbed=True)
        self._delete_server(server)

    def test_a_drive_that_stock_nova_left_in_a_file(self) -> None:
        self.start("src", driver=STOCK, **self.options())
        server = self.boot_full()
        self.move_into_a_file(server)
        before = self.check(server)
        self.begin("dest")
        self.restart("src", driver=OURS, **self.options())
        for host in ("dest", "src"):
            with self.step(f"live migrated to {host}"):
                self.live_migrate(server)
                assert self.host_of(server) == host
                assert before == self.read(host, server)
                self.check_left(server, host)
                assert self.ceph.volumes() == []
        with self.step("hard reboot"):
            self.act(server, "reboot", {"type": "HARD"})
            assert before == self.in_pool(server, "disk.config")
            assert self.configs("src", server) == []
        self.delete(server)

    def move_into_a_file(self, server: dict[str, Any]) -> None:
        """Have a server's drive where nova had it before it used Ceph."""
        volume = f"compute/{server['id']}_disk.config"
        path = self.file("src", server)
        self.ceph.rbd("export", "--no-progress", volume, path)
        self.ceph.rbd("rm", "--no-progress", volume)
        self.act(server, "reboot", {"type": "HARD"})


class TestVfat(InCeph):
    FORM = VFAT

    def test_on_one_host(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check_pool(server)
        with self.step("hard reboot"):
            self.act(server, "reboot", {"type": "HARD"})
            assert before == self.check_pool(server)
        with self.step("lost"):
            self.ceph.rbd("rm", f"compute/{server['id']}_disk.config")
            self.act(server, "reboot", {"type": "HARD"})
            self.given(server, files=(), password=None)
            self.check_pool(server)
        self._delete_server(server)
