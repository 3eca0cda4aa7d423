"""The hook: needed, built, kept, built again, removed - or nothing."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import tempfile
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveError,
    ConfigDriveRequest,
    Drive,
    DriveImage,
    InjectedFile,
    Machine,
    NicDevice,
    image,
)
from cfgdrive_virt.driver import stores
from cfgdrive_virt.exception import (
    DriveInUse,
    ImageError,
    InvalidConfiguration,
    InvalidDomain,
    InvalidRequest,
    StoreError,
    UnsupportedCombination,
)
from cfgdrive_virt.store.file import FileStore

from ..processes import NOBODY, Child, as_nobody
from ..samples import (
    MAC,
    OTHER_UUID,
    SECRETS,
    UUID,
    request,
    secrets_in,
    wanted,
)

CDROM = "[cfgdrive_virt]\nlive_migration = never\n"
Q35 = "[libvirt]\nhw_machine_type = x86_64=q35\n"

Make = Callable[..., ConfigDriveDriver]


@pytest.fixture
def make(conf: Callable[..., cfg.ConfigOpts]) -> Make:
    """Make a driver of a nova.conf, on an x86 host in 1970."""

    def make(text: str = "", **arguments: Any) -> ConfigDriveDriver:
        given = {"clock": lambda: 5.9, "architecture": "x86_64"}
        return ConfigDriveDriver(conf(text), **given | arguments)

    return make


@pytest.fixture
def driver(make: Make) -> ConfigDriveDriver:
    return make()


@pytest.fixture
def drive(instances: Path) -> Path:
    return instances / UUID / "disk.config"


def tree(data: bytes) -> dict[str, bytes]:
    return dict(image.read(data).tree.files)


def meta_data(data: bytes) -> Any:
    return json.loads(tree(data)["openstack/latest/meta_data.json"])


def test_a_wanted_drive_is_built(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    made = driver.spawn(wanted())
    assert made == Drive(driver.location(UUID), built=True)
    assert drive.read_bytes() == driver.build(wanted()).data
    assert meta_data(drive.read_bytes())["uuid"] == UUID


def test_a_drive_that_nobody_wants_is_not_built(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    assert driver.spawn(request()) is None
    assert list(instances.iterdir()) == []


def test_a_drive_that_is_there_is_left_alone(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    before = drive.stat()
    made = driver.spawn(wanted())
    assert made == Drive(driver.location(UUID), built=False)
    assert drive.stat() == before


def test_what_is_there_and_says_something_else_is_replaced(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    seed = meta_data(drive.read_bytes())["random_seed"]
    made = driver.spawn(wanted(metadata={"changed": "yes"}))
    assert made == Drive(driver.location(UUID), built=True)
    found = meta_data(drive.read_bytes())
    assert found["meta"] == {"changed": "yes"}
    assert found["random_seed"] == seed


@pytest.mark.parametrize("data", [b"", b"somebody's", bytes(1 << 20)])
def test_what_is_there_and_is_no_drive_is_replaced(
    driver: ConfigDriveDriver, drive: Path, data: bytes
) -> None:
    drive.parent.mkdir()
    drive.write_bytes(data)
    assert driver.spawn(wanted()) == Drive(driver.location(UUID), built=True)
    assert meta_data(drive.read_bytes())["uuid"] == UUID


def test_a_drive_that_is_there_is_replaced_if_asked(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    changed = wanted(metadata={"changed": "yes"})
    made = driver.rebuild(changed)
    assert made == Drive(driver.location(UUID), built=True)
    assert meta_data(drive.read_bytes())["meta"] == {"changed": "yes"}


def test_a_rebuild_that_fails_keeps_what_was_there(
    make: Make, drive: Path
) -> None:
    make().spawn(wanted())
    before = drive.read_bytes()
    big = InjectedFile(path="/big", content=os.urandom(2 << 20))
    with pytest.raises(ImageError):
        make("[cfgdrive_virt]\nmax_drive_size = 1\n").rebuild(
            wanted(injected_files=[big])
        )
    assert drive.read_bytes() == before
    assert os.listdir(drive.parent) == ["disk.config"]


def test_a_build_that_fails_leaves_nothing(
    make: Make, instances: Path
) -> None:
    big = InjectedFile(path="/big", content=os.urandom(2 << 20))
    with pytest.raises(ImageError):
        make("[cfgdrive_virt]\nmax_drive_size = 1\n").spawn(
            wanted(injected_files=[big])
        )
    assert os.listdir(instances) == ["locks"]


def test_a_rebuild_of_what_is_not_there_builds_it(
    driver: ConfigDriveDriver,
) -> None:
    made = driver.rebuild(wanted())
    assert made == Drive(driver.location(UUID), built=True)


def test_it_can_be_asked_whether_there_is_a_drive(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    assert driver.exists(UUID) is False
    driver.spawn(wanted())
    assert driver.exists(UUID.upper()) is True
    drive.unlink()
    drive.mkdir()
    with pytest.raises(StoreError, match="belongs to no drive of ours"):
        driver.exists(UUID)


PCI = (
    "<address type='pci' domain='0x0000' bus='0x0a' slot='0x1f'"
    " function='0x7'/>"
)
DOMAIN = (
    f"<domain><devices><interface><mac address='{MAC}'/>{PCI}</interface>"
    "</devices></domain>"
)


@pytest.mark.parametrize(
    "xml", [DOMAIN, DOMAIN.encode()], ids=["text", "bytes"]
)
def test_the_addresses_of_tagged_devices_are_the_domains(
    driver: ConfigDriveDriver, drive: Path, xml: str | bytes
) -> None:
    made = wanted(devices=[NicDevice(mac=MAC, tags=["t"])])
    driver.spawn(made, domain_xml=xml)
    (device,) = meta_data(drive.read_bytes())["devices"]
    assert (device["bus"], device["address"]) == ("pci", "0000:0a:1f.7")
    assert device["tags"] == ["t"]
    assert made.devices[0].address is None


def test_what_a_device_says_of_itself_outranks_the_domain(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    told = NicDevice(mac=MAC, tags=["t"], bus="xen", address="mine")
    driver.spawn(wanted(devices=[told]), domain_xml=DOMAIN)
    (device,) = meta_data(drive.read_bytes())["devices"]
    assert (device["bus"], device["address"]) == ("xen", "mine")


def test_a_domain_tells_of_addresses_and_of_nothing_else(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted(), domain_xml=DOMAIN)
    assert drive.read_bytes() == driver.build(wanted()).data


@pytest.mark.parametrize("xml", ["", "<domain", b"\xff", "<disk/>"])
def test_a_domain_that_is_none_is_refused_and_nothing_is_built(
    driver: ConfigDriveDriver, instances: Path, xml: str | bytes
) -> None:
    with pytest.raises(InvalidDomain):
        driver.spawn(wanted(), domain_xml=xml)
    assert not (instances / UUID).exists()


def test_guest_is_the_only_option_without_a_name(
    driver: ConfigDriveDriver,
) -> None:
    with pytest.raises(TypeError):
        driver.spawn(wanted(), None, DOMAIN)


def test_spawning_and_destroying_work_within_the_domains_lock(
    driver: ConfigDriveDriver, instances: Path, drive: Path
) -> None:
    with driver.locked(UUID.upper()):
        driver.spawn(wanted())
        driver.rebuild(wanted())
        assert drive.exists()
        driver.destroy(UUID)
    assert not drive.exists()
    assert sorted(os.listdir(instances / "locks")) == [
        "cfgdrive-virt-domain-836",
        "cfgdrive-virt-drive-836",
    ]


def test_services_take_turns_at_a_domain(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    log = instances / "log"
    log.touch()

    def work(number: int) -> None:
        for _ in range(5):
            with driver.locked(UUID), log.open("ab", buffering=0) as file:
                file.write(b"%d\n" % number)
                driver.rebuild(wanted())
                file.write(b"%d\n" % number)

    children = [
        Child(lambda number=number: work(number)) for number in range(4)
    ]
    assert [child.answer() for child in children] == [None] * 4
    lines = log.read_text().split()
    assert len(lines) == 40
    assert lines[::2] == lines[1::2]


def test_a_lock_that_cannot_be_had_is_told_on_entry(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    instances.rmdir()
    lock = driver.locked(UUID)
    with pytest.raises(StoreError, match="can't be used"):
        lock.__enter__()


def test_nothing_is_listed_however_many_instances_there_are(
    driver: ConfigDriveDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Any] = []
    for name in ("listdir", "scandir"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda path=".", real=real: listed.append(path) or real(path),
        )
    driver.plan(wanted())
    with driver.locked(UUID):
        driver.spawn(wanted())
        driver.spawn(wanted())
        driver.rebuild(wanted())
        driver.destroy(UUID)
    assert listed == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_spawned_is_the_services_afterwards(conf: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.chown(root, NOBODY, NOBODY)
        opts = conf()
        driver = ConfigDriveDriver(opts)
        opts.set_override("instances_path", name)
        with driver.locked(UUID):
            driver.spawn(wanted())

        def serve() -> list[Any]:
            with driver.locked(UUID):
                kept = driver.spawn(wanted())
                changed = driver.rebuild(wanted(name="x"))
                assert kept is not None
                assert changed is not None
                data = changed.location.path.read_bytes()
                return [
                    kept.built,
                    changed.built,
                    meta_data(data)["name"],
                    driver.destroy(UUID),
                ]

        assert as_nobody(serve) == [False, True, "x", True]
        assert os.listdir(root) == ["locks"]


def test_destroying_tells_whether_there_was_a_drive(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    driver.spawn(wanted())
    assert driver.destroy(UUID) is True
    assert driver.destroy(UUID) is False
    assert os.listdir(instances) == ["locks"]


class Busy(FileStore):
    """A store whose drives somebody has open, for so many tries."""

    tries = 0

    def delete(self, uuid: str) -> bool:
        if Busy.tries:
            Busy.tries -= 1
            raise DriveInUse("in use by somebody")
        return super().delete(uuid)


def test_a_drive_that_is_open_is_tried_again_as_nova_does(
    make: Make, instances: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "store_of", lambda _: Busy(instances))
    slept: list[float] = []
    driver = make(sleep=slept.append)
    driver.spawn(wanted())
    Busy.tries = 12
    assert driver.destroy(UUID) is True
    assert slept == [5] * 12
    Busy.tries = 1
    text = "[libvirt]\nrbd_destroy_volume_retries = 0\n"
    with pytest.raises(DriveInUse):
        make(text, sleep=slept.append).destroy(UUID)
    assert len(slept) == 12


def test_destroying_takes_a_uuid_in_upper_case(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    assert driver.destroy(UUID.upper()) is True
    assert not drive.exists()


def test_destroying_one_leaves_the_others(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    driver.spawn(wanted())
    driver.spawn(dataclasses.replace(wanted(), uuid=OTHER_UUID))
    driver.destroy(OTHER_UUID)
    assert drive.exists()


@pytest.mark.parametrize(
    "uuid",
    [
        "", ".", "..", "../victim", f"{UUID}/../victim", f"../{UUID}",
        "/etc", f"{UUID}\0", f"{UUID}\n", f"{{{UUID}}}", "locks",
        UUID.replace("-", ""), None, 5, 10**5000, b"x", Path(UUID),
    ],
    ids=lambda uuid: "huge" if uuid == 10**5000 else ascii(uuid),
)  # fmt: skip
def test_what_is_no_uuid_leads_nowhere(
    driver: ConfigDriveDriver, instances: Path, uuid: Any
) -> None:
    victim = instances.parent / "victim" / "disk.config"
    victim.parent.mkdir()
    victim.write_bytes(b"x")
    for act in (
        driver.destroy,
        driver.exists,
        driver.location,
        driver.locked,
    ):
        with pytest.raises(InvalidRequest, match="uuid: must be a UUID"):
            act(uuid)
    assert victim.exists()


@pytest.mark.parametrize("act", ["spawn", "destroy"])
def test_a_missing_instances_path_is_told(
    driver: ConfigDriveDriver, instances: Path, act: str
) -> None:
    instances.rmdir()
    with pytest.raises(StoreError) as caught:
        driver.spawn(wanted()) if act == "spawn" else driver.destroy(UUID)
    assert str(caught.value) == (
        f"instances_path {instances} can't be used: the directory is missing"
        " (ENOENT)"
    )
    assert not instances.exists()


def test_many_spawn_one_instance_and_one_of_them_builds(
    driver: ConfigDriveDriver, drive: Path
) -> None:
    def spawn(_: int) -> bool:
        made = driver.spawn(wanted())
        assert made is not None
        return made.built

    def in_threads(number: int) -> list[bool]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(spawn, range(4 * number, 4 * number + 4)))

    children = [
        Child(lambda number=number: in_threads(number)) for number in range(8)
    ]
    built = [done for child in children for done in child.answer()]
    assert len(built) == 32
    assert built.count(True) == 1
    assert os.listdir(drive.parent) == ["disk.config"]


def test_many_spawn_and_destroy_at_once_and_nothing_breaks(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    def work(number: int) -> None:
        for _ in range(10):
            if number % 2:
                driver.destroy(UUID)
            else:
                driver.rebuild(wanted())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    driver.destroy(UUID)
    assert os.listdir(instances) == ["locks"]


def test_a_plan_tells_everything_and_touches_nothing(
    make: Make, instances: Path
) -> None:
    plan = make(f"{CDROM}[libvirt]\ndisk_cachemodes = file=unsafe\n").plan(
        wanted()
    )
    assert plan.required.reason == "the request asks for one"
    assert plan.decision is not None
    assert (plan.decision.bus, plan.decision.target) == ("ide", "hdd")
    assert plan.location is not None
    assert plan.location.source == f"{instances}/{UUID}/disk.config"
    assert plan.disk_xml is not None
    assert str(plan.location) in plan.disk_xml
    assert 'cache="unsafe"' in plan.disk_xml
    assert list(instances.iterdir()) == []


def test_a_plan_without_a_drive_has_its_reason_only(
    driver: ConfigDriveDriver,
) -> None:
    plan = driver.plan(request())
    assert not plan.required
    assert (plan.decision, plan.location, plan.disk_xml) == (None,) * 3


def test_without_a_drive_unsupported_settings_do_no_harm(make: Make) -> None:
    driver = make("[libvirt]\nvirt_type = lxc\n")
    assert driver.spawn(request()) is None
    with pytest.raises(UnsupportedCombination):
        driver.spawn(wanted())


@pytest.mark.parametrize(
    ("text", "properties", "machine"),
    [
        ("", {}, Machine("x86_64")),
        (Q35, {}, Machine("x86_64", "q35")),
        (Q35, {"hw_machine_type": "pc"}, Machine("x86_64", "pc")),
        ("", {"hw_architecture": "aarch64"}, Machine("aarch64")),
    ],
)  # fmt: skip
def test_the_machine_is_what_image_and_options_tell(
    make: Make, text: str, properties: dict[str, str], machine: Machine
) -> None:
    made = request(image_properties=properties)
    assert make(text).machine(made) == machine


def test_a_guest_that_is_told_outranks_what_would_be_guessed(
    make: Make,
) -> None:
    plan = make(CDROM).plan(
        wanted(), Machine("x86_64", "q35", frozenset({"sdf"}))
    )
    assert plan.decision is not None
    assert (plan.decision.bus, plan.decision.target) == ("sata", "sde")


def test_options_are_those_of_now(conf: Any) -> None:
    opts = conf()
    driver = ConfigDriveDriver(opts)
    assert not driver.required_by(request())
    opts.set_override("force_config_drive", True)
    assert driver.required_by(request())


def test_the_same_seed_and_clock_give_the_same_bytes(make: Make) -> None:
    first, second = make().build(wanted()), make().build(wanted())
    assert first == second
    later = make(clock=lambda: 2e9).build(wanted())
    assert later != first
    assert tree(later.data) == tree(first.data)


def test_a_seed_is_made_where_none_is_given(make: Make) -> None:
    sizes = []

    def urandom(size: int) -> bytes:
        sizes.append(size)
        return b"x" * size

    driver = make(urandom=urandom)
    driver.build(wanted())
    assert sizes == []
    built = driver.build(request())
    assert sizes == [512]
    assert meta_data(built.data)["random_seed"].startswith("eHh4")


def test_two_instances_get_two_seeds(driver: ConfigDriveDriver) -> None:
    first, second = (
        meta_data(driver.build(request()).data)["random_seed"]
        for _ in range(2)
    )
    assert first != second


@pytest.mark.parametrize("clock", [-1, 5_869_584_000])
def test_a_clock_beyond_the_image_is_told(make: Make, clock: int) -> None:
    with pytest.raises(ImageError, match="timestamp must be 0 to"):
        make(clock=lambda: clock).build(wanted(), "iso9660")


def test_the_domain_and_the_versions_are_the_options(make: Make) -> None:
    driver = make(
        "[api]\ndhcp_domain = example.org\n"
        "config_drive_skip_versions = 2009-04-04\n"
    )
    data = driver.build(wanted()).data
    assert meta_data(data)["hostname"] == "web-1.example.org"
    assert "ec2/2009-04-04/meta-data.json" not in tree(data)
    assert "ec2/1.0/meta-data.json" in tree(data)


def vendor_driver(make: Make, path: Path, more: str = "") -> ConfigDriveDriver:
    return make(f"[api]\nvendordata_jsonfile_path = {path}\n{more}")


def test_the_static_vendor_data_is_read_for_every_drive(
    make: Make, tmp_path: Path
) -> None:
    path = tmp_path / "vendor.json"
    driver = vendor_driver(make, path)
    for content in ('{"a": 1}', '\ufeff["b"]', '"c"'):
        path.write_text(content)
        found = tree(driver.build(wanted()).data)
        assert json.loads(found["openstack/latest/vendor_data.json"]) == (
            json.loads(content.lstrip("\ufeff"))
        )


def test_without_staticjson_the_file_is_not_read(
    make: Make, tmp_path: Path
) -> None:
    driver = vendor_driver(
        make, tmp_path / "missing", "vendordata_providers = DynamicJSON\n"
    )
    found = tree(driver.build(wanted()).data)
    assert found["openstack/latest/vendor_data2.json"] == b"{}"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"hunter2", b'{"hunter2": hunter2}', b"\xff\xfehunter2\0",
        b'{"hunter2": NaN}', b"5", b"null", b"true", b'["\\ud800hunter2"]',
        b"[" * 100_000, b"[" * 100 + b"]" * 100, b"[" + b"9" * 5000 + b"]",
        b'{"a": 1} hunter2', b"\0", b'["hunter2", 1e999]',
    ],
    ids=lambda content: ascii(content[:20]),
)  # fmt: skip
def test_vendor_data_that_is_wrong_is_told_and_not_quoted(
    make: Make, tmp_path: Path, instances: Path, content: bytes
) -> None:
    path = tmp_path / "vendor.json"
    path.write_bytes(content)
    with pytest.raises(InvalidConfiguration) as caught:
        vendor_driver(make, path).spawn(wanted())
    told = "".join(traceback.format_exception(caught.value))
    lead = f"[api] vendordata_jsonfile_path={path}"
    assert str(caught.value).startswith(lead)
    assert "hunter2" not in told
    assert os.listdir(instances) == ["locks"]


def test_vendor_data_that_cannot_be_read_is_told(
    make: Make, tmp_path: Path
) -> None:
    for path, reason in (
        (tmp_path, "Is a directory"),
        (tmp_path / "missing", "No such file or directory"),
    ):
        with pytest.raises(InvalidConfiguration) as caught:
            vendor_driver(make, path).build(wanted())
        assert str(caught.value) == (
            f"[api] vendordata_jsonfile_path={path} can't be read: {reason}"
        )


def test_vendor_data_larger_than_a_drive_is_not_read_to_its_end(
    make: Make,
) -> None:
    driver = vendor_driver(
        make, Path("/dev/zero"), "[cfgdrive_virt]\nmax_drive_size = 1\n"
    )
    with pytest.raises(InvalidConfiguration, match="1,048,576 bytes"):
        driver.build(wanted())


def test_a_drive_too_large_names_the_biggest_files(make: Make) -> None:
    driver = make("[cfgdrive_virt]\nmax_drive_size = 1\n")
    files = [
        InjectedFile(path="/x", content=os.urandom(size))
        for size in (10, 900_000, 500_000)
    ]
    with pytest.raises(ImageError) as caught:
        driver.build(wanted(injected_files=files))
    told = str(caught.value)
    assert "[cfgdrive_virt] max_drive_size allows 1,048,576" in told
    assert (
        "the biggest: openstack/content/0001 (900,000 bytes),"
        " openstack/content/0002 (500,000 bytes), " in told
    )


def test_what_several_files_share_counts_once(make: Make) -> None:
    driver = make("[cfgdrive_virt]\nmax_drive_size = 1\n")
    content = os.urandom(400_000)
    files = [InjectedFile(path="/x", content=content) for _ in range(8)]
    made = wanted(injected_files=files)
    assert len(driver.build(made, "iso9660").data) < 1 << 20
    with pytest.raises(ImageError):
        driver.build(made, "vfat")


@pytest.mark.parametrize("room", [0, 4096, 65_536, 262_144])
def test_no_drive_is_larger_than_the_largest(make: Make, room: int) -> None:
    limit = 1 << 20
    driver = make("[cfgdrive_virt]\nmax_drive_size = 1\n")
    file = InjectedFile(path="/x", content=os.urandom(limit - room))
    try:
        image = driver.build(wanted(injected_files=[file]))
    except ImageError:
        return
    assert len(image.data) <= limit


def test_an_image_too_large_is_refused_where_its_content_is_not(
    make: Make, instances: Path
) -> None:
    driver = make("[cfgdrive_virt]\nmax_drive_size = 1\n")
    file = InjectedFile(path="/x", content=os.urandom(1_000_000))
    with pytest.raises(ImageError) as caught:
        driver.spawn(wanted(injected_files=[file]))
    size = r"the drive would be 1,[0-9]{3},[0-9]{3} bytes, and"
    words = (
        r" \[cfgdrive_virt\] max_drive_size allows 1,048,576; the biggest:"
        r" openstack/content/0000 \(1,000,000 bytes\), .*"
    )
    assert re.fullmatch(size + words, str(caught.value))
    assert os.listdir(instances) == ["locks"]


@pytest.mark.parametrize("name", ["ext4", "VFAT", ""])
def test_a_format_that_cannot_be_built_is_refused(
    driver: ConfigDriveDriver, name: str
) -> None:
    with pytest.raises(ImageError) as caught:
        driver.build(wanted(), name)
    assert str(caught.value) == (
        f"config drive format {name!r} isn't known; iso9660 and vfat are"
    )


@pytest.mark.parametrize("image_format", ["iso9660", "vfat"])
def test_a_drive_is_read_back_before_it_is_put_in_place(
    make: Make,
    instances: Path,
    monkeypatch: pytest.MonkeyPatch,
    image_format: str,
) -> None:
    text = f"[DEFAULT]\nconfig_drive_format = {image_format}\n"
    driver = make(f"{text}[cfgdrive_virt]\nverify_drive = true\n")
    assert driver.spawn(wanted()) is not None
    driver.destroy(UUID)
    real = image.build

    def damaged(*arguments: Any, **options: Any) -> DriveImage:
        built = real(*arguments, **options)
        return DriveImage(built.format, built.data.replace(b"local", b"loc@l"))

    monkeypatch.setattr(image, "build", damaged)
    with pytest.raises(ImageError) as caught:
        driver.spawn(wanted())
    assert str(caught.value) == (
        f"the {image_format} drive, read back, isn't what went in; it is put"
        " nowhere"
    )
    assert os.listdir(instances) == ["locks"]


def test_a_drives_serial_number_is_the_instances(make: Make) -> None:
    first, second = (
        make(clock=lambda: 1e9).build(
            dataclasses.replace(wanted(), uuid=uuid), "vfat"
        )
        for uuid in (UUID, OTHER_UUID)
    )
    # Where fatgen103 has BS_VolID.
    assert first.data[39:43] == bytes.fromhex(UUID[:8])[::-1]
    assert second.data[39:43] == bytes.fromhex(OTHER_UUID[:8])[::-1]


@pytest.mark.parametrize(
    ("text", "image_format", "device"),
    [
        ("", "vfat", "disk"),
        ("[cfgdrive_virt]\nlive_migration = always\n", "vfat", "disk"),
        (
            (
                "[cfgdrive_virt]\nlive_migration = always\n"
                "instances_path_shared = yes\n"
            ),
            "vfat",
            "disk",
        ),
        (CDROM, "iso9660", "cdrom"),
        (
            "[cfgdrive_virt]\ninstances_path_shared = yes\n",
            "iso9660",
            "cdrom",
        ),
        (
            "[DEFAULT]\nconfig_drive_format = iso9660\n",
            "iso9660",
            "cdrom",
        ),
        (
            f"{CDROM}[DEFAULT]\nconfig_drive_format = vfat\n",
            "vfat",
            "disk",
        ),
    ],
)
def test_what_is_planned_is_what_is_built(
    make: Make, drive: Path, text: str, image_format: str, device: str
) -> None:
    driver = make(text)
    plan = driver.plan(wanted())
    assert plan.decision is not None
    assert plan.disk_xml is not None
    assert (plan.decision.format, plan.decision.device) == (
        image_format, device,
    )  # fmt: skip
    assert f'device="{device}"' in plan.disk_xml
    driver.spawn(wanted())
    assert image.read(drive.read_bytes()).format == image_format
    assert driver.build(wanted()).format == image_format


RBD = """
[libvirt]
images_type = rbd
rbd_user = nova
rbd_secret_uuid = 2a5b08e4-3dca-4ff9-9a1d-40389758d081
images_rbd_pool = vms
[cfgdrive_virt]
rbd_monitors = 10.0.0.1:6789
"""


def test_a_plan_for_ceph_asks_no_cluster_whose_monitors_are_told(
    make: Make,
) -> None:
    plan = make(RBD).plan(wanted())
    assert str(plan.location) == f"rbd:vms/{UUID}_disk.config"
    assert plan.decision is not None
    assert (plan.decision.format, plan.decision.target) == ("iso9660", "vdz")
    assert plan.disk_xml is not None
    assert 'cache="writeback"' in plan.disk_xml
    assert '<host name="10.0.0.1" port="6789"/>' in plan.disk_xml
    assert '<auth username="nova">' in plan.disk_xml


def test_a_cache_mode_for_ceph_is_that_of_network_disks(make: Make) -> None:
    modes = "disk_cachemodes = file=unsafe, network=directsync\n[cfgdrive"
    plan = make(RBD.replace("[cfgdrive", modes)).plan(wanted())
    assert plan.disk_xml is not None
    assert 'cache="directsync"' in plan.disk_xml


@pytest.mark.parametrize("option", ["rbd_user", "rbd_secret_uuid"])
def test_a_user_and_its_secret_go_together(make: Make, option: str) -> None:
    text = re.sub(rf"(?m)^{option} = .*\n", "", RBD)
    with pytest.raises(InvalidConfiguration) as caught:
        make(text).plan(wanted())
    assert "rbd_user and rbd_secret_uuid go together" in str(caught.value)


def test_logs_tell_where_and_why(
    driver: ConfigDriveDriver, caplog: pytest.LogCaptureFixture, drive: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    driver.spawn(request())
    driver.spawn(wanted())
    driver.spawn(wanted())
    driver.destroy(UUID)
    driver.destroy(UUID)
    told = [
        f"Config drive of instance {UUID}: {words}"
        for words in (
            "spawn: no drive: neither",
            f"spawn: built {drive} (vfat, ",
            f"spawn: left alone {drive}",
            "destroy: removed",
            "destroy: there was none",
        )
    ]
    for message, words in zip(caplog.messages, told, strict=True):
        assert re.sub(r" in [0-9.]+ s", "", message).startswith(words)
    built = caplog.messages[1]
    assert ": missing; the request asks for one; a drive in a file" in built


def test_logs_are_for_programs_too(
    driver: ConfigDriveDriver, caplog: pytest.LogCaptureFixture, drive: Path
) -> None:
    caplog.set_level(logging.INFO)
    driver.spawn(wanted())
    drive.unlink()
    with pytest.raises(StoreError):
        driver.reboot(UUID)
    facts = [
        (told["instance_uuid"], told["operation"], told["outcome"])
        for told in map(vars, caplog.records)
    ]
    built, failed = facts
    assert built[:2] == (UUID, "spawn")
    assert built[2].startswith(f"built {drive}")
    assert failed == (UUID, "reboot", "failed")
    assert all(0 <= vars(one)["duration"] < 60 for one in caplog.records)


def test_no_log_plan_or_drive_gives_a_secret_away(
    driver: ConfigDriveDriver,
    sample: ConfigDriveRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    told = [driver.plan(sample), driver.spawn(sample), driver.build(sample)]
    told += [driver.rebuild(sample), driver.destroy(sample.uuid)]
    assert secrets_in(caplog.text + repr(told) + str(told)) == []
    assert sample.uuid in caplog.text


def test_every_secret_of_the_sample_is_on_its_drive(
    driver: ConfigDriveDriver, sample: ConfigDriveRequest
) -> None:
    # Or else the tests that look for them would find nothing.
    everything = b"".join(tree(driver.build(sample).data).values())
    missing = [word for word in SECRETS if word.encode() not in everything]
    # These two stand there in another coding.
    assert missing == ["AAECAwQF", "never use it for a real instance"]


@pytest.mark.parametrize("char", ["\x01", "\x1b", "\udcff"], ids=ascii)
def test_a_path_that_xml_cannot_name_is_an_error_of_ours(
    conf: Any, char: str
) -> None:
    opts = conf()
    driver = ConfigDriveDriver(opts)
    opts.set_override("instances_path", f"/srv/{char}")
    with pytest.raises(ConfigDriveError):
        driver.plan(wanted())


def test_a_driver_is_shared_by_threads(
    driver: ConfigDriveDriver, instances: Path
) -> None:
    barrier = threading.Barrier(4)

    def spawn(number: int) -> bytes:
        uuid = f"{number:08x}{UUID[8:]}"
        barrier.wait()
        made = driver.spawn(dataclasses.replace(wanted(), uuid=uuid))
        assert made is not None
        return Path(made.location.source).read_bytes()

    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(spawn, range(4)))
    for number, data in enumerate(images):
        assert meta_data(data)["uuid"].startswith(f"{number:08x}")
    assert len(os.listdir(instances)) == 5
