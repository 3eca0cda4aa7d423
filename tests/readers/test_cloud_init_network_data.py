"""What cloud-init demands of network_data.json, by two releases' own code.

It fails on what breaks a demand, or loses a part of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from cfgdrive_virt.readers import READERS

from .arrival import Item
from .cloud_inits import CloudInit
from .drives import (
    FAR,
    NETWORK_DATA,
    Json,
    bond,
    but,
    content_of,
    dns,
    files,
    losses,
    network_data,
    nic,
    places,
    static,
    vlan,
    without,
)
from .outcomes import fails, outcome, read
from .renderers import RENDERERS, arrived
from .test_cloud_init_demands import UNUSED, vendor_data

# Networks that it fails on


FAILING: dict[str, tuple[Any, str]] = {
    "a-list": ([], ""),
    "text": ("x", ""),
    "links-are-null": (network_data() | {"links": None}, "links"),
    "link-is-text": (network_data() | {"links": ["x"]}, "links[0]"),
    "services-are-null": (network_data() | {"services": None}, "services"),
    "network-is-text": (network_data() | {"networks": ["x"]}, "networks[0]"),
    "routes-are-null": (
        network_data(static(routes=None)), "networks[0].routes",
    ),
    "link-without-id": (
        network_data() | {"links": [but(nic(), "id")]}, "links[0].id",
    ),
    "link-without-type": (
        network_data() | {"links": [but(nic(), "type")]}, "links[0].type",
    ),
    "network-without-link": (
        network_data() | {"networks": [but(static(), "link")]},
        "networks[0].link",
    ),
    "network-without-type": (
        network_data() | {"networks": [but(static(), "type")]},
        "networks[0].type",
    ),
    "bond-without-links": (
        network_data(but(bond(), "bond_links")), "links[1].bond_links",
    ),
    "bond-of-nothing": (
        network_data(bond(bond_links=["x"])), "links[1].bond_links",
    ),
    "vlan-without-link": (
        network_data(but(vlan(), "vlan_link")), "links[1].vlan_link",
    ),
    "vlan-without-id": (
        network_data(but(vlan(), "vlan_id")), "links[1].vlan_id",
    ),
    "vlan-without-mac": (
        network_data(but(vlan(), "vlan_mac_address")),
        "links[1].vlan_mac_address",
    ),
    "vlan-on-nothing": (
        network_data(vlan(vlan_link="x")), "links[1].vlan_link",
    ),
    "nic-without-mac": (
        network_data(but(nic(), "ethernet_mac_address")),
        "links[0].ethernet_mac_address",
    ),
    "two-nics-with-one-mac": (
        network_data(nic(), nic(id="tap1"), static()),
        "links[1].ethernet_mac_address",
    ),
    "type-of-a-network-is-null": (
        network_data(static(type=None)), "networks[0].type",
    ),
    "mac-of-a-bond-is-a-number": (
        network_data(bond(ethernet_mac_address=5), static(link="bond")),
        "links[1].ethernet_mac_address",
    ),
    "id-is-a-list": (network_data(nic(), nic(1, id=[])), "links[1].id"),
    "bond-links-are-text": (
        network_data(bond(bond_links="x")), "links[1].bond_links",
    ),
    "two-nics-with-names-and-one-mac": (
        network_data(nic(name="a"), nic(id="tap1", name="b"), static()),
        "links[1].ethernet_mac_address",
    ),
    "no-address": (
        network_data(static(ip_address="x")), "networks[0].ip_address",
    ),
    "no-mask": (network_data(static(netmask="x")), "networks[0].netmask"),
    "route-is-empty": (
        network_data(static(routes=[{}])), "networks[0].routes[0]",
    ),
    "no-destination": (
        network_data(static(routes=[FAR[0] | {"network": "x"}])),
        "networks[0].routes[0]",
    ),
    "no-network-without-mask": (
        network_data(static(routes=[{"network": "x"}])),
        "networks[0].routes[0]",
    ),
    **{
        f"destination-{value}": (
            network_data(static(routes=[FAR[0] | {"destination": value}])),
            "networks[0].routes[0]",
        )
        for value in ("x", 0, False, "fd00::", "198.18.0.0/x")
    },
    **{
        f"metric-{value}": (
            network_data(static(routes=[FAR[0] | {"metric": value}])),
            "networks[0].routes[0].metric",
        )
        for value in ("x", "1.5", [1], {"a": 1})
    },
    **{
        f"search-domains-{value}": (
            network_data(static(dns_search=value)), "networks[0].dns_search",
        )
        for value in (5, True, {"a": 1})
    },
    **{
        f"name-{value}": (network_data(nic(name=value), static()),
                          "links[0].name")
        for value in (None, 5, [], {})
    },
}  # fmt: skip

#: Values of the same places on which it does not fail.
FINE = [
    *({"routes": [FAR[0] | {"destination": value}]}
      for value in (None, "", "198.18.0.0/16", "198.18.0.0", "::/0")),
    {"routes": [{"destination": "198.18.0.0/16", "gateway": "192.0.1.2"}]},
    *({"routes": [FAR[0] | {"metric": value}]}
      for value in (None, "", 0, 5, 1.5, "5", True, [], {})),
    *({"routes": [FAR[0] | {"services": value}]}
      for value in ("", [], {}, [{}], [{"type": "x"}], dns("192.0.2.53"))),
    *({"dns_search": value}
      for value in (None, "", 0, False, [], {}, "a b", ["a"])),
]  # fmt: skip


@pytest.mark.parametrize("changes", FINE, ids=str)
def test_it_does_not_fail_on_a_network(
    release: CloudInit, changes: Json
) -> None:
    changed = files(network=network_data(static(**changes)))

    assert not fails(read(release, content_of(changed)))
    assert not losses(changed, "cloud-init-netplan")


@pytest.mark.parametrize("name", ["first", None, ""])
def test_it_does_not_fail_on_a_bond_of_a_name(
    release: CloudInit, name: Any
) -> None:
    changed = files(network=network_data(bond(name=name), static(link="bond")))

    assert not fails(read(release, content_of(changed)))
    assert not losses(changed, "cloud-init-netplan")


@pytest.mark.parametrize("name", FAILING)
def test_it_fails_on_a_network(release: CloudInit, name: str) -> None:
    network, key = FAILING[name]
    changed = files(network=network)
    found = [loss for loss in losses(changed) if loss.refused]

    assert fails(read(release, content_of(changed)))
    assert places(found) == {(NETWORK_DATA, key)}


@pytest.mark.parametrize(
    ("network", "key"),
    [
        (static(services=None), "networks[0].services"),
        (
            static(services=[{"type": "dns"}]),
            "networks[0].services[0].address",
        ),
        (vlan(vlan_mac_address=5), "links[1].vlan_mac_address"),
        (bond(name=[]), "links[1].name"),
        (bond(name={"a": 1}), "links[1].name"),
        *(
            (
                static(routes=[FAR[0] | {"services": value}]),
                f"networks[0].routes[0].services{place}",
            )
            for value, place in (
                (None, ""),
                (0, ""),
                ("x", ""),
                (["x"], "[0]"),
                ([{"type": "dns"}], "[0].address"),
            )
        ),
    ],
)
def test_the_newest_release_fails_on_a_network(
    old: CloudInit, newest: CloudInit, network: Json, key: str
) -> None:
    changed = files(network=network_data(network))
    content = content_of(changed)

    assert not fails(read(old, content))
    assert fails(read(newest, content))
    assert (NETWORK_DATA, key) in places(losses(changed))


# Networks of which it loses something with any renderer

OTHERS: dict[str, tuple[Json, str]] = {
    "unknown-type": (network_data(static(type="x")), "networks[0].type"),
    "route-without-gateway": (
        network_data(static(routes=[but(FAR[0], "gateway")])),
        "networks[0].routes[0]",
    ),
    "route-without-mask": (
        network_data(static(routes=[but(FAR[0], "netmask")])),
        "networks[0].routes[0]",
    ),
    "vlan-on-vlan": (
        network_data(
            vlan(),
            vlan(id="upper", vlan_id=8, vlan_link="vlan"),
            static(link="upper"),
        ),
        "links[2].vlan_link",
    ),
    "long-name": (
        network_data(nic(name="interface-0123456"), static()),
        "links[0].name",
    ),
    "vlan-of-a-long-name": (
        network_data(nic(name="interface-1234"), vlan(), static(link="vlan")),
        "links[1].name",
    ),
    # Its NICs' names are none of the drive's, but bonds are counted.
    "vlan-of-a-bond": (
        network_data(
            nic(),
            nic(1),
            bond(name="first"),
            bond(id="second", bond_links=["tap1"]),
            vlan(vlan_id="12345678901", vlan_link="second"),
            static(link="bond"),
            static(2, link="vlan"),
        ),
        "links[4].name",
    ),
    "vlan-with-a-name": (
        network_data(vlan(name="first"), static(link="vlan")), "links[1].name",
    ),
    "two-nics-with-one-name": (
        network_data(
            nic(name="a"), nic(1, name="a"), static(), static(2, link="tap1"),
        ),
        "links[1].name",
    ),
    "nic-with-the-name-of-a-bond": (
        network_data(
            nic(name="bond0"), nic(1), bond(bond_links=["tap1"]),
            static(), static(2, link="bond"),
        ),
        "links[2].name",
    ),
    "bond-with-null-mtu": (
        network_data(bond(mtu=None), static(link="bond")), "links[1].mtu",
    ),
    "vlan-with-null-mtu": (
        network_data(vlan(mtu=None), static(link="vlan")), "links[1].mtu",
    ),
    "bond-with-text-as-miimon": (
        network_data(bond(bond_miimon="100"), static(link="bond")),
        "links[1].bond_miimon",
    ),
    "link-without-network": (network_data(), "links[0]"),
    "nothing": ({}, ""),
    "no-links": (network_data() | {"links": []}, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_it_loses_something(name: str) -> None:
    network, key = OTHERS[name]
    found = losses(files(network=network))

    assert places(found) == {(NETWORK_DATA, key)}
    assert not any(loss.refused for loss in found)


def config(cloud_init: CloudInit, network: Json) -> list[Json]:
    """Return the links of cloud-init's own configuration."""
    answer = read(cloud_init, content_of(files(network=network)))
    found: list[Json] = answer["config"]["config"]
    return found


def test_a_route_without_a_gateway(release: CloudInit) -> None:
    network, _ = OTHERS["route-without-gateway"]
    content = content_of(files(network=network))
    rendered = read(release, content)["rendered"]

    assert isinstance(rendered["eni"], str)
    assert isinstance(rendered["sysconfig"], str)


def test_a_route_without_a_mask(release: CloudInit) -> None:
    network, _ = OTHERS["route-without-mask"]
    content = content_of(files(network=network))
    netplan = read(release, content)["rendered"]["netplan"]

    # That of FAR has 16 bits.
    assert "to: 198.18.0.0/24" in netplan["etc/netplan/50-cloud-init.yaml"]


def test_a_type_that_it_does_not_know(release: CloudInit) -> None:
    content = content_of(files(network=OTHERS["unknown-type"][0]))
    answer = read(release, content)

    for renderer in RENDERERS:
        assert outcome(renderer, answer, content).lost


def test_a_vlan_on_a_vlan_is_on_nothing(release: CloudInit) -> None:
    _, lower, above = config(release, OTHERS["vlan-on-vlan"][0])

    assert above["vlan_link"] != lower["name"]


@pytest.mark.parametrize(
    ("name", "length"),
    [("long-name", 17), ("vlan-of-a-long-name", 16), ("vlan-of-a-bond", 17)],
)
def test_a_vlan_has_the_name_of_its_link(
    release: CloudInit, name: str, length: int
) -> None:
    assert len(config(release, OTHERS[name][0])[-1]["name"]) == length


def test_a_vlan_does_not_have_its_own_name(release: CloudInit) -> None:
    network, _ = OTHERS["vlan-with-a-name"]

    assert config(release, network)[-1]["name"] == "eth0.7"


@pytest.mark.parametrize(
    "name", ["two-nics-with-one-name", "nic-with-the-name-of-a-bond"]
)
def test_of_links_with_one_name_an_address_is_lost(
    release: CloudInit, name: str
) -> None:
    content = content_of(files(network=OTHERS[name][0]))
    netplan = read(release, content)["rendered"]["netplan"]
    written = netplan["etc/netplan/50-cloud-init.yaml"]

    assert "192.0.2.10" in written
    assert "192.0.1.10" not in written


def test_names_of_fifteen_bytes_fit(release: CloudInit) -> None:
    network = network_data(
        nic(name="interface-0"), vlan(vlan_id=777), static(link="vlan")
    )

    assert config(release, network)[-1]["name"] == "interface-0.777"
    assert not losses(files(network=network))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bond-with-null-mtu", "mtu: None is not of type"),
        ("vlan-with-null-mtu", "mtu: None is not of type"),
        ("bond-with-text-as-miimon", "bond-miimon: '100' is not of type"),
    ],
)
def test_its_schema_refuses_a_value(
    newest: CloudInit, name: str, problem: str
) -> None:
    content = content_of(files(network=OTHERS[name][0]))

    assert problem in read(newest, content)["schema"]


@pytest.mark.parametrize(
    "network",
    [
        network_data(nic(mtu=None), static()),
        network_data(bond(), static(link="bond")),
        network_data(bond(mtu=1400, bond_miimon=100), static(link="bond")),
        network_data(vlan(mtu=1400), static(link="vlan")),
    ],
)
def test_its_schema_accepts_numbers_and_what_is_missing(
    newest: CloudInit, network: Json
) -> None:
    changed = files(network=network)

    assert not read(newest, content_of(changed))["schema"]
    assert not losses(changed, "cloud-init-netplan")


def test_a_link_without_networks_is_not_configured(
    release: CloudInit,
) -> None:
    content = content_of(files(network=OTHERS["link-without-network"][0]))
    rendered = read(release, content)["rendered"]
    got = {
        renderer: arrived(renderer, rendered[renderer], {"eth0": ["tap0"]})
        for renderer in RENDERERS
    }

    assert Item("tap0", "automatic", "dhcp4") in got.pop("network-manager")
    # networkd listens to routers by itself.
    assert {item.value for items in got.values() for item in items} <= {
        "ra",
        "dhcp6",
    }


@pytest.mark.parametrize("name", ["nothing", "no-links"])
def test_without_links_there_is_no_network(
    release: CloudInit, name: str
) -> None:
    assert config(release, OTHERS[name][0]) == []


def test_without_the_file_it_uses_dhcp(release: CloudInit) -> None:
    changed = without(files(), NETWORK_DATA)
    answer = read(release, content_of(changed))

    # None lets it fall back.
    assert answer["config"] is None
    assert not losses(changed)


COMMON = set.intersection(
    *(set(READERS[f"cloud-init-{name}"].demands) for name in RENDERERS)
)


@pytest.mark.parametrize("text", sorted(demand.text for demand in COMMON))
def test_a_drive_above_breaks_each_demand(text: str) -> None:
    (demand,) = (demand for demand in COMMON if demand.text == text)
    drives = [unused for unused, _, _ in UNUSED.values()]
    drives += [vendor_data({"a": 1})]
    drives += [
        files(network=network)
        for network, _ in (*FAILING.values(), *OTHERS.values())
    ]

    assert any(list(demand.losses(content_of(drive))) for drive in drives)
