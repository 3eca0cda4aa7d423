"""A drive in Ceph is what others read there, and goes without a trace."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.drive import Monitor, RbdLocation, StoredDrive
from cfgdrive_virt.store.ceph.store import RbdStore

from .cluster import Cluster, run

KIB, MIB = 1 << 10, 1 << 20
OLD, NEW = b"old" * 102_400, b"new" * 204_800
#: More than the object of a volume that is made for the others.
LARGE = b"large" * MIB


def in_sectors(data: bytes) -> bytes:
    """Return what a volume holds: whole sectors, for QEMU takes no others."""
    return data + bytes(-len(data) % 512)


def with_holes(size: int) -> bytes:
    """Return mostly zeros, at both ends too."""
    data = bytearray(size)
    for at in (70_000, size // 3, size - 100_000):
        data[at : at + 50_001] = b"%07d" % at * 7143
    return bytes(data)


def refusal(act: object, *arguments: object) -> str:
    assert callable(act)
    with pytest.raises(StoreError) as caught:
        act(*arguments)
    return str(caught.value)


@pytest.fixture
def open_elsewhere(
    ceph: Cluster, drive: str
) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the drive open, as a guest's QEMU has."""
    volume = f"rbd:{ceph.pool}/{drive}_disk.config:conf={ceph.conf}:id=compute"
    with subprocess.Popen(
        ["qemu-io", "-f", "raw", volume],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("read 0 512\n")
        process.stdin.flush()
        assert "read 512/512" in process.stdout.readline()
        yield process
        process.stdin.write("quit\n")
        process.stdin.close()


DATA = {
    "300_KiB": b"\1\2\3" * 102_400,
    "one_byte": b"x",
    "odd": b"odd" * 111_111,
    "5_MiB": bytes(range(256)) * (5 * MIB // 256),
    "40_MiB_with_holes": with_holes(40 * MIB),
    "zeros": bytes(2 * MIB),
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_others_read_what_was_written(
    ceph: Cluster, store: RbdStore, drive: str, tmp_path: Path, data: bytes
) -> None:
    location = store.write(drive, data)
    assert location.source == f"compute/{drive}_disk.config"
    exported = tmp_path / "exported"
    ceph.rbd("export", "--no-progress", location.source, exported)
    assert exported.read_bytes() == in_sectors(data)
    volume = f"rbd:{location.source}:conf={ceph.conf}:id=compute"
    converted = tmp_path / "converted"
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", volume, converted)
    assert converted.read_bytes() == in_sectors(data)
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", volume, exported)
    assert store.read(location, 1 << 30) == in_sectors(data)


@pytest.mark.parametrize(
    ("size", "order", "objects"),
    [
        (300 * KIB, 22, 1),
        (4 * MIB, 22, 1),
        (4 * MIB + 512, 23, 1),
        (32 * MIB, 25, 1),
        (40 * MIB, 25, 2),
    ],
)
def test_a_drive_fits_one_object_and_has_plain_features(
    ceph: Cluster,
    store: RbdStore,
    drive: str,
    size: int,
    order: int,
    objects: int,
) -> None:
    location = store.write(drive, b"x" + bytes(size - 1))
    told = json.loads(ceph.rbd("info", "--format", "json", location.source))
    assert (told["size"], told["order"], told["objects"]) == (
        size, order, objects,
    )  # fmt: skip
    assert told["features"] == ["layering"]


def test_a_drive_bears_our_mark(
    ceph: Cluster, store: RbdStore, drive: str
) -> None:
    location = store.write(drive, NEW)
    marks = ceph.rbd("image-meta", "list", "--format", "json", location.source)
    assert "cfgdrive_virt" in json.loads(marks)


def test_zeros_take_no_room(
    ceph: Cluster, store: RbdStore, drive: str
) -> None:
    store.write(drive, bytes(32 * MIB) + b"x" * 512)
    data = [name for name in ceph.objects() if name.startswith("rbd_data")]
    assert len(data) == 1


def test_a_drive_exists_from_write_to_delete(
    store: RbdStore, drive: str
) -> None:
    assert store.exists(drive) is False
    store.write(drive, NEW)
    assert store.exists(drive) is True
    assert store.delete(drive) is True
    assert store.exists(drive) is False
    assert store.delete(drive) is False


def test_a_drive_takes_the_place_of_the_one_before(
    ceph: Cluster, store: RbdStore, drive: str
) -> None:
    store.write(drive, OLD)
    location = store.write(drive, NEW)
    assert store.read(location, len(NEW)) == NEW
    assert ceph.volumes() == [location.name]


def test_a_drive_that_nova_wrote_is_a_drive(
    ceph: Cluster, store: RbdStore, drive: str, tmp_path: Path
) -> None:
    image = tmp_path / "disk.config"
    image.write_bytes(OLD)
    location = store.location(drive)
    ceph.rbd(
        "import", "--no-progress", "--image-format=2", image, location.source
    )
    assert store.exists(drive) is True
    assert store.read(location, len(OLD)) == OLD
    [found] = store.drives()
    assert (found.ours, found.size) == (False, len(OLD))
    store.write(drive, NEW)
    assert store.read(location, len(NEW)) == NEW
    assert ceph.volumes() == [location.name]


def test_a_volume_larger_than_may_be_is_not_read(
    store: RbdStore, drive: str
) -> None:
    location = store.write(drive, NEW)
    assert refusal(store.read, location, 1000) == (
        f"can't read {location}: it has 614,400 bytes, more than 1,000"
    )


def test_a_volume_that_is_not_there_is_not_read(
    store: RbdStore, drive: str
) -> None:
    assert store.read(store.location(drive), 1000) is None


@pytest.mark.usefixtures("ceph")
class TestInUse:
    """A guest has the drive open."""

    @pytest.fixture(autouse=True)
    def _written(self, store: RbdStore, drive: str) -> None:
        store.write(drive, OLD)

    @pytest.mark.usefixtures("open_elsewhere")
    def test_it_is_rewritten_in_its_place(
        self, ceph: Cluster, store: RbdStore, drive: str
    ) -> None:
        location = store.location(drive)
        before = ceph.identifier(location.name)
        store.write(drive, NEW)
        assert store.read(location, len(NEW)) == NEW
        # What is shorter leaves nothing of the one before.
        store.write(drive, OLD)
        rest = bytes(len(NEW) - len(OLD))
        assert store.read(location, len(NEW)) == OLD + rest
        assert ceph.identifier(location.name) == before

    def test_what_is_too_large_for_that_is_neither_replaced_nor_removed(
        self,
        ceph: Cluster,
        store: RbdStore,
        drive: str,
        request: pytest.FixtureRequest,
    ) -> None:
        request.getfixturevalue("open_elsewhere")
        location = store.location(drive)
        [watcher] = ceph.watchers(location.name)
        client = f"host 127.0.0.1 (client.{watcher['client']})"
        users = (
            f"in use by {client}; stop what has it open there (Ceph takes 30"
            " seconds to notice that a process was killed)"
        )
        for what, act in [
            ("write", lambda: store.write(drive, LARGE)),
            ("remove", lambda: store.delete(drive)),
            ("remove", lambda: store.remove(location)),
        ]:
            assert refusal(act) == f"can't {what} {location}: {users}"
        assert ceph.volumes() == [location.name]
        assert store.read(location, len(OLD)) == OLD
        [found] = store.drives()
        assert found.users == (client,)

    def test_snapshots_keep_it_too(
        self, ceph: Cluster, store: RbdStore, drive: str
    ) -> None:
        location = store.location(drive)
        ceph.rbd("snap", "create", "--no-progress", f"{location.source}@kept")
        try:
            for what, act in [
                ("write", lambda: store.write(drive, NEW)),
                ("remove", lambda: store.delete(drive)),
            ]:
                assert refusal(act) == (
                    f"can't {what} {location}: it has snapshots: kept; remove"
                    " them (rbd snap purge)"
                )
            assert ceph.volumes() == [location.name]
        finally:
            ceph.rbd("snap", "purge", "--no-progress", location.source)


def test_drives_are_told_with_what_is_known_of_them(
    ceph: Cluster, store: RbdStore, drive: str
) -> None:
    ours = store.write(drive, NEW)
    others = {
        name: RbdLocation(drive, ceph.pool, name)
        for name in (
            f"{drive}_disk.config.rescue",
            f"{drive}_disk.config.new",
            f"{drive}_disk.config.rescue.new2",
        )
    }
    strange = (
        f"{drive}_disk",
        f"{drive}_disk.config.bak",
        f"{drive}_disk.config.new9",
        "volume-1",
        f"{drive.upper()}_disk.config",
        f"x{drive}_disk.config",
    )
    for name in (*others, *strange):
        ceph.rbd("create", "--size", "1", f"{ceph.pool}/{name}")
    try:
        found = {one.location: one for one in store.drives()}
        created = found[ours].modified
        assert abs(created - time.time()) < 3600
        assert found[ours] == StoredDrive(ours, len(NEW), created, True, ())
        for location in others.values():
            assert found[location].size == MIB
            # By its name alone nothing is ours.
            assert found[location].ours is False
        assert len(found) == 1 + len(others)
        for location in others.values():
            assert store.remove(location) is True
            assert store.remove(location) is False
        assert store.exists(drive) is True
        assert ceph.volumes() == sorted([ours.name, *strange])
    finally:
        for name in strange:
            ceph.rbd("rm", "--no-progress", f"{ceph.pool}/{name}")


def test_the_monitors_addresses_are_those_every_librbd_speaks_to(
    ceph: Cluster, store: RbdStore
) -> None:
    [told] = ceph.ask("mon", "dump")["mons"]
    addresses = {
        one["type"]: one["addr"] for one in told["public_addrs"]["addrvec"]
    }
    port = int(addresses["v1"].rpartition(":")[2])
    assert store.monitors() == (Monitor("127.0.0.1", port),)
