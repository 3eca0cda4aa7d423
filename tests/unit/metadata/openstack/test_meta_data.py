"""The openstack/ tree: which version tells what."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cfgdrive_virt import (
    ConfigDriveRequest,
    DiskDevice,
    InjectedFile,
    Keypair,
    NetworkInfo,
    NicDevice,
    ShareDevice,
)
from cfgdrive_virt.exception import InvalidRequest
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.metadata.openstack.meta_data import VERSIONS

from ...samples import MAC, SEED, UUID, request

#: What every version's meta_data.json has ...
ALWAYS = {"uuid", "name", "hostname", "launch_index", "availability_zone"}

#: ... and since when there is more.
SINCE = {
    "random_seed": "2013-04-04",
    "project_id": "2015-10-15",
    "devices": "2016-06-30",
    "dedicated_cpus": "2020-10-14",
}
FILES_SINCE = {
    "meta_data.json": "2012-08-10",
    "user_data": "2012-08-10",
    "vendor_data.json": "2013-10-17",
    "network_data.json": "2015-10-15",
    "vendor_data2.json": "2016-10-06",
}
DIRECTORIES = (*VERSIONS, "latest")


def tree(made: ConfigDriveRequest, **arguments: Any) -> dict[str, bytes]:
    """Return what is below openstack/, by path."""
    files = build_tree(made, random_seed=SEED, **arguments).files
    prefix = "openstack/"
    return {
        path.removeprefix(prefix): content
        for path, content in files.items()
        if path.startswith(prefix)
    }


def meta_data(
    made: ConfigDriveRequest, version: str = "latest"
) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tree(made)[f"{version}/meta_data.json"])
    return found


def age(directory: str) -> str:
    """Return a version that sorts "latest" behind all others."""
    return "9999" if directory == "latest" else directory


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_a_version_has_the_keys_that_it_introduced_and_all_before(
    directory: str,
) -> None:
    since = {key for key, first in SINCE.items() if age(directory) >= first}
    assert set(meta_data(request(), directory)) == ALWAYS | since


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_a_version_has_the_files_that_it_introduced_and_all_before(
    directory: str,
) -> None:
    known = {
        name for name, first in FILES_SINCE.items() if age(directory) >= first
    }
    for network, without in (
        (NetworkInfo(), set()),
        (None, {"network_data.json"}),
    ):
        found = {
            path.partition("/")[2]
            for path in tree(request(user_data="x", network=network))
            if path.startswith(f"{directory}/")
        }
        assert found == known - without


def test_latest_says_what_the_newest_version_says(
    sample: ConfigDriveRequest,
) -> None:
    files = tree(sample)
    for name in FILES_SINCE:
        assert files[f"latest/{name}"] == files[f"{VERSIONS[-1]}/{name}"]


def test_an_instance_of_which_nothing_is_told_has_the_least() -> None:
    assert meta_data(request()) == {
        "uuid": UUID,
        "name": "web-1",
        "hostname": "web-1",
        "launch_index": 0,
        "availability_zone": None,
        "random_seed": base64.b64encode(SEED).decode(),
        "project_id": None,
        "devices": [],
        "dedicated_cpus": [],
    }


def test_json_is_ascii_with_its_keys_in_order() -> None:
    made = request(name="é😀", metadata={"b": "1", "a": "2"})
    content = tree(made)["2012-08-10/meta_data.json"]
    assert content.isascii()
    assert json.dumps(json.loads(content), sort_keys=True) == content.decode()


@pytest.mark.parametrize("directory", ["2012-08-10", "latest"])
def test_every_version_has_what_is_told_of_the_instance(
    directory: str,
) -> None:
    made = request(
        admin_pass="hunter2",
        metadata={"role": "web"},
        keypairs=[
            Keypair(name="b", public_key="ssh-b"),
            Keypair(name="a", public_key="PEM", type="x509"),
        ],
    )
    found = meta_data(made, directory)
    assert found["admin_pass"] == "hunter2"
    assert found["meta"] == {"role": "web"}
    assert found["public_keys"] == {"b": "ssh-b"}
    assert found["keys"] == [
        {"name": "b", "type": "ssh", "data": "ssh-b"},
        {"name": "a", "type": "x509", "data": "PEM"},
    ]


def test_user_data_is_kept_byte_for_byte() -> None:
    data = bytes(range(256))
    assert tree(request(user_data=data))["latest/user_data"] == data


def test_injected_files_are_numbered_from_nought() -> None:
    made = request(
        injected_files=[
            InjectedFile(path="/etc/a", content=b"A"),
            InjectedFile(path="/etc/b", content=b"\xff"),
        ]
    )
    files = tree(made)
    assert meta_data(made)["files"] == [
        {"path": "/etc/a", "content_path": "/content/0000"},
        {"path": "/etc/b", "content_path": "/content/0001"},
    ]
    assert files["content/0000"] == b"A"
    assert files["content/0001"] == b"\xff"
    assert "network_config" not in meta_data(made)


def test_network_config_comes_before_injected_files() -> None:
    made = request(
        network_config="auto lo\n",
        injected_files=[InjectedFile(path="/etc/a", content=b"A")],
    )
    files, found = tree(made), meta_data(made)
    assert found["network_config"] == {
        "name": "network_config",
        "content_path": "/content/0000",
    }
    assert found["files"] == [
        {"path": "/etc/a", "content_path": "/content/0001"}
    ]
    assert files["content/0000"] == b"auto lo\n"
    assert files["content/0001"] == b"A"


def test_injected_files_are_as_many_as_a_drive_is_read_for() -> None:
    files = [InjectedFile(path="/x", content=b"") for _ in range(1000)]
    assert "content/0999" in tree(request(injected_files=files))


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ([("/x", b"")] * 1001, "at most 1,000 files (it has 1,001)"),
        (
            [("/x", bytes(1 << 20))] * 10,
            "at most 10,240,000 bytes of content in all (it has 10,485,760)",
        ),
        (
            [("/" + "x" * 4000, b"")] * 70,
            "at most 255,000 bytes of paths (it has 280,350)",
        ),
    ],
    ids=["files", "content", "paths"],
)
def test_injected_files_that_no_drive_would_give_back_are_refused(
    files: list[tuple[str, bytes]], rule: str
) -> None:
    made = [InjectedFile(path=path, content=data) for path, data in files]
    with pytest.raises(InvalidRequest) as caught:
        tree(request(injected_files=made))
    (problem,) = caught.value.problems
    assert str(problem) == f"injected_files: must have {rule}"


@pytest.mark.parametrize(
    ("device", "since", "told"),
    [
        (NicDevice(mac=MAC), "2018-08-27", {"vf_trusted": False}),
        (NicDevice(mac=MAC, vlan=100), "2017-02-22", {"vlan": 100}),
        (NicDevice(mac=MAC, tags=["a"]), "2016-06-30", {"tags": ["a"]}),
    ],
    ids=["plain", "vlan", "tags"],
)
def test_a_version_tells_of_an_interface_if_it_has_more_to_say(
    device: NicDevice, since: str, told: dict[str, Any]
) -> None:
    made = request(devices=[device])
    plain = {"type": "nic", "mac": MAC, "bus": "none", "address": "none"}
    for version in VERSIONS:
        found = meta_data(made, version).get("devices")
        if version < "2016-06-30":
            assert found is None
        elif version < since:
            assert found == []
        elif version < "2018-08-27":
            assert found == [plain | told]
        else:
            assert found == [plain | {"vf_trusted": False} | told]


def test_a_disk_is_told_with_its_serial_and_path() -> None:
    disk = DiskDevice(
        serial="s", path="/dev/vdb", tags=["db"], bus="scsi", address="0:0:0:1"
    )
    assert meta_data(request(devices=[disk]))["devices"] == [
        {
            "type": "disk",
            "serial": "s",
            "path": "/dev/vdb",
            "tags": ["db"],
            "bus": "scsi",
            "address": "0:0:0:1",
        }
    ]


def test_a_share_is_told_since_2025() -> None:
    made = request(devices=[ShareDevice(share_id="s", tag="media")])
    assert meta_data(made, "2020-10-14")["devices"] == []
    assert meta_data(made, "2025-04-04")["devices"] == [
        {
            "type": "share",
            "share_id": "s",
            "tag": "media",
            "bus": "none",
            "address": "none",
        }
    ]
