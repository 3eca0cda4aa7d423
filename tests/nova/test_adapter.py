"""What the driver for nova puts between nova's values and ours."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import eventlet
import oracle
import oslo_messaging as messaging
import pytest
from instances import INSTANCES
from nova.virt.libvirt import blockinfo as nova_blockinfo
from nova.virt.libvirt import config as nova_config
from nova.virt.libvirt import driver as nova_driver
from nova.virt.libvirt.volume import remotefs
from oracle import objects

from cfgdrive_virt import InjectedFile, Recalled, RenderedRequest
from cfgdrive_virt.adapters.nova import (
    blockinfo,
    driver,
    metadata,
    releases,
    rpc,
    tpool,
)
from cfgdrive_virt.exception import MigrationRefused, Problem
from cfgdrive_virt.metadata.openstack import OPENSTACK, check
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from cfgdrive_virt.model.tree import MetadataTree

UUID = "b65cee2f-8c69-4aeb-be2f-f79742548fc2"
CHECK = DestinationCheck(UUID, ("/a", "/b"), None, "0" * 32)
DRIVE = MigratingDrive(
    UUID, "/a", shared=False, readonly=True, size=9, sha256="0" * 64
)
#: What a compromised host may send in place of a text.
WRONG_TEXTS = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "nothing": "null",
    "too long": '"' + "a" * (1 << 21) + '"',
    "deep": "[" * 60_000,
    "a deep mapping": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "NaN": '{"uuid": NaN}',
    "a huge number": '{"uuid": ' + "1" * 5_000 + "}",
    "a name twice": '{"uuid": 1, "uuid": 2}',
    "a lone surrogate": '"\\ud800"',
}
NOTHING = Recalled()


def coded(part: bytes) -> str:
    """Return a part as the source sends it."""
    return base64.b64encode(zlib.compress(part)).decode()


def instance(spawn: oracle.Spawn, **fields: Any) -> objects.Instance:
    made = oracle.nova_instance(spawn)
    plain = {"config_drive": "True", "launched_at": None, "task_state": None}
    for name, value in (plain | fields).items():
        setattr(made, name, value)
    return made


class TestFiles:
    """Nova renders; our tree holds what nova's own drive would."""

    @pytest.mark.parametrize("name", INSTANCES)
    def test_are_those_of_novas_own_drive(
        self, drives: oracle.Drives, name: str
    ) -> None:
        spawn = INSTANCES[name]
        made = rendered(drives, spawn)
        assert told(made) == told(drives.of_nova(spawn))

    def test_have_what_nova_knows_once_from_the_drive_that_is_there(
        self, drives: oracle.Drives
    ) -> None:
        spawn = INSTANCES["plain"]
        known = Recalled("secret", (InjectedFile(path="/m", content=b"hi"),))
        made = rendered(drives, spawn, known)
        latest = json.loads(made["openstack/latest/meta_data.json"])
        assert latest["admin_pass"] == "secret"
        assert latest["files"] == [
            {"path": "/m", "content_path": "/content/0000"}
        ]
        assert made["openstack/content/0000"] == b"hi"

    def test_leave_out_what_leaves_no_room_for_what_nova_says(
        self, drives: oracle.Drives, caplog: pytest.LogCaptureFixture
    ) -> None:
        spawn = oracle.Spawn(
            instance={"metadata": {f"{n:03}": "," * 255 for n in range(128)}}
        )
        known = Recalled(
            "secret",
            tuple(
                InjectedFile(path=f",,,{n}", content=b"x") for n in range(1000)
            ),
        )
        made = rendered(drives, spawn, known)
        assert told(made) == told(drives.of_nova(spawn))
        assert "What only the config drive of instance" in caplog.text

    def test_leave_out_what_readers_would_refuse(
        self,
        drives: oracle.Drives,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def problems(tree: MetadataTree) -> Iterator[Problem]:
            path = "openstack/latest/meta_data.json"
            if b"odd" in tree.files[path]:
                yield Problem(path, "", "must not be odd")

        monkeypatch.setattr(check, "problems", problems)
        spawn = INSTANCES["plain"]
        assert told(rendered(drives, spawn, Recalled("odd"))) == told(
            drives.of_nova(spawn)
        )

    @pytest.mark.parametrize("name", INSTANCES)
    def test_are_a_drives_as_they_are(
        self, drives: oracle.Drives, name: str
    ) -> None:
        made = rendered(drives, INSTANCES[name])
        request = RenderedRequest(uuid=UUID, files=made)
        assert OPENSTACK.rendered(request).files == made

    @pytest.mark.parametrize(
        ("answer", "kept"),
        [({}, {"rack": "r12"}), ({"rack": "r13"}, {"rack": "r13"})],
    )
    def test_keep_what_a_service_said_that_gives_no_answer_now(
        self, drives: oracle.Drives, answer: Any, kept: Any
    ) -> None:
        spawn = oracle.Spawn(
            api={"vendordata_providers": ["StaticJSON", "DynamicJSON"]},
            dynamic={"site": answer},
        )
        once = {"static": {"a": 1}, "site": {"rack": "r12"}, "old": 1}
        known = Recalled(vendor_data2=once)
        made = rendered(drives, spawn, known)
        latest = json.loads(made["openstack/latest/vendor_data2.json"])
        assert latest == {"static": {}, "site": kept}


def rendered(
    drives: oracle.Drives, spawn: oracle.Spawn, known: Recalled = NOTHING
) -> Mapping[str, bytes]:
    """Return the files for an instance as it is spawned."""
    with drives.around(spawn):
        return metadata.rendered(
            instance(spawn),
            spawn.network_info,
            injected_files=spawn.files,
            admin_pass=spawn.admin_pass,
            known=known,
        ).files


def told(files: Any) -> dict[str, Any]:
    """Return files to be compared: each rendering has seeds of its own."""
    found = dict(files)
    for path, data in found.items():
        if path.endswith("meta_data.json"):
            found[path] = json.loads(data) | {"random_seed": None}
    return found


class TestRequest:
    def test_has_what_decides(self) -> None:
        image = objects.ImageMeta.from_dict(
            {
                "properties": {
                    "hw_disk_bus": "scsi",
                    "hw_machine_type": "q35",
                    "os_distro": "ubuntu",
                    "hw_vif_model": "virtio",
                }
            }
        )
        made = metadata.request_of(
            instance(INSTANCES["plain"], config_drive=""), image
        )
        assert (made.config_drive, made.launched) == (False, False)
        assert dict(made.image_properties) == {
            "hw_disk_bus": "scsi",
            "hw_machine_type": "q35",
            "os_distro": "ubuntu",
        }


@pytest.fixture
def followed() -> Iterator[Callable[[str], None]]:
    """Have all drives on a device of a kind."""
    original = nova_blockinfo.get_disk_mapping
    yield lambda device: blockinfo.follow(lambda *_: device)
    nova_blockinfo.get_disk_mapping = original


class TestDevices:
    def mapping(self, *volumes: str, **fields: Any) -> dict[str, Any]:
        flavor = objects.Flavor(
            name="m1", swap=1, ephemeral_gb=0, root_gb=1, extra_specs={}
        )
        image = objects.ImageMeta.from_dict({"properties": {}})
        made = instance(INSTANCES["plain"], **fields)
        made.flavor, made.ephemeral_gb, made.os_type = flavor, 0, None
        attached = [
            {
                "mount_device": volume,
                "disk_bus": "virtio",
                "device_type": "disk",
                "boot_index": None,
                "guest_format": None,
            }
            for volume in volumes
        ]
        found = nova_blockinfo.get_disk_info(
            "qemu",
            made,
            image,
            {
                "root_device_name": "/dev/vda",
                "image": [
                    {
                        "device_name": "/dev/vda",
                        "disk_bus": "virtio",
                        "device_type": "disk",
                        "boot_index": 0,
                    }
                ],
                "ephemerals": [],
                "swap": None,
                "block_device_mapping": attached,
            },
        )
        mapping: dict[str, Any] = found["mapping"]
        return mapping

    @pytest.mark.parametrize("asked", ["cdrom", "disk"])
    @pytest.mark.parametrize(
        ("device", "bus", "prefix"),
        [("cdrom", "ide", "hd"), ("disk", "virtio", "vd")],
    )
    def test_are_those_that_were_decided_on_with_novas_names(
        self,
        followed: Callable[[str], None],
        monkeypatch: pytest.MonkeyPatch,
        asked: str,
        device: str,
        bus: str,
        prefix: str,
    ) -> None:
        monkeypatch.setattr(
            nova_blockinfo, "get_config_drive_type", lambda: asked
        )
        followed(device)
        found = self.mapping()["disk.config"]
        # nova's where it means the same device, else one from the far end.
        far = {"ide": "d", "virtio": "z"}[bus]
        near = {"ide": "a", "virtio": "c"}[bus]
        letter = near if asked == device else far
        assert found == {"bus": bus, "dev": prefix + letter, "type": device}

    def test_keep_their_name_while_volumes_come_and_go(
        self, followed: Callable[[str], None]
    ) -> None:
        followed("disk")
        found = [
            self.mapping(*volumes)["disk.config"]["dev"]
            for volumes in ([], ["/dev/vdb"], ["/dev/vdb", "/dev/vdc"])
        ]
        assert found == ["vdz"] * 3

    def test_are_none_without_a_drive(
        self, followed: Callable[[str], None]
    ) -> None:
        followed("disk")
        assert "disk.config" not in self.mapping(config_drive="")

    def test_have_a_unit_and_limits_as_every_disk(self) -> None:
        xml = (
            '<disk type="file" device="cdrom"><driver name="qemu" type="raw"'
            ' cache="none"/><source file="/d"/><target dev="hdd" bus="ide"/>'
            "<readonly/></disk>"
        )
        mapping = {
            "disk.config": {"bus": "scsi", "dev": "sdb", "type": "disk"},
            "unit": 3,
        }
        made = blockinfo.disk_config(
            xml,
            "disk.config",
            mapping,
            {"quota:disk_write_bytes_sec": "1000", "hw:cpu_policy": "shared"},
        )
        assert made.to_xml(pretty_print=False) == (
            '<disk type="file" device="disk"><driver name="qemu" type="raw"'
            ' cache="none"/><source file="/d"/><target dev="sdb" bus="scsi"/>'
            "<iotune><write_bytes_sec>1000</write_bytes_sec></iotune>"
            '<address type="drive" controller="0" unit="3"/></disk>'
        )
        assert mapping["unit"] == 4


def a_disk(source: str, bus: str = "scsi") -> Any:
    """Return nova's object for a disk in a file, or in a pool."""
    made = nova_config.LibvirtConfigGuestDisk()
    made.target_bus = bus
    if source.startswith("/"):
        made.source_type, made.source_path = "file", source
    else:
        made.source_type, made.source_name = "network", source
    return made


def a_controller(kind: str, model: str) -> Any:
    made = nova_config.LibvirtConfigGuestController()
    made.type, made.model, made.index = kind, model, 0
    return made


DRIVES = [
    "/instances/uuid/disk.config",
    "/instances/uuid/disk.config.rescue",
    "vms/uuid_disk.config",
    "vms/uuid_disk.config.rescue",
]


class TestControllers:
    """nova's own, and the one that a drive lacks."""

    @pytest.mark.parametrize("source", DRIVES)
    def test_are_added_for_a_drive_alone_on_scsi(self, source: str) -> None:
        devices = [
            nova_config.LibvirtConfigGuestFilesys(),
            a_disk("/instances/uuid/disk", "virtio"),
            a_disk(source),
            a_controller("usb", "qemu-xhci"),
        ]
        (made,) = blockinfo.missing_controllers(devices)
        assert made.to_xml(pretty_print=False) == (
            '<controller type="scsi" index="0" model="virtio-scsi"/>'
        )

    @pytest.mark.parametrize(
        "devices",
        [
            pytest.param([], id="nothing"),
            pytest.param([a_disk(DRIVES[0], "sata")], id="on another bus"),
            pytest.param(
                [a_disk(DRIVES[0]), a_controller("scsi", "lsilogic")],
                id="hw_scsi_model",
            ),
            pytest.param(
                [a_disk("/instances/uuid/disk"), a_disk(DRIVES[0])],
                id="beside the root disk",
            ),
            pytest.param([a_disk("/instances/uuid/disk")], id="no drive"),
            pytest.param([a_disk("vms/uuid_disk")], id="no drive in Ceph"),
        ],
    )
    def test_stay_novas_own(self, devices: list[Any]) -> None:
        assert blockinfo.missing_controllers(devices) == []

    @pytest.mark.parametrize(
        ("architecture", "models"),
        [
            ("x86_64", ["virtio-scsi"]),
            ("aarch64", ["virtio-scsi"]),
            ("ppc64le", []),
        ],
    )
    def test_are_in_the_domain(
        self,
        monkeypatch: pytest.MonkeyPatch,
        architecture: str,
        models: list[str],
    ) -> None:
        def novas(*_: Any) -> list[Any]:
            return [a_disk(DRIVES[0])]

        monkeypatch.setattr(
            nova_driver.LibvirtDriver, "_get_guest_storage_config", novas
        )
        image = objects.ImageMeta.from_dict(
            {"properties": {"hw_architecture": architecture}}
        )
        ours = object.__new__(driver.LibvirtDriver)
        ours._check_emulation_arch = lambda _: architecture
        found = ours._get_guest_storage_config(
            None, None, image, {}, None, {}, None, "hvm"
        )
        assert [each.model for each in found[1:]] == models


class TestHosts:
    """What they tell each other, in nova's own data and over its bus."""

    @pytest.mark.parametrize("told", [CHECK, DRIVE, None])
    def test_tell_each_other_of_a_drive(
        self, told: DestinationCheck | MigratingDrive | None
    ) -> None:
        data = objects.LibvirtLiveMigrateData()
        rpc.add_note(data, told)
        sent = objects.LibvirtLiveMigrateData.obj_from_primitive(
            json.loads(json.dumps(data.obj_to_primitive()))
        )
        assert rpc.take_note(sent) == (True, told)
        assert rpc.take_note(sent) == (False, None)
        assert sent.bdms == []

    def test_know_novas_own_driver_by_its_silence(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        assert rpc.take_note(data) == (False, None)
        volume = objects.LibvirtLiveMigrateBDMInfo(serial="a volume's")
        data.bdms = [volume]
        assert rpc.take_note(data) == (False, None)
        assert data.bdms == [volume]

    def test_of_another_version_are_understood(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        rpc.add_note(data, DRIVE)
        fields = data.bdms[0].connection_info | {"colour": "blue"}
        data.bdms[0].connection_info = fields
        assert rpc.take_note(data) == (True, DRIVE)

    def test_of_an_older_version_are_refused(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        rpc.add_note(data, CHECK)
        fields = data.bdms[0].connection_info
        data.bdms[0].connection_info = {
            "token" if name == "test_file" else name: value
            for name, value in fields.items()
        }
        with pytest.raises(MigrationRefused, match="upgrade both hosts"):
            rpc.take_note(data)

    @pytest.mark.parametrize("text", WRONG_TEXTS.values(), ids=WRONG_TEXTS)
    @pytest.mark.parametrize("kind", ["DestinationCheck", "MigratingDrive"])
    def test_refuse_a_note_that_is_not_valid(
        self, kind: str, text: str
    ) -> None:
        data = objects.LibvirtLiveMigrateData()
        rpc.add_note(data, None)
        data.bdms[0].type = kind
        data.bdms[0].connection_info_json = text
        with pytest.raises(MigrationRefused) as caught:
            rpc.take_note(data)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize("field", ["type", "connection_info_json"])
    @pytest.mark.parametrize("told", [CHECK, DRIVE])
    def test_refuse_a_note_that_lacks_a_field(
        self, told: DestinationCheck | MigratingDrive, field: str
    ) -> None:
        data = objects.LibvirtLiveMigrateData()
        rpc.add_note(data, told)
        whole = data.bdms[0]
        given = {
            name: getattr(whole, name)
            for name in ("serial", "type", "connection_info_json")
            if name != field
        }
        data.bdms = [objects.LibvirtLiveMigrateBDMInfo(**given)]
        with pytest.raises(MigrationRefused):
            rpc.take_note(data)

    def test_refuse_two_notes_and_an_unknown_one(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        rpc.add_note(data, DRIVE)
        data.bdms = [*data.bdms, *data.bdms]
        with pytest.raises(MigrationRefused, match="2 notes, the first one"):
            rpc.take_note(data)
        rpc.add_note(data, DRIVE)
        data.bdms[0].type = "Drive\x1b"
        with pytest.raises(MigrationRefused, match="upgrade both") as caught:
            rpc.take_note(data)
        assert str(caught.value).isprintable()

    def test_know_a_volume_by_no_serial(self) -> None:
        data = objects.LibvirtLiveMigrateData()
        data.bdms = [objects.LibvirtLiveMigrateBDMInfo(type="disk")]
        assert rpc.take_note(data) == (False, None)

    @pytest.mark.parametrize(
        ("path", "size", "told"),
        [
            ("/i/u/disk", 4096, False),
            ("/i/u/disk.config", 557_056, True),
            ("/i/u/disk.config", 64 * 1024 * 1024, False),
        ],
    )
    def test_tell_a_drive_that_nova_makes_by_its_size(
        self, path: str, size: int, told: bool
    ) -> None:
        disks = [{"path": path, "virt_disk_size": size}]
        assert rpc.has_iso(json.dumps(disks)) is told
        assert not rpc.has_iso(None)
        assert not rpc.has_iso("")

    @pytest.mark.parametrize(
        "disks",
        [
            *(text for text in WRONG_TEXTS.values() if text not in ("", "[]")),
            "[1]",
            "[[]]",
            "[{}]",
            '[{"path": 1}]',
            '[{"path": "/i/u/disk.config"}]',
            '[{"path": "disk.config", "virt_disk_size": "1"}]',
            '[{"path": "disk.config", "virt_disk_size": true}]',
            '[{"path": "disk.config", "virt_disk_size": -1}]',
            b"[]",
            7,
        ],
        ids=lambda disks: ascii(disks)[-12:],
    )
    def test_refuse_a_list_of_disks_that_is_not_valid(
        self, disks: Any
    ) -> None:
        with pytest.raises(MigrationRefused, match="the list of disks that"):
            rpc.has_iso(disks)

    def test_carry_a_large_drive_in_parts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drive = bytes(range(256)) * 40_000
        read = []

        def read_drive(_: Any, uuid: str) -> bytes:
            read.append(uuid)
            return drive

        endpoint = rpc.Endpoint(read_drive)
        asked = bus(monkeypatch, endpoint.read)
        wanted = MigratingDrive(
            UUID,
            "/a",
            shared=False,
            readonly=True,
            size=len(drive),
            sha256="0" * 64,
        )
        assert b"".join(rpc.fetch(None, "source", wanted)) == drive
        assert len(asked) == len(read) == 3

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (messaging.MessagingTimeout("no reply"), "no reply"),
            # oslo.messaging raises any error of Python's by its name.
            (KeyError("a" * 10_000), "source: 'a{299}$"),
            (RecursionError("\x1b[31m\n"), r"source: \\x1b\[31m\\n$"),
            (StopIteration(), "source: $"),
            ("a", "source: Invalid base64"),
            ("\ud800", "source: string argument should contain only ASCII"),
            ("a-_-", "source: Only base64 data"),
            (base64.b64encode(b"no zlib").decode(), "incorrect header"),
            (None, "a part is nothing"),
            (b"bytes", "a part is bytes of 5"),
            (7, "a part is a number"),
            (["a"], "a part is a list of 1"),
            ("a" * (8 << 20), "a part is a string of 8388608"),
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_tell_what_cannot_be_fetched(
        self, monkeypatch: pytest.MonkeyPatch, answer: Any, told: str
    ) -> None:
        def read(*_: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        asked = bus(monkeypatch, read)
        with pytest.raises(MigrationRefused, match=told):
            list(rpc.fetch(None, "source", DRIVE))
        assert asked == [0]

    @pytest.mark.parametrize(
        "part",
        [
            coded(b""),
            coded(b"8 bytes."),
            coded(b"10 bytes.."),
            coded(bytes(1 << 26)),
            base64.b64encode(zlib.compress(b"9 bytes..") + b"more").decode(),
            base64.b64encode(zlib.compress(b"9 bytes..")[:-1]).decode(),
        ],
        ids=[
            "nothing",
            "one byte too few",
            "one byte too many",
            "64 MiB",
            "more behind it",
            "without its end",
        ],
    )
    def test_take_no_other_part_than_was_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, part: str
    ) -> None:
        asked = bus(monkeypatch, lambda *_: part)
        large = dataclasses.replace(DRIVE, size=9 + 2 * rpc._STEP)
        for drive in (DRIVE, large):
            tracemalloc.start()
            with pytest.raises(MigrationRefused, match="a part doesn't have"):
                list(rpc.fetch(None, "source", drive))
            held = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert held < 3 * rpc._STEP
        # No second part of it.
        assert asked == [0, 0]

    def test_take_a_part_of_noise(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is longer when it is compressed."""
        noise = random.Random(0).randbytes(rpc._STEP + 9)
        drive = dataclasses.replace(DRIVE, size=len(noise))
        bus(monkeypatch, rpc.Endpoint(lambda *_: noise).read)
        assert b"".join(rpc.fetch(None, "source", drive)) == noise

    @pytest.mark.parametrize(
        "uuid",
        [None, 7, b"x", [], {}, "", "x", "../x", "\ud800", UUID + "\n"],
        ids=ascii,
    )
    def test_read_no_drive_but_an_instances(self, uuid: Any) -> None:
        endpoint = rpc.Endpoint(lambda *_: pytest.fail("read"))
        with pytest.raises(messaging.ExpectedException) as caught:
            endpoint.read(None, uuid, 0)
        assert "must be a UUID" in str(caught.value.exc_info[1])

    @pytest.mark.parametrize(
        "offset",
        [-1, 1 << 33, 1 << 20_000, True, None, 1.0, "1", b"1", [], {}],
        ids=lambda value: type(value).__name__,
    )
    def test_read_from_no_impossible_offset(self, offset: Any) -> None:
        endpoint = rpc.Endpoint(lambda *_: pytest.fail("read"))
        with pytest.raises(messaging.ExpectedException) as caught:
            endpoint.read(None, UUID, offset)
        assert "is not valid: it must be" in str(caught.value.exc_info[1])


def bus(monkeypatch: pytest.MonkeyPatch, read: Any) -> list[int]:
    """Have calls answered at once; return a list of the offsets."""
    asked = []

    def call(context: Any, method: str, **arguments: Any) -> Any:
        assert method == "read"
        asked.append(arguments["offset"])
        return read(context, arguments["instance_uuid"], arguments["offset"])

    client = SimpleNamespace(call=call)
    client.prepare = lambda server: client if server == "source" else None
    monkeypatch.setattr(rpc.rpc, "get_client", lambda _: client)
    return asked


def test_on_eventlet_calls_run_in_a_native_thread_one_at_a_time() -> None:
    class Slow:
        name = "slow"
        running = most = 0

        def work(self, seconds: float, *, result: int) -> tuple[int, int]:
            self.running += 1
            self.most = max(self.most, self.running)
            time.sleep(seconds)
            self.running -= 1
            return result, threading.get_native_id()

    slow = Slow()
    turns = tpool.InTurns(slow)
    pool = eventlet.GreenPool()
    done = list(
        pool.imap(lambda number: turns.work(0.02, result=number), range(4))
    )
    assert [result for result, _ in done] == [0, 1, 2, 3]
    assert threading.get_native_id() not in {thread for _, thread in done}
    assert (slow.most, turns.name) == (1, "slow")
    with pytest.raises(TypeError):
        turns.work()


def test_nova_copies_no_drive_that_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Up to 30.0 it copies each ISO by ssh."""
    copied = []
    novas = remotefs.RemoteFilesystem()
    monkeypatch.setattr(
        novas,
        "copy_file",
        lambda source, target: copied.append((source, target)),
    )
    files = releases.RemoteFiles(novas, {UUID})
    assert files.remove_file == novas.remove_file
    for name in ("disk", "disk.config"):
        files.copy_file(f"a:/i/{UUID}/{name}", "/i")
    files.copy_file("a:/i/another/disk.config", "/i")
    assert copied == [
        (f"a:/i/{UUID}/disk", "/i"),
        ("a:/i/another/disk.config", "/i"),
    ]
