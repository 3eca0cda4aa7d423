"""The ec2/ tree: which version tells what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfgdrive_virt import (
    ConfigDriveRequest,
    Ec2Ids,
    Interface,
    Keypair,
    NetworkInfo,
    Subnet,
)
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.metadata.openstack.ec2 import VERSIONS

from ...samples import MAC, SEED, request

ALWAYS = {
    "ami-id", "ami-launch-index", "ami-manifest-path", "instance-id",
    "hostname", "local-ipv4", "reservation-id", "security-groups",
}  # fmt: skip
SINCE = {
    "local-hostname": "2007-01-19",
    "public-hostname": "2007-01-19",
    "public-ipv4": "2007-01-19",
    "instance-type": "2007-08-29",
    "block-device-mapping": "2007-12-15",
    "placement": "2008-02-01",
    "instance-action": "2008-09-01",
}
V6 = Subnet(type="ipv6", cidr="2001:db8::/64", ip_address="2001:db8::1")
V4 = Subnet(type="ipv4", cidr="192.0.2.0/24", ip_address="192.0.2.10")


def tree(made: ConfigDriveRequest, skip: Any = ()) -> dict[str, bytes]:
    """Return what is below ec2/, by path."""
    files = build_tree(made, random_seed=SEED, skip_versions=skip).files
    return {
        path.removeprefix("ec2/"): content
        for path, content in files.items()
        if path.startswith("ec2/")
    }


def meta_data(
    made: ConfigDriveRequest, version: str = "latest"
) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tree(made)[f"{version}/meta-data.json"])
    return found


@pytest.mark.parametrize("directory", [*VERSIONS, "latest"])
def test_a_version_has_the_keys_that_it_introduced_and_all_before(
    directory: str,
) -> None:
    age = "9999" if directory == "latest" else directory
    since = {key for key, first in SINCE.items() if age >= first}
    assert set(meta_data(request(), directory)) == ALWAYS | since


def test_every_version_has_the_user_data() -> None:
    files = tree(request(user_data="x"))
    assert [
        files[f"{directory}/user-data"] for directory in (*VERSIONS, "latest")
    ] == [b"x"] * (len(VERSIONS) + 1)


def test_skipped_versions_are_left_out() -> None:
    found = tree(request(), skip={"1.0", "2009-04-04", "3000-01-01"})
    directories = {path.partition("/")[0] for path in found}
    assert directories == {*VERSIONS[1:-1], "latest"}


def test_latest_may_be_skipped_too() -> None:
    assert tree(request(), skip={*VERSIONS, "latest"}) == {}


def test_names_are_derived_from_the_uuid_where_none_are_given() -> None:
    found = meta_data(request())
    assert found["instance-id"] == "i-83679162"
    assert found["reservation-id"] == "r-83679162"
    assert found["ami-id"] == "ami-00000000"
    assert not found.keys() & {"kernel-id", "ramdisk-id"}


def test_names_are_those_that_are_given() -> None:
    ids = Ec2Ids(
        instance_id="i-1",
        reservation_id="r-1",
        ami_id="ami-1",
        kernel_id="aki-1",
        ramdisk_id="ari-1",
    )
    found = meta_data(request(ec2=ids))
    assert [
        found[name]
        for name in (
            "instance-id", "reservation-id", "ami-id", "kernel-id",
            "ramdisk-id",
        )
    ] == ["i-1", "r-1", "ami-1", "aki-1", "ari-1"]  # fmt: skip


def test_keys_are_numbered_in_their_order() -> None:
    keys = [Keypair(name=name, public_key=f"ssh-{name}") for name in "ba"]
    assert meta_data(request(keypairs=keys), "1.0")["public-keys"] == {
        "0": {"openssh-key": "ssh-b\n"},
        "1": {"openssh-key": "ssh-a\n"},
    }


@pytest.mark.parametrize(
    ("subnets", "address"),
    [
        ([], None),
        ([V6], None),
        ([Subnet(type="ipv4_dhcp")], None),
        ([Subnet(type="ipv4_dhcp", ip_address="192.0.2.9")], "192.0.2.9"),
        ([V6, V4], "192.0.2.10"),
    ],
    ids=["none", "ipv6", "dhcp", "dhcp-known", "second"],
)
def test_the_local_address_is_the_first_of_ipv4(
    subnets: list[Subnet], address: str | None
) -> None:
    links = [Interface(mac=MAC), Interface(mac=MAC, subnets=subnets)]
    made = request(network=NetworkInfo(interfaces=links))
    assert meta_data(made)["local-ipv4"] == address


@pytest.mark.parametrize(
    ("floating_ips", "address"),
    [([], ""), (["192.0.2.1", "192.0.2.2"], "192.0.2.1")],
)
def test_the_public_address_is_the_first_floating_one(
    floating_ips: list[str], address: str
) -> None:
    made = request(network=NetworkInfo(floating_ips=floating_ips))
    assert meta_data(made)["public-ipv4"] == address


def test_the_block_devices_are_those_that_are_given() -> None:
    given = {"ami": "vda", "root": "/dev/vda"}
    made = request(block_device_mapping=given)
    assert meta_data(made)["block-device-mapping"] == given
    assert meta_data(request())["block-device-mapping"] == {
        "ami": "sda1",
        "ephemeral0": "sda2",
        "root": "/dev/sda1",
        "swap": "sda3",
    }


def test_flavor_zone_and_groups_are_told() -> None:
    found = meta_data(
        request(
            flavor="m1.small",
            availability_zone="az-1",
            security_groups=["default", "web"],
            launch_index=3,
        )
    )
    assert found["instance-type"] == "m1.small"
    assert found["placement"] == {"availability-zone": "az-1"}
    assert found["security-groups"] == ["default", "web"]
    assert found["ami-launch-index"] == 3
