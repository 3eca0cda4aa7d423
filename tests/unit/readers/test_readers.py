"""All readers: which of them an image has, and that they bear any drive."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.readers import READERS, Content, likely
from cfgdrive_virt.readers.common import META_DATA, NETWORK_DATA, USER_DATA


def names(**properties: Any) -> list[str]:
    return [reader.name for reader in likely(properties)]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, ["cloud-init"]),
        ({"os_type": "linux"}, ["cloud-init"]),
        ({"os_type": "windows"}, ["cloudbase-init"]),
        ({"os_type": " Windows "}, ["cloudbase-init"]),
        ({"os_distro": "windows"}, ["cloudbase-init"]),
        ({"os_type": "freebsd"}, ["nuageinit"]),
        ({"os_type": "linux", "os_distro": "freebsd"}, ["nuageinit"]),
        ({"os_distro": "flatcar"}, ["ignition", "afterburn"]),
        ({"os_distro": "fedora-coreos"}, ["ignition", "afterburn"]),
        ({"os_distro": "coreos"}, ["ignition", "afterburn"]),
        ({"os_distro": "rhcos"}, ["ignition", "afterburn"]),
        ({"os_distro": "talos"}, ["talos"]),
        ({"os_distro": "cirros"}, ["cirros"]),
        ({"os_distro": "debian"}, ["cloud-init-netplan"]),
        ({"os_distro": "Ubuntu"}, ["cloud-init-netplan"]),
        (
            {"os_distro": "rhel"},
            ["cloud-init-sysconfig", "cloud-init-network-manager"],
        ),
        (
            {"os_distro": "sles15sp5"},
            ["cloud-init-sysconfig", "cloud-init-network-manager"],
        ),
        (
            {"os_distro": "centos-stream9"},
            ["cloud-init-sysconfig", "cloud-init-network-manager"],
        ),
        ({"os_distro": "win2k22"}, ["cloudbase-init"]),
        ({"os_distro": "fedora-coreos-stable"}, ["ignition", "afterburn"]),
        ({"os_distro": "ubuntu24.04"}, ["cloud-init-netplan"]),
        ({"os_distro": "ubuntuish"}, ["cloud-init"]),
        ({"os_distro": "alpine"}, ["cloud-init-eni"]),
        ({"os_distro": "arch"}, ["cloud-init-networkd"]),
        ({"os_distro": "photon"}, ["cloud-init-networkd"]),
        ({"os_distro": "netbsd"}, ["cloud-init"]),
    ],
    ids=str,
)
def test_an_image_suggests_readers(
    properties: dict[str, str], expected: list[str]
) -> None:
    assert names(**properties) == expected


@pytest.mark.parametrize("value", ["", "\0", "x-" * 100_000, None, 5, ["win"]])
def test_a_tenant_may_have_written_any_property(value: Any) -> None:
    assert names(os_type=value, os_distro=value) == ["cloud-init"]


def test_the_default_is_the_first() -> None:
    assert next(iter(READERS)) == "cloud-init"
    assert all(name == reader.name for name, reader in READERS.items())


def test_each_demand_says_where_it_comes_from() -> None:
    for reader in READERS.values():
        texts = [demand.text for demand in reader.demands]
        assert len(texts) == len(set(texts)), reader.name
        assert all(demand.source for demand in reader.demands)


WORDS = st.sampled_from(
    [
        "links", "networks", "services", "routes", "id", "type", "link",
        "ethernet_mac_address", "vlan_mac_address", "vlan_link", "vlan_id",
        "bond_links", "bond_mode", "bond_miimon", "bond_xmit_hash_policy",
        "ip_address", "netmask", "network", "gateway", "address", "mtu", "phy",
        "bond", "vlan", "ipv4", "ipv6", "ipv4_dhcp", "ipv6_slaac", "dns",
        "192.0.2.1", "255.255.255.0", "0.0.0.0", "::", "fd00::1", "64", "a",
        "fa:16:3e:00:00:00", "", "\n", "\u00e9", "x" * 300, "9" * 300,
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6)
    ),
    max_leaves=40,
)
ENTRIES = st.lists(st.dictionaries(WORDS, VALUES, max_size=8), max_size=5)
NETWORKS = VALUES | st.fixed_dictionaries(
    {"links": ENTRIES, "networks": ENTRIES, "services": ENTRIES | VALUES}
)
META = VALUES | st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("public_keys", "files", "hostname", "name", "meta", "uuid", "keys"),
        VALUES,
    ),
)


@settings(deadline=None, max_examples=100)
@given(META, NETWORKS, st.none() | st.binary(max_size=60))
def test_no_reader_stumbles_over_what_a_guest_wrote(
    meta: Any, network: Any, user_data: bytes | None
) -> None:
    files = {
        META_DATA: json.dumps(meta).encode(),
        NETWORK_DATA: json.dumps(network).encode(),
    }
    if user_data is not None:
        files[USER_DATA] = user_data
    content = Content(MetadataTree(files), "iso9660", 1 << 40)
    for reader in READERS.values():
        for loss in reader.losses(content):
            assert loss.effect
            assert str(loss).isprintable()


#: What makes each of many links have each of many networks, members, servers.
CROWDS = {
    "links-of-one-id": {
        "links": [{"id": "a", "type": "phy"}] * 10_000,
        "networks": [{"link": "a", "type": "ipv4"}] * 10_000,
    },
    "links-without-id": {"links": [{}] * 15_000, "networks": [{}] * 15_000},
    "one-link-of-many-networks": {
        "links": [{"id": "a", "type": "phy", "ethernet_mac_address": "a"}],
        "networks": [
            {"link": "a", "type": "ipv4_dhcp", "id": str(number)}
            for number in range(20_000)
        ],
    },
    "vlans-on-a-bond-of-many": {
        "links": [
            {"id": str(number), "type": "phy", "ethernet_mac_address": "a"}
            for number in range(6_000)
        ]
        + [
            {"id": "b", "type": "bond",
             "bond_links": [str(number) for number in range(6_000)]}
        ]
        + [{"id": f"v{number}", "type": "vlan", "vlan_link": "b"}
           for number in range(6_000)],
    },
    "servers-of-many-networks": {
        "links": [
            {"id": str(number), "type": "phy", "ethernet_mac_address": "a"}
            for number in range(5_000)
        ],
        "networks": [
            {"id": str(number), "link": str(number), "type": "ipv4",
             "ip_address": "192.0.2.1", "netmask": "255.255.255.0",
             "services": [{"type": "dns", "address": f"fd00::{number:x}"}]}
            for number in range(5_000)
        ],
        "services": [
            {"type": "dns", "address": f"192.0.{number >> 8}.{number & 255}"}
            for number in range(5_000)
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("crowd", CROWDS.values(), ids=CROWDS)
def test_a_crowd_takes_no_more_than_its_size(crowd: Any) -> None:
    files = {META_DATA: b"{}", NETWORK_DATA: json.dumps(crowd).encode()}
    content = Content(MetadataTree(files))
    content.document(NETWORK_DATA)
    for reader in READERS.values():
        before = time.process_time()
        for _ in reader.losses(content):
            pass
        assert time.process_time() - before < 10, reader.name
