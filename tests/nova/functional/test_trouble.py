"""Our driver, where something goes wrong, or storage is shared."""

from __future__ import annotations

import dataclasses
import subprocess

import lives
from deployment import FILES, OURS, PASSWORD
from drives import ISO9660, VFAT
from hypervisor import failure
from nova.tests.fixtures import libvirt as fakelibvirt

from cfgdrive_virt.adapters.nova import rpc
from cfgdrive_virt.model.migration import MigratingDrive


class TestIso9660(lives.Lives):
    DRIVER = OURS
    REFRESHES = True
    FORM = ISO9660

    def test_a_live_migration_that_fails(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.begin("dest")

        def fail() -> None:
            # It has come as far as that.
            assert before == self.read("dest", server)
            raise failure("the guest didn't make it")

        self.hypervisor.on_the_way = fail
        with self.step("failed"):
            self.fail_to_live_migrate(server)
            assert self.host_of(server) == "src"
            assert before == self.check(server)
        self.hypervisor.on_the_way = lambda: None
        with self.step("tried again"):
            self.live_migrate(server)
            assert self.host_of(server) == "dest"
            assert before == self.check(server)
        self.delete(server)

    def test_a_source_that_sends_another_instances_drive(self) -> None:
        """A compromised host reaches no drive but that of its own guest."""
        forged: dict[str, str] = {}
        add_note = rpc.add_note

        def forge(data: object, note: rpc.Note) -> None:
            if isinstance(note, MigratingDrive) and note.uuid in forged:
                uuid = forged[note.uuid]
                note = dataclasses.replace(
                    note,
                    uuid=uuid,
                    location=note.location.replace(note.uuid, uuid),
                )
            add_note(data, note)

        def send(*_: object) -> bytes:
            return self.file("src", server).read_bytes()

        self.stub_out("cfgdrive_virt.adapters.nova.rpc.add_note", forge)
        self.stub_out(
            "cfgdrive_virt.adapters.nova.live_migration"
            ".LiveMigrationDriver._read_migrating",
            send,
        )
        self.begin("src")
        victim = server = self.boot_full()
        self.begin("dest")
        with self.step("the victim moves to the destination"):
            self.live_migrate(victim)
            there = self.check(victim)
        self.fail_host("dest")
        server = self.boot_full()
        self.recover("dest")
        before = self.check(server)
        forged[server["id"]] = victim["id"]
        with self.step("refused"):
            self.fail_to_live_migrate(server)
            assert self.host_of(server) == "src"
            assert before == self.check(server)
            assert there == self.read("dest", victim)

    def test_a_live_migration_whose_source_lies(self) -> None:
        """It is asked for nothing, or for no more than the drive has."""
        lies: dict[str, object] = {}
        sent: list[bytes] = []
        add_note = rpc.add_note

        def forge(data: object, note: rpc.Note) -> None:
            if isinstance(note, MigratingDrive):
                note = dataclasses.replace(note, **lies)
            add_note(data, note)

        def send(*_: object) -> bytes:
            sent.append(self.file("src", server).read_bytes() + bytes(1 << 20))
            return sent[-1]

        self.stub_out("cfgdrive_virt.adapters.nova.rpc.add_note", forge)
        self.stub_out(
            "cfgdrive_virt.adapters.nova.live_migration"
            ".LiveMigrationDriver._read_migrating",
            send,
        )
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.begin("dest")
        for lie, asked in (
            ({"size": 1 << 50}, 0),
            ({"location": "/etc/passwd"}, 0),
            ({"sha256": "0" * 64}, 1),
            ({}, 1),
        ):
            lies.clear()
            lies.update(lie)
            sent.clear()
            with self.step(f"refused, with {lie}"):
                self.fail_to_live_migrate(server)
                assert len(sent) == asked
                assert self.host_of(server) == "src"
                assert before == self.check(server)
        self.delete(server)

    def test_storage_that_hosts_share(self) -> None:
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        self.start("dest", shared_with="src")
        for host in ("dest", "src"):
            with self.step(f"live migrated to {host}"):
                self.live_migrate(server)
                assert host == self.host_of(server)
                assert before == self.check(server)
        resized = [f"{server['id']}_resize/disk.config"]
        with self.step("migrated"):
            self.act(server, "migrate", then="VERIFY_RESIZE")
            assert before == self.check(server, left_on="src", beside=resized)
        with self.step("reverted"):
            self.act(server, "revertResize")
            assert before == self.check(server)
        self.fail_host("src")
        with self.step("evacuated, with a new password"):
            self.act(server, "evacuate", {"adminPass": "Key-7"})
            assert self.host_of(server) == "dest"
            # The files are known from the drive that is there.
            self.given(server, files=FILES, password="Key-7")
            self.check(server, left_on="src")
        with self.step("the old host is back"):
            self.recover("src")
            self.check(server)
        self.delete(server)

    def test_a_drive_that_is_damaged_or_gone(self) -> None:
        self.begin("src")
        server = self.boot_full()
        self.check(server)
        path = self.file("src", server)
        with self.step("full of zeros"):
            path.write_bytes(bytes(path.stat().st_size))
            self.act(server, "reboot", {"type": "HARD"})
            # What only the drive knew is lost with it.
            self.given(server, files=(), password=None)
            self.check(server)
        with self.step("gone"):
            path.unlink()
            self.act(server, "reboot", {"type": "HARD"})
            self.check(server)
        self.delete(server)

    def test_a_guest_that_does_not_start(self) -> None:
        self.begin("src", "dest")
        original = fakelibvirt.Domain.createWithFlags
        tried = []

        def fail_once(domain: object, flags: int) -> None:
            tried.append(domain._connection.hostname)
            if len(tried) == 1:
                raise failure("no")
            original(domain, flags)

        self.stub_out(
            "nova.tests.fixtures.libvirt.Domain.createWithFlags", fail_once
        )
        server = self.boot_full()
        assert {"src", "dest"} == set(tried)
        assert tried[1] == self.host_of(server)
        self.check(server)
        self.delete(server)

    def test_a_power_cut_of_the_host(self) -> None:
        self.flags(resume_guests_state_on_host_boot=True)
        self.begin("src")
        server = self.boot_full()
        before = self.check(server)
        connection = self._connection("src")
        connection._running_vms.clear()
        for domain in connection._vms.values():
            domain._state = fakelibvirt.VIR_DOMAIN_SHUTOFF
        self.restart("src")
        self._wait_for_state_change(server, "ACTIVE")
        assert before == self.check(server)
        self.delete(server)


class TestVfat(lives.Lives):
    DRIVER = OURS
    REFRESHES = True
    FORM = VFAT

    def test_what_the_guest_wrote_goes_with_it(self) -> None:
        self.begin("src")
        server = self.boot_full()
        path = self.file("src", server)
        subprocess.run(
            ["mcopy", "-i", path, "-", "::note"],
            input=b"mine",
            check=True,
            timeout=30,
        )
        self.begin("dest")
        with self.step("live migrated"):
            self.live_migrate(server)
            assert self.read("dest", server).files["note"] == b"mine"
            self.check_left(server, "dest")
        with self.step("told otherwise, and hard reboot"):
            self.api.post_server_metadata(server["id"], {"role": "db"})
            self.act(server, "reboot", {"type": "HARD"})
            self.given(server, files=FILES, password=PASSWORD)
            self.check(server)
        self.delete(server)
