"""Links, subnets and routes that fit each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cfgdrive_virt import Bond, Interface, NetworkInfo, Route, Subnet, Vlan
from cfgdrive_virt.exception import InvalidRequest
from cfgdrive_virt.model.network import (
    BOND_LACP_RATES,
    BOND_XMIT_HASH_POLICIES,
    SUBNET_TYPES,
    Link,
)

from ..samples import MAC

V4 = {"type": "ipv4", "cidr": "192.0.2.0/24", "ip_address": "192.0.2.10"}
V6 = {"type": "ipv6", "cidr": "2001:db8::/64", "ip_address": "2001:db8::10"}


def refused(kind: Any, **fields: Any) -> dict[str, str]:
    """Return by path in which words a value is refused."""
    with pytest.raises(InvalidRequest) as caught:
        kind(**fields)
    return {problem.path: problem.rule for problem in caught.value.problems}


def bond(**fields: Any) -> Bond:
    given = {"id": "bond0", "bond_mode": "802.3ad", "bond_links": ["eth0"]}
    return Bond(**{"mac": MAC} | given | fields)


def vlan(**fields: Any) -> Vlan:
    given = {"id": "v", "mac": MAC, "vlan_id": 100, "vlan_link": "eth0"}
    return Vlan(**given | fields)


def eth0(**fields: Any) -> Interface:
    return Interface(**{"mac": MAC, "id": "eth0"} | fields)


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("ipv4", 4),
        ("ipv4_dhcp", 4),
        ("ipv6", 6),
        ("ipv6_dhcp", 6),
        ("ipv6_slaac", 6),
        ("ipv6_dhcpv6-stateless", 6),
        ("ipv6_dhcpv6-stateful", 6),
    ],
)
def test_a_subnet_is_of_the_version_that_its_type_names(
    kind: str, version: int
) -> None:
    fields = (V4 if version == 4 else V6) | {"type": kind}
    assert Subnet(**fields).version == version


@pytest.mark.parametrize("kind", ["ipv4_dhcp", "ipv6_dhcp"])
def test_dhcp_needs_no_address(kind: str) -> None:
    assert Subnet(type=kind).cidr is None


@pytest.mark.parametrize(
    "kind", sorted(set(SUBNET_TYPES) - {"ipv4_dhcp", "ipv6_dhcp"})
)
def test_all_but_dhcp_need_an_address_in_a_network(kind: str) -> None:
    assert refused(Subnet, type=kind) == {
        "cidr": f"must be given for {kind}",
        "ip_address": f"must be given for {kind}",
    }


@pytest.mark.parametrize(
    ("fields", "path", "rule"),
    [
        (V4 | {"cidr": "2001:db8::/64"}, "cidr", "must be IPv4"),
        (V4 | {"ip_address": "::1"}, "ip_address", "must be IPv4"),
        (V4 | {"gateway": "2001:db8::1"}, "gateway", "must be IPv4"),
        (V6 | {"gateway": "192.0.2.1"}, "gateway", "must be IPv6"),
        (
            V4 | {"ip_address": "198.51.100.1"},
            "ip_address",
            "must be in 192.0.2.0/24",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_address_fits_its_subnet(
    fields: dict[str, Any], path: str, rule: str
) -> None:
    assert refused(Subnet, **fields) == {path: rule}


def test_a_gateway_may_lie_outside_of_its_subnet() -> None:
    # As clouds with /32 subnets have it.
    made = Subnet(**V4 | {"cidr": "192.0.2.10/32", "gateway": "192.0.2.1"})
    assert made.gateway == "192.0.2.1"


def test_a_route_is_of_its_subnets_version() -> None:
    routes = [
        Route(destination="198.51.100.0/24", gateway="192.0.2.1"),
        Route(destination="2001:db8:1::/64", gateway="192.0.2.1"),
        Route(destination="198.51.100.0/24", gateway="2001:db8::1"),
    ]
    assert refused(Subnet, **V4, routes=routes) == {
        "routes[1].destination": "must be IPv4",
        "routes[2].gateway": "must be IPv4",
    }


def test_a_name_server_may_be_of_the_other_version() -> None:
    assert Subnet(**V4, dns=["2001:db8::53"]).dns == ("2001:db8::53",)


@pytest.mark.parametrize("mtu", [1, 1450, 65_535])
def test_an_mtu_has_a_range(mtu: int) -> None:
    assert Interface(mac=MAC, mtu=mtu).mtu == mtu


@pytest.mark.parametrize("mtu", [0, 65_536, True, "1450", 1450.0], ids=repr)
def test_an_mtu_out_of_its_range_is_refused(mtu: Any) -> None:
    assert list(refused(Interface, mac=MAC, mtu=mtu)) == ["mtu"]


@pytest.mark.parametrize("miimon", [0, 100, "100", 2**31 - 1], ids=repr)
def test_miimon_is_in_milliseconds(miimon: Any) -> None:
    assert bond(bond_miimon=miimon).bond_miimon == int(miimon)


@pytest.mark.parametrize(
    "miimon", [-1, 2**31, "1" * 99, "", "1s", "-1", "\u0661", 1.0, True],
    ids=repr,
)  # fmt: skip
def test_miimon_that_is_no_number_of_them_is_refused(miimon: Any) -> None:
    assert list(refused(bond, bond_miimon=miimon)) == ["bond_miimon"]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("bond_xmit_hash_policy", BOND_XMIT_HASH_POLICIES),
        ("bond_lacp_rate", BOND_LACP_RATES),
    ],
)
def test_an_option_of_a_bond_is_one_of_linux(
    field: str, values: tuple[str, ...]
) -> None:
    for value in values:
        assert getattr(bond(**{field: value}), field) == value
    for wrong in ("layer7", 1, ["slow"]):
        assert list(refused(bond, **{field: wrong})) == [field]


@pytest.mark.parametrize("make", [bond, vlan, eth0])
@pytest.mark.parametrize("name", ["e", "enp0s31f6.4094", "a" * 15, "0_-."])
def test_a_link_has_a_name_that_linux_can_give(
    make: Callable[..., Link], name: str
) -> None:
    assert make(name=name).name == name


@pytest.mark.parametrize("make", [bond, vlan, eth0])
@pytest.mark.parametrize(
    "name", ["", "a" * 16, ".", "..", "a/b", "a b", "a:1", "\u00e9", "a\n", 5],
    ids=repr,
)  # fmt: skip
def test_a_name_that_linux_cannot_give_is_refused(
    make: Callable[..., Link], name: Any
) -> None:
    assert list(refused(make, name=name)) == ["name"]


def test_no_two_links_get_one_name_in_the_guest() -> None:
    links = [eth0(name="wan"), eth0(id="eth1", name="wan"), eth0(id="eth2")]
    assert refused(NetworkInfo, interfaces=links) == {
        "": "must not have two links with the name 'wan'"
    }


@pytest.mark.parametrize("kind", [NetworkInfo, partial(Subnet, **V4)])
def test_domains_to_search_are_host_names(kind: Any) -> None:
    assert kind(dns_search=["a.example"]).dns_search == ("a.example",)
    for wrong in (["a b"], [""], ["a", "-b"], "a.example", [5]):
        assert list(refused(kind, dns_search=wrong)) == ["dns_search"]


@pytest.mark.parametrize("field", ["dns", "dns_search"])
def test_what_each_subnet_gets_is_limited(field: str) -> None:
    # Otherwise, a document of some MiB gives a drive of some GiB.
    given = ["192.0.2.53"] * 100
    fits = eth0(subnets=[Subnet(**V4)] * 500)
    more = eth0(subnets=[Subnet(**V4)] * 501)
    NetworkInfo(interfaces=[fits], **{field: given})
    assert refused(NetworkInfo, interfaces=[more], **{field: given}) == {
        field: "must be fewer: each of 501 subnets gets them"
    }


@pytest.mark.parametrize("vlan_id", [1, 4094])
def test_a_vlan_id_has_a_range(vlan_id: int) -> None:
    assert vlan(vlan_id=vlan_id).vlan_id == vlan_id


@pytest.mark.parametrize("vlan_id", [0, 4095, None, "100"], ids=repr)
def test_a_vlan_id_out_of_its_range_is_refused(vlan_id: Any) -> None:
    assert list(refused(vlan, vlan_id=vlan_id)) == ["vlan_id"]


def test_links_are_interfaces_then_bonds_then_vlans() -> None:
    network = NetworkInfo(
        vlans=[vlan()], bonds=[bond()], interfaces=[eth0(), eth0(id="eth1")]
    )
    ids = [link_id for link_id, _ in network.links()]
    assert ids == ["eth0", "eth1", "bond0", "v"]


def test_an_interface_without_a_name_is_named_for_its_place() -> None:
    links = [eth0(), Interface(mac=MAC), Interface(mac=MAC)]
    ids = [link_id for link_id, _ in NetworkInfo(interfaces=links).links()]
    assert ids == ["eth0", "interface1", "interface2"]


@pytest.mark.parametrize(
    "fields",
    [
        {"interfaces": [eth0(), eth0()]},
        {"interfaces": [eth0()], "vlans": [vlan(id="eth0")]},
        {"interfaces": [eth0()], "bonds": [bond(id="eth0")]},
        {"interfaces": [Interface(mac=MAC), eth0(id="interface0")]},
    ],
    ids=["interfaces", "vlan", "bond", "name-by-place"],
)
def test_no_two_links_have_one_name(fields: dict[str, Any]) -> None:
    rules = refused(NetworkInfo, **fields).values()
    assert any(rule.startswith("must not have two links ") for rule in rules)


def test_a_bond_bonds_other_links() -> None:
    assert refused(
        NetworkInfo,
        interfaces=[eth0()],
        bonds=[bond(bond_links=["eth0", "eth9"])],
    ) == {"bonds[0].bond_links": "must contain ids of other links"}


def test_a_bond_does_not_bond_itself() -> None:
    assert list(refused(NetworkInfo, bonds=[bond(bond_links=["bond0"])])) == [
        "bonds[0].bond_links"
    ]


@pytest.mark.parametrize("link", ["eth9", "v"], ids=["unknown", "itself"])
def test_a_vlan_is_carried_by_another_link(link: str) -> None:
    assert refused(
        NetworkInfo, interfaces=[eth0()], vlans=[vlan(vlan_link=link)]
    ) == {"vlans[0].vlan_link": "must be the id of another link"}


def test_a_vlan_may_be_carried_by_a_bond() -> None:
    NetworkInfo(
        interfaces=[eth0()], bonds=[bond()], vlans=[vlan(vlan_link="bond0")]
    )


def test_floating_ips_are_ipv4() -> None:
    assert refused(NetworkInfo, floating_ips=["192.0.2.1", "::1"]) == {
        "floating_ips": "item 1 must be an IPv4 address"
    }
