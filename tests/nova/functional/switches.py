"""Servers of nova's own driver go on under ours, and the other way round.

A host's nova-compute is restarted with the other compute_driver, and its
guests run on; or the drivers of two hosts differ, as while a cloud is changed
over.
"""

from __future__ import annotations

from typing import Any

import lives
from deployment import OURS, STOCK
from drives import Drive


class Changed(lives.Lives):
    """From nova's own to ours."""

    DRIVER = STOCK
    REFRESHES = True

    def switch(self, *hosts: str) -> None:
        for host in hosts:
            self.restart(host, driver=OURS)

    def test_between_hosts(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.begin("dest")
        self.switch("src", "dest")
        for host in ("dest", "src"):
            with self.step(f"live migrated to {host}"):
                self.live_migrate(server)
                assert before == self.check(server)
                assert host == self.host_of(server)
        with self.step("migrated"):
            self.act(server, "migrate", then="VERIFY_RESIZE")
            self.check(server, left_on="src")
            self.act(server, "confirmResize")
            self.check(server)
        self.delete(server)


class ToOurs(Changed):
    """What doesn't depend on the file system."""

    def test_on_one_host(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.switch("src")
        with self.step("our driver, and nothing done"):
            assert before == self.check(server)
        with self.step("hard reboot"):
            self.act(server, "reboot", {"type": "HARD"})
            assert before == self.check(server)
        with self.step("rescued and unrescued"):
            answer = self.act(server, "rescue", {}, then="RESCUE")
            self.check(
                server,
                name="disk.config.rescue",
                password=answer["adminPass"],
                beside=[f"{server['id']}/disk.config"],
            )
            self.act(server, "unrescue")
            assert before == self.check(server)
        with self.step("told otherwise, and hard reboot"):
            self.api.post_server_metadata(server["id"], {"role": "db"})
            self.act(server, "reboot", {"type": "HARD"})
            assert before != self.check(server)
        self.delete(server)

    def test_deleted_at_once(self) -> None:
        self.begin("src")
        server = self.boot_full()
        rescued = self.boot(config_drive=True)
        self.act(rescued, "rescue", {}, then="RESCUE")
        self.switch("src")
        self.delete(server)
        self.delete(rescued)

    def test_a_resize_that_is_under_way(self) -> None:
        self.begin("src")
        server = self.boot_full()
        self.begin("dest")
        self.act(server, "migrate", then="VERIFY_RESIZE")
        self.switch("src", "dest")
        with self.step("reverted"):
            self.act(server, "revertResize")
            self.check(server)
        self.delete(server)


class ToStock(lives.Lives):
    """From ours back to nova's own."""

    DRIVER = OURS
    REFRESHES = False

    def test_on_one_host(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.restart("src", driver=STOCK)
        with self.step("hard reboot"):
            self.act(server, "reboot", {"type": "HARD"})
            assert before == self.check(server)
        with self.step("rescued and unrescued"):
            self.act(server, "rescue", {}, then="RESCUE")
            self.act(server, "unrescue")
            assert before == self.check(server)
        with self.step("rebuilt"):
            self.act(
                server,
                "rebuild",
                {"imageRef": self.glance.image1["id"], "adminPass": "Key-5"},
            )
            self.given(server, files=(), password="Key-5")
            self.check(server)
        self.delete(server)

    def test_deleted_at_once(self) -> None:
        self.begin("src")
        server = self.boot_full()
        rescued = self.boot(config_drive=True)
        self.act(rescued, "rescue", {}, then="RESCUE")
        self.restart("src", driver=STOCK)
        self.delete(server)
        self.delete(rescued)

    def test_migrated_and_evacuated(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.begin("dest")
        self.restart("src", driver=STOCK)
        self.restart("dest", driver=STOCK)
        with self.step("migrated, and reverted"):
            self.act(server, "migrate", then="VERIFY_RESIZE")
            self.check(server, left_on="src", old=before)
            self.act(server, "revertResize")
            self.check(server, old=before)
        self.fail_host("src")
        with self.step("evacuated"):
            self.act(server, "evacuate", {"adminPass": "Key-6"})
            self.given(server, files=(), password="Key-6")
            self.check(server, left_on="src")
        self.recover("src")
        self.delete(server)


class Mixed(lives.Lives):
    """One host has our driver, the other one has nova's own."""

    def begin_mixed(self, first: str, second: str) -> dict[str, Any]:
        """Boot on src; return the server."""
        self.begin("src", driver=first)
        server = self.boot_full()
        self.begin("dest", driver=second)
        return server

    def moved(self, server: dict[str, Any]) -> Drive:
        """See the drive come to dest in a live migration."""
        before: Drive = self.check(server)
        self.live_migrate(server)
        assert self.host_of(server) == "dest"
        assert before == self.check(server)
        return before
