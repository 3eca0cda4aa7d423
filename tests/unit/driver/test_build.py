"""A build: what an image holds, how large it may be, and its format."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveRequest,
    DriveImage,
    InjectedFile,
    image,
)
from cfgdrive_virt.exception import ImageError, InvalidConfiguration

from ..samples import OTHER_UUID, SECRETS, UUID, request, wanted
from .drives import Make, meta_data, tree


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


def test_a_tree_is_returned_and_put_nowhere(
    make: Make, instances: Path, tmp_path: Path
) -> None:
    path = tmp_path / "vendor.json"
    path.write_text('{"company": "ours"}')
    driver = make(
        f"[api]\ndhcp_domain = example\nvendordata_jsonfile_path = {path}\n",
        urandom=lambda size: b"x" * size,
    )
    files = driver.tree(request()).files
    said = json.loads(files["openstack/latest/meta_data.json"])
    assert said["hostname"] == "web-1.example"
    assert said["random_seed"].startswith("eHh4")
    vendor_data = json.loads(files["openstack/latest/vendor_data.json"])
    assert vendor_data == {"company": "ours"}
    assert list(instances.iterdir()) == []


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
            f"[api] vendordata_jsonfile_path={path} cannot be read: {reason}"
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
        "the largest files: openstack/content/0001 (900,000 bytes),"
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
    file = InjectedFile(path="/x", content=os.urandom(1_004_000))
    with pytest.raises(ImageError) as caught:
        driver.spawn(wanted(injected_files=[file]))
    size = r"the drive would be 1,[0-9]{3},[0-9]{3} bytes;"
    words = (
        r" \[cfgdrive_virt\] max_drive_size allows 1,048,576; the largest"
        r" files: openstack/content/0000 \(1,004,000 bytes\), .*"
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
        f"config drive format {name!r} is not supported; use iso9660 or vfat"
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
        f"the new {image_format} drive, read back, does not hold the files"
        " that were written; the drive is discarded"
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


def test_every_secret_of_the_sample_is_on_its_drive(
    driver: ConfigDriveDriver, sample: ConfigDriveRequest
) -> None:
    # Or else the tests that look for them would find nothing.
    everything = b"".join(tree(driver.build(sample).data).values())
    missing = [word for word in SECRETS if word.encode() not in everything]
    # These two stand there in another coding.
    assert missing == ["AAECAwQF", "never use it for a real instance"]
