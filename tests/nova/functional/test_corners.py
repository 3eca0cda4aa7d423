"""Our driver, in nova, off the beaten track."""

from __future__ import annotations

import json
from typing import Any

import lives
import pytest
from deployment import OURS
from drives import ISO9660
from nova import context as nova_context
from nova import exception, objects
from nova.tests import fixtures as nova_fixtures

from cfgdrive_virt.adapters.nova import rpc
from cfgdrive_virt.model.migration import MigratingDrive


class TestCorners(lives.Lives):
    DRIVER = OURS
    REFRESHES = True
    FORM = ISO9660

    def test_a_guest_that_keeps_its_devices_in_rescue(self) -> None:
        """nova makes the drive for it, and attaches the other one."""
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        image = self._create_image(
            metadata={"hw_rescue_device": "disk", "hw_rescue_bus": "virtio"}
        )
        answer = self.act(
            server, "rescue", {"rescue_image_ref": image["id"]}, then="RESCUE"
        )
        self.check(
            server,
            name="disk.config.rescue",
            password=answer["adminPass"],
            beside=[f"{server['id']}/disk.config"],
        )
        self.act(server, "unrescue")
        assert before == self.check(server)
        self.delete(server)

    def test_an_image_that_asks_for_what_cannot_be(self) -> None:
        """It is told at once, and no other host is tried."""
        self.begin("src", "dest")
        image = self._create_image(
            metadata={"hw_machine_type": "q35", "hw_cdrom_bus": "ide"}
        )
        made = self.api.post_server(
            {
                "server": {
                    "name": "web",
                    "imageRef": image["id"],
                    "flavorRef": self.flavor("small"),
                    "networks": "none",
                    "config_drive": True,
                }
            }
        )
        server = self._wait_for_state_change(made, "ERROR")
        told = server["fault"]["message"]
        assert "image property hw_cdrom_bus=ide, and q35" in told
        assert "aborted" in told
        self.api.delete_server(server["id"])
        self._wait_until_deleted(server)

    def test_metadata_that_cannot_be_had(self) -> None:
        """A hard reboot is a remedy; it must not need what has failed."""
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)

        def fail(*_: object, **__: object) -> None:
            raise exception.NeutronAdminCredentialConfigurationInvalid

        original = "nova.api.metadata.base.InstanceMetadata.__init__"
        self.stub_out(original, fail)
        self.act(server, "reboot", {"type": "HARD"})
        assert before == self.read("src", server)

    def send(self, context: Any, uuid: str, host: str) -> None:
        """Have a host receive an instance as a source says."""
        driver = self.computes[host].driver
        data = objects.LibvirtLiveMigrateData(is_shared_instance_path=True)
        place = str(driver._drive_driver.location(uuid))
        drive = MigratingDrive(
            uuid, place, shared=False, readonly=True, sha256="0" * 64
        )
        rpc.add_note(data, drive)
        instance = objects.Instance.get_by_uuid(context, uuid)
        instance.task_state, instance.host = "migrating", "src"
        driver.pre_live_migration(context, instance, {}, [], None, data)

    def test_a_drive_whose_instance_goes_nowhere(self) -> None:
        """A service hands out those that nova is moving away, no others."""
        self.begin("src")
        server = self.boot_full()
        self.check(server)
        self.begin("dest")
        driver = self.computes["src"].driver
        context = nova_context.get_admin_context()
        for step in ("before", "after"):
            with (
                self.step(step),
                self.hosts.on("src"),
                pytest.raises(
                    exception.MigrationPreCheckError,
                    match="is not migrating instance",
                ),
            ):
                driver._read_migrating(context, server["id"])
            with (
                self.step(f"{step}: a source sends it"),
                self.hosts.on("dest"),
                pytest.raises(
                    exception.MigrationPreCheckError,
                    match="and not migrating to dest",
                ),
            ):
                self.send(context, server["id"], "dest")
            if step == "before":
                self.live_migrate(server)
        self.delete(server)


class TestFromVolume(lives.LiveMigration):
    """Where nova keeps no disk of a guest but the drive."""

    DRIVER = OURS
    REFRESHES = True
    FORM = ISO9660

    # Of the others' steps, those that nova allows such a guest.
    test_resized_and_migrated = lives.Walks.test_resized_and_migrated
    test_shelved = lives.Everything.test_shelved

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(nova_fixtures.CinderFixture(self))

    def boot_full(self, **fields: Any) -> dict[str, Any]:
        root = {
            "uuid": nova_fixtures.CinderFixture.IMAGE_BACKED_VOL,
            "source_type": "volume",
            "destination_type": "volume",
            "boot_index": 0,
            "tag": "system",
        }
        return super().boot_full(
            imageRef="", block_device_mapping_v2=[root], **fields
        )

    def test_what_its_volume_is_for(self) -> None:
        self.begin("src")
        server = self.boot_full()
        drive = self.check(server)
        told = json.loads(drive.files["openstack/latest/meta_data.json"])
        assert sorted(device["tags"] for device in told["devices"]) == [
            ["front"],
            ["system"],
        ]
        self.delete(server)
