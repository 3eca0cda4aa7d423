"""network_data.json: links, networks and services."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfgdrive_virt import Bond, Interface, NetworkInfo, Route, Subnet, Vlan
from cfgdrive_virt.metadata.openstack import build_tree

from ...samples import MAC, SEED, request


def document(**network: Any) -> dict[str, Any]:
    """Return what a drive says of a network."""
    made = request(network=NetworkInfo(**network))
    tree = build_tree(made, random_seed=SEED)
    found: dict[str, Any] = json.loads(
        tree.files["openstack/latest/network_data.json"]
    )
    return found


def network_of(subnet: Subnet, **link: Any) -> dict[str, Any]:
    """Return what a drive says of the only subnet of the only link."""
    links = [Interface(mac=MAC, id="eth0", subnets=[subnet], **link)]
    (found,) = document(interfaces=links)["networks"]
    return dict(found)


def ipv4(**fields: Any) -> Subnet:
    given = {"cidr": "192.0.2.0/24", "ip_address": "192.0.2.10"}
    return Subnet(**{"type": "ipv4"} | given | fields)


def ipv6(**fields: Any) -> Subnet:
    given = {"cidr": "2001:db8::/64", "ip_address": "2001:db8::10"}
    return Subnet(**{"type": "ipv6"} | given | fields)


def dns(*addresses: str) -> list[dict[str, str]]:
    return [{"type": "dns", "address": address} for address in addresses]


def test_without_links_all_lists_are_empty() -> None:
    assert document() == {"links": [], "networks": [], "services": []}


def test_an_interface_is_a_link() -> None:
    link = Interface(
        mac=MAC.upper(), type="ovs", id="tap1", vif_id="port", mtu=1450
    )
    assert document(interfaces=[link])["links"] == [
        {
            "id": "tap1",
            "type": "ovs",
            "ethernet_mac_address": MAC,
            "vif_id": "port",
            "mtu": 1450,
        }
    ]


def test_a_link_of_which_less_is_known_says_so() -> None:
    assert document(interfaces=[Interface(mac=MAC)])["links"] == [
        {
            "id": "interface0",
            "type": "phy",
            "ethernet_mac_address": MAC,
            "mtu": None,
        }
    ]


def test_bonds_and_vlans_are_links_behind_the_interfaces() -> None:
    bond = Bond(
        id="bond0", mac=MAC, bond_mode="active-backup", bond_links=["a", "b"]
    )
    vlan = Vlan(
        id="v", mac=MAC, vlan_id=100, vlan_link="bond0", vif_id="p", mtu=9000
    )
    interfaces = [Interface(mac=MAC, id=name) for name in "ab"]
    found = document(interfaces=interfaces, bonds=[bond], vlans=[vlan])
    assert [link["id"] for link in found["links"]] == ["a", "b", "bond0", "v"]
    assert found["links"][2:] == [
        {
            "id": "bond0",
            "type": "bond",
            "ethernet_mac_address": MAC,
            "bond_mode": "active-backup",
            "bond_links": ["a", "b"],
        },
        {
            "id": "v",
            "type": "vlan",
            "vlan_mac_address": MAC,
            "vlan_id": 100,
            "vlan_link": "bond0",
            "vif_id": "p",
            "mtu": 9000,
        },
    ]


@pytest.mark.parametrize("kind", ["ipv4_dhcp", "ipv6_dhcp"])
def test_of_dhcp_only_the_type_is_told(kind: str) -> None:
    version = {"ipv4_dhcp": ipv4, "ipv6_dhcp": ipv6}[kind]
    for subnet in (Subnet(type=kind), version(type=kind)):
        assert network_of(subnet) == {
            "id": "network0",
            "type": kind,
            "link": "eth0",
            "network_id": "",
        }


def test_of_an_ipv4_subnet_everything_is_told() -> None:
    subnet = ipv4(gateway="192.0.2.1", dns=["192.0.2.53", "2001:db8::53"])
    assert network_of(subnet) == {
        "id": "network0",
        "type": "ipv4",
        "link": "eth0",
        "network_id": "",
        "ip_address": "192.0.2.10",
        "netmask": "255.255.255.0",
        "routes": [
            {
                "network": "0.0.0.0",
                "netmask": "0.0.0.0",
                "gateway": "192.0.2.1",
            }
        ],
        "services": dns("192.0.2.53", "2001:db8::53"),
    }


@pytest.mark.parametrize(
    "kind",
    ["ipv6", "ipv6_slaac", "ipv6_dhcpv6-stateless", "ipv6_dhcpv6-stateful"],
)
def test_of_an_ipv6_subnet_everything_is_told(kind: str) -> None:
    assert network_of(ipv6(type=kind, gateway="2001:db8::1")) == {
        "id": "network0",
        "type": kind,
        "link": "eth0",
        "network_id": "",
        "ip_address": "2001:db8::10",
        "netmask": "ffff:ffff:ffff:ffff::",
        "routes": [
            {"network": "::", "netmask": "::", "gateway": "2001:db8::1"}
        ],
        "services": [],
    }


def test_the_default_route_comes_before_the_others() -> None:
    routes = [
        Route(destination="198.51.100.0/24", gateway="192.0.2.254"),
        Route(destination="203.0.113.7/32", gateway="192.0.2.253"),
    ]
    found = network_of(ipv4(gateway="192.0.2.1", routes=routes))["routes"]
    assert found == [
        {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"},
        {
            "network": "198.51.100.0",
            "netmask": "255.255.255.0",
            "gateway": "192.0.2.254",
        },
        {
            "network": "203.0.113.7",
            "netmask": "255.255.255.255",
            "gateway": "192.0.2.253",
        },
    ]


def test_without_a_gateway_there_is_no_default_route() -> None:
    assert network_of(ipv4())["routes"] == []


@pytest.mark.parametrize(
    ("subnet", "link", "told"),
    [
        ({"network_id": "s"}, {"network_id": "l"}, "s"),
        ({}, {"network_id": "l"}, "l"),
        ({}, {}, ""),
    ],
    ids=["subnet", "link", "neither"],
)
def test_a_subnets_network_outranks_its_links(
    subnet: dict[str, str], link: dict[str, str], told: str
) -> None:
    assert network_of(ipv4(**subnet), **link)["network_id"] == told


def test_networks_are_numbered_over_all_links() -> None:
    links = [
        Interface(mac=MAC, subnets=[ipv4(), ipv6()]),
        Interface(mac=MAC, subnets=[Subnet(type="ipv4_dhcp")]),
    ]
    found = document(interfaces=links)["networks"]
    assert [(network["id"], network["link"]) for network in found] == [
        ("network0", "interface0"),
        ("network1", "interface0"),
        ("network2", "interface1"),
    ]


def test_every_name_server_is_told_once_subnets_first() -> None:
    links = [
        Interface(mac=MAC, subnets=[ipv4(dns=["192.0.2.54", "192.0.2.53"])]),
        Interface(mac=MAC, subnets=[ipv6(dns=["192.0.2.53", "::53"])]),
    ]
    found = document(interfaces=links, dns=["::53", "192.0.2.55"])
    assert found["services"] == dns(
        "192.0.2.54", "192.0.2.53", "::53", "192.0.2.55"
    )
