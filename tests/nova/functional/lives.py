"""Lives of servers, whichever driver their hosts have.

After each step the drive is compared with what nova says of the server by
then (see ``checked``).
"""

from __future__ import annotations

import base64
import json
from typing import Any

from checked import Checked
from deployment import FILES, PASSWORD, PUBLIC_KEY, USER_DATA
from drives import ISO9660, Drive
from nova import version

_RELEASE = tuple(map(int, version.version_string().split(".")[:2]))

#: Whether nova itself copies an ISO before a live migration, by ssh.
COPIES_ISOS = _RELEASE <= (30, 0)

NEW_PASSWORD = "Sesame-2-open"
NEW_FILES = (("/etc/issue", b"rebuilt\n"),)


class Lives(Checked):
    """What is said here holds for nova's own driver, and for ours.

    :cvar FORM: file system of the drives
    """

    FORM = ISO9660

    def begin(self, *hosts: str, driver: str | None = None) -> None:
        for host in hosts:
            if self.FORM == ISO9660:
                # What both drivers make where nobody says otherwise.
                self.start(host, driver=driver)
            else:
                self.start(host, driver=driver, config_drive_format=self.FORM)

    def check(self, server: dict[str, Any], **kwargs: Any) -> Any:
        drive = super().check(server, **kwargs)
        assert drive.form == self.FORM
        return drive

    def resize(
        self, server: dict[str, Any], flavor: str, **checked: Any
    ) -> None:
        self.act(
            server,
            "resize",
            {"flavorRef": self.flavor(flavor)},
            then="VERIFY_RESIZE",
        )
        self.check(server, **checked)


class OneHost(Lives):
    """A server that stays where it is."""

    def test_on_one_host(self) -> None:
        self.flags(allow_resize_to_same_host=True)
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.has_all_that_was_given(before)
        self.stopped_and_started(server, before)
        self.rebooted(server, before)
        self.rescued_and_unrescued(server)
        self.resized_on_its_own_host(server)
        self.rebuilt(server)
        with self.step("deleted while it is rescued"):
            self.act(server, "rescue", {}, then="RESCUE")
            self.delete(server)

    def has_all_that_was_given(self, drive: Drive) -> None:
        """What nova says isn't just nothing."""
        told = json.loads(drive.files["openstack/latest/meta_data.json"])
        assert told["admin_pass"] == PASSWORD
        assert told["meta"]["role"] == "web"
        assert told["public_keys"] == {"key": PUBLIC_KEY}
        assert [device["tags"] for device in told["devices"]] == [["front"]]
        assert [
            (file["path"], drive.files[f"openstack{file['content_path']}"])
            for file in told["files"]
        ] == list(FILES)
        assert drive.files["openstack/latest/user_data"] == USER_DATA

    def stopped_and_started(
        self, server: dict[str, Any], before: Drive
    ) -> None:
        for there, state, back in (
            ("suspend", "SUSPENDED", "resume"),
            ("pause", "PAUSED", "unpause"),
            ("os-stop", "SHUTOFF", "os-start"),
        ):
            with self.step(there):
                self.act(server, there, then=state)
                assert before == self.check(server)
            with self.step(back):
                self.act(server, back)
                assert before == self.check(server)

    def rebooted(self, server: dict[str, Any], before: Drive) -> None:
        with self.step("soft reboot"):
            self.act(server, "reboot", {"type": "SOFT"})
            assert before == self.check(server)
        with self.step("hard reboot"):
            self.act(server, "reboot", {"type": "HARD"})
            assert before == self.check(server)
        with self.step("told otherwise, and hard reboot"):
            self.api.post_server_metadata(server["id"], {"role": "db"})
            self.act(server, "reboot", {"type": "HARD"})
            after = self.check(server, old=before)
            assert (before == after) == (not self.REFRESHES)

    def rescued_and_unrescued(self, server: dict[str, Any]) -> None:
        before = self.read("src", server)
        beside = [f"{server['id']}/disk.config"]
        for body in ({}, {"adminPass": "Key-3"}):
            with self.step(f"rescue {body}"):
                answer = self.act(server, "rescue", body, then="RESCUE")
                self.check(
                    server,
                    name="disk.config.rescue",
                    password=answer["adminPass"],
                    beside=beside,
                )
                assert before == self.read("src", server)
            with self.step("unrescue"):
                self.act(server, "unrescue")
                assert before == self.check(server, old=before)

    def resized_on_its_own_host(self, server: dict[str, Any]) -> None:
        before = self.read("src", server)
        resized = [f"{server['id']}_resize/disk.config"]
        with self.step("resized"):
            self.resize(server, "large", beside=resized, old=before)
        with self.step("reverted"):
            self.act(server, "revertResize")
            self.check(server, old=before)
        with self.step("resized again"):
            self.resize(server, "large", beside=resized, old=before)
        with self.step("confirmed"):
            self.act(server, "confirmResize")
            self.check(server, old=before)

    def rebuilt(self, server: dict[str, Any]) -> None:
        before = self.read("src", server)
        with self.step("rebuilt with new files, password and metadata"):
            self.act(
                server,
                "rebuild",
                {
                    "imageRef": self.glance.image1["id"],
                    "adminPass": NEW_PASSWORD,
                    "metadata": {"role": "cache"},
                    "personality": [
                        {
                            "path": path,
                            "contents": base64.b64encode(content).decode(),
                        }
                        for path, content in NEW_FILES
                    ],
                },
            )
            self.given(server, files=NEW_FILES, password=NEW_PASSWORD)
            assert before != self.check(server)
        with self.step("rebuilt with new user data"):
            answer = self.act(
                server,
                "rebuild",
                {
                    "imageRef": self.glance.image1["id"],
                    "user_data": base64.b64encode(b"#!/bin/sh\n").decode(),
                },
                version="2.57",
            )
            self.given(
                server, files=(), password=answer["server"]["adminPass"]
            )
            drive = self.check(server)
            assert drive.files["openstack/latest/user_data"] == b"#!/bin/sh\n"
        with self.step("rebuilt while it is stopped"):
            self.act(server, "os-stop", then="SHUTOFF")
            answer = self.act(
                server,
                "rebuild",
                {"imageRef": self.glance.image1["id"]},
                then="SHUTOFF",
            )
            self.given(
                server, files=(), password=answer["server"]["adminPass"]
            )
            self.check(server)
            self.act(server, "os-start")


class LiveMigration(Lives):
    """A server that moves while it runs."""

    def test_live_migrated(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.begin("dest")
        for host in ("dest", "src"):
            with self.step(f"to {host}"):
                self.live_migrate(server)
                assert host == self.host_of(server)
                self.check_moved(before, server)
        with self.step("hard reboot after it"):
            self.act(server, "reboot", {"type": "HARD"})
            self.check_moved(before, server)
        self.delete(server)

    def check_moved(self, before: Drive, server: dict[str, Any]) -> None:
        """It is the same one, to the byte."""
        assert before == self.check(server)


class Walks(OneHost, LiveMigration):
    """What depends on the file system as well."""

    def test_resized_and_migrated(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.begin("dest")
        with self.step("resized"):
            self.resize(server, "large", left_on="src", old=before)
            assert self.host_of(server) == "dest"
        with self.step("reverted"):
            self.act(server, "revertResize")
            self.check(server)
            assert self.host_of(server) == "src"
        with self.step("resized again"):
            self.resize(server, "large", left_on="src", old=before)
        with self.step("confirmed"):
            self.act(server, "confirmResize")
            self.check(server, old=before)
            assert self.host_of(server) == "dest"
        with self.step("migrated back"):
            self.act(server, "migrate", then="VERIFY_RESIZE")
            self.check(server, left_on="dest", old=before)
        with self.step("deleted before it is confirmed"):
            self.delete(server)


class Everything(Walks):
    """What depends on it less."""

    def test_who_gets_a_drive(self) -> None:
        self.begin("src")
        with self.step("asked for by nobody"):
            bare = self.boot()
            self.check_no_drive(bare)
        with self.step("by request"):
            self.check(self.boot(config_drive=True))
        with self.step("by image property"):
            image = self._create_image(
                metadata={"img_config_drive": "mandatory"}
            )
            self.check(self.boot(imageRef=image["id"]))
        self.flags(force_config_drive=True)
        with self.step("by force_config_drive"):
            forced = self.boot()
            self.check(forced)
        with self.step("forced, but launched before that"):
            self.act(bare, "reboot", {"type": "HARD"})
            self.check_no_drive(bare)
        self.flags(force_config_drive=False)
        with self.step("forced once, and for good"):
            self.act(forced, "reboot", {"type": "HARD"})
            self.check(forced)

    def test_shelved(self) -> None:
        self.begin("src")
        server = self.boot_full()
        self.check(server)
        with self.step("shelved and offloaded"):
            self.act(server, "shelve", then="SHELVED_OFFLOADED")
            self.check_left(server)
        self.begin("dest")
        self.disable("src")
        with self.step("unshelved elsewhere"):
            self.act(server, "unshelve")
            # nova forgot them when it had spawned, and the drive is gone.
            self.given(server, files=(), password=None)
            old = self.check(server, scrubbed=True)
            assert self.host_of(server) == "dest"
        with self.step("hard reboot after it"):
            self.act(server, "reboot", {"type": "HARD"})
            self.check(server, old=old)
        self.delete(server)

    def test_evacuated(self) -> None:
        self.begin("src")
        server = self.boot_full()
        self.check(server)
        self.begin("dest")
        self.fail_host("src")
        with self.step("evacuated"):
            self.act(server, "evacuate", {"adminPass": "Key-4"})
            assert self.host_of(server) == "dest"
            self.given(server, files=(), password="Key-4")
            self.check(server, left_on="src")
        with self.step("the old host is back"):
            self.recover("src")
            self.check(server)
        self.delete(server)
