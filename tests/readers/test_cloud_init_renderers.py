"""What each of cloud-init's renderers loses, by two releases' own code."""

from __future__ import annotations

import dataclasses

import pytest

from cfgdrive_virt.readers import READERS

from .arrival import held
from .cloud_inits import CloudInit
from .drives import (
    DHCP,
    DHCP6,
    FAR,
    FAR6,
    NETWORK_DATA,
    SERVER,
    SERVER6,
    SLAAC,
    STATEFUL,
    Json,
    automatic,
    bond,
    content_of,
    default_route,
    dns,
    files,
    losses,
    network_data,
    nic,
    places,
    static,
    static6,
    vlan,
)
from .outcomes import outcome, read
from .renderers import RENDERERS

DOMAINS = ["example.org", "example.net"]


@dataclasses.dataclass(frozen=True)
class Case:
    """A network of which a renderer loses something.

    :param key: in network_data.json, of what is lost
    :param mended: the same network without the loss
    :param old_keeps: whether release 22.4 loses nothing
    """

    renderer: str
    network: Json
    key: str
    mended: Json
    old_keeps: bool = False


LOSING: dict[str, Case] = {
    "eni-mtu-with-dhcp": Case(
        "eni",
        network_data(nic(mtu=1400), DHCP),
        "links[0].mtu",
        network_data(nic(mtu=1400), static()),
    ),
    "eni-mtu-without-network": Case(
        "eni",
        network_data(nic(mtu=1400), nic(1), static(link="tap1")),
        "links[0].mtu",
        network_data(nic(mtu=1400), vlan(), static(link="vlan")),
    ),
    "eni-slaac-before-static": Case(
        "eni",
        network_data(SLAAC, static6()),
        "networks[0]",
        network_data(static6(), SLAAC),
    ),
    "eni-ipv6-server-on-ipv4": Case(
        "eni",
        network_data(static(services=SERVER6)),
        "networks[0].services",
        network_data(static6(services=SERVER6)),
    ),
    "eni-global-ipv6-server": Case(
        "eni",
        network_data(static6(), services=SERVER6),
        "services",
        network_data(static6(services=SERVER6), services=SERVER6),
        old_keeps=True,
    ),
    "eni-domains-beside-an-ipv6-server": Case(
        "eni",
        network_data(static(services=SERVER6, dns_search=DOMAINS)),
        "networks[0].dns_search",
        network_data(static(services=SERVER, dns_search=DOMAINS)),
        old_keeps=True,
    ),
    "netplan-slaac-and-static": Case(
        "netplan",
        network_data(SLAAC, static6()),
        "networks[0]",
        network_data(SLAAC, static()),
    ),
    "netplan-dhcp-before-static": Case(
        "netplan",
        network_data(DHCP6, static6()),
        "networks[0]",
        network_data(static6(), DHCP6),
    ),
    "netplan-prefix-of-zero": Case(
        "netplan",
        network_data(static(netmask="0.0.0.0")),
        "networks[0].netmask",
        network_data(static(netmask="128.0.0.0")),
    ),
    "netplan-route-with-dhcp": Case(
        "netplan",
        network_data(automatic("ipv4_dhcp", routes=FAR)),
        "networks[0].routes[0]",
        network_data(static(routes=FAR)),
    ),
    "netplan-route-with-slaac": Case(
        "netplan",
        network_data(automatic("ipv6_slaac", routes=FAR6)),
        "networks[0].routes[0]",
        network_data(SLAAC),
    ),
    "netplan-global-server-beside-others": Case(
        "netplan",
        network_data(static(services=dns("192.0.2.1")), services=SERVER),
        "services",
        network_data(static(services=SERVER), services=SERVER),
        old_keeps=True,
    ),
    "netplan-server-with-dhcp": Case(
        "netplan",
        network_data(DHCP, services=SERVER),
        "services",
        network_data(static(), services=SERVER),
    ),
    "netplan-global-server-beside-domains": Case(
        "netplan",
        network_data(static(dns_search=DOMAINS), services=SERVER),
        "services",
        network_data(
            static(dns_search=DOMAINS, services=SERVER), services=SERVER
        ),
    ),
    "netplan-domains-with-dhcp": Case(
        "netplan",
        network_data(automatic("ipv4_dhcp", dns_search=DOMAINS)),
        "networks[0].dns_search",
        network_data(static(dns_search=DOMAINS)),
    ),
    "networkd-domains-with-dhcp": Case(
        "networkd",
        network_data(automatic("ipv4_dhcp", dns_search=DOMAINS)),
        "networks[0].dns_search",
        network_data(static(dns_search=DOMAINS)),
    ),
    "networkd-slaac-and-static": Case(
        "networkd",
        network_data(SLAAC, static6()),
        "networks[0]",
        network_data(SLAAC, static()),
        old_keeps=True,
    ),
    "networkd-server-with-slaac": Case(
        "networkd",
        network_data(automatic("ipv6_slaac", services=SERVER6)),
        "networks[0].services",
        network_data(
            automatic("ipv6_slaac", services=SERVER6), services=SERVER6
        ),
    ),
    "networkd-hash-policy": Case(
        "networkd",
        network_data(
            bond(bond_xmit_hash_policy="layer3+4"), static(link="bond")
        ),
        "links[1].bond_xmit_hash_policy",
        network_data(bond(bond_miimon=100), static(link="bond")),
    ),
    "sysconfig-lacp-rate": Case(
        "sysconfig",
        network_data(
            bond(bond_mode="802.3ad", bond_lacp_rate="fast"),
            static(link="bond"),
        ),
        "links[1].bond_lacp_rate",
        network_data(
            bond(bond_mode="802.3ad", bond_miimon=100), static(link="bond")
        ),
        old_keeps=True,
    ),
    "network-manager-mtu-of-a-vlan": Case(
        "network-manager",
        network_data(vlan(mtu=1400), static(link="vlan")),
        "links[1].mtu",
        network_data(nic(mtu=1400), vlan(), static(link="vlan")),
    ),
    "network-manager-slaac-and-stateful": Case(
        "network-manager",
        network_data(SLAAC, STATEFUL),
        "networks[0]",
        network_data(STATEFUL),
        old_keeps=True,
    ),
    "network-manager-ipv6-server-on-ipv4": Case(
        "network-manager",
        network_data(static(services=SERVER6)),
        "networks[0].services",
        network_data(static(services=SERVER)),
    ),
    "network-manager-global-server-beside-others": Case(
        "network-manager",
        network_data(static(services=dns("192.0.2.1")), services=SERVER),
        "services",
        network_data(static(), services=SERVER),
    ),
    "sysconfig-two-default-routes": Case(
        "sysconfig",
        network_data(
            static(routes=[default_route("192.0.1.1")]),
            static(2, routes=[default_route("192.0.2.1")]),
        ),
        "networks[1].routes[0]",
        network_data(static(routes=[default_route("192.0.1.1")]), static(2)),
    ),
    "sysconfig-static-and-dhcp": Case(
        "sysconfig",
        network_data(DHCP, static()),
        "networks[1]",
        network_data(DHCP, static6()),
    ),
    "sysconfig-slaac-before-static": Case(
        "sysconfig",
        network_data(SLAAC, static6()),
        "networks[0]",
        network_data(static6(), SLAAC),
    ),
    "sysconfig-static-before-dhcp": Case(
        "sysconfig",
        network_data(static6(), DHCP6),
        "networks[1]",
        network_data(DHCP6),
    ),
    "sysconfig-seven-domains": Case(
        "sysconfig",
        network_data(static(dns_search=[f"d{n}" for n in range(7)])),
        "networks[0].dns_search",
        network_data(static(dns_search=[f"d{n}" for n in range(6)])),
    ),
    "sysconfig-long-domains": Case(
        "sysconfig",
        network_data(static(dns_search=["d" * 128, "e" * 128])),
        "networks[0].dns_search",
        network_data(static(dns_search=["d" * 128, "e" * 127])),
    ),
    "sysconfig-four-servers": Case(
        "sysconfig",
        network_data(
            static(), services=dns(*(f"192.0.2.{last}" for last in range(4)))
        ),
        "services",
        network_data(
            static(), services=dns(*(f"192.0.2.{last}" for last in range(3)))
        ),
    ),
}


@pytest.mark.parametrize("name", LOSING)
def test_a_renderer_loses(newest: CloudInit, name: str) -> None:
    case = LOSING[name]
    changed = files(network=case.network)
    content = content_of(changed)
    found = outcome(case.renderer, read(newest, content), content)

    assert found.lost
    assert not found.unwarned
    assert not found.false
    # The reader without a renderer's name has the demands of all.
    for reader in (f"cloud-init-{case.renderer}", "cloud-init"):
        assert (NETWORK_DATA, case.key) in places(losses(changed, reader))


@pytest.mark.parametrize("name", LOSING)
def test_an_older_release_loses_it_too(old: CloudInit, name: str) -> None:
    case = LOSING[name]
    content = content_of(files(network=case.network))
    wanted = held(content.network(NETWORK_DATA))
    found = outcome(case.renderer, read(old, content), content)
    lost = found.lost & wanted.get(case.key, found.lost)

    assert bool(lost) != case.old_keeps


@pytest.mark.parametrize("name", LOSING)
def test_a_renderer_keeps(newest: CloudInit, name: str) -> None:
    case = LOSING[name]
    changed = files(network=case.mended)
    content = content_of(changed)
    found = outcome(case.renderer, read(newest, content), content)

    assert not found.lost
    assert not losses(changed, f"cloud-init-{case.renderer}")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_network_above_breaks_each_demand(renderer: str) -> None:
    others = next(name for name in RENDERERS if name != renderer)
    common = READERS[f"cloud-init-{others}"].demands
    drives = [
        content_of(files(network=case.network))
        for case in LOSING.values()
        if case.renderer == renderer
    ]

    for demand in READERS[f"cloud-init-{renderer}"].demands:
        if demand not in common:
            assert any(list(demand.losses(drive)) for drive in drives), demand


@pytest.mark.parametrize("renderer", RENDERERS)
def test_domains_arrive_beside_networks_without_any(
    newest: CloudInit, renderer: str
) -> None:
    network = network_data(static(dns_search=DOMAINS), static(2), static6())
    content = content_of(files(network=network))
    found = outcome(renderer, read(newest, content), content)

    assert not found.lost
    assert not losses(files(network=network), f"cloud-init-{renderer}")


@pytest.mark.parametrize("renderer", ["eni", "netplan", "network-manager"])
def test_options_of_a_bond_arrive(newest: CloudInit, renderer: str) -> None:
    network = network_data(
        bond(
            bond_mode="802.3ad",
            bond_miimon=100,
            bond_lacp_rate="fast",
            bond_xmit_hash_policy="layer2",
        ),
        static(link="bond"),
    )
    content = content_of(files(network=network))
    wanted = held(content.network(NETWORK_DATA))
    found = outcome(renderer, read(newest, content), content)

    assert [key for key in wanted if "bond_" in key] == [
        "links[1].bond_mode",
        "links[1].bond_miimon",
        "links[1].bond_xmit_hash_policy",
        "links[1].bond_lacp_rate",
    ]
    assert not found.lost
    assert not losses(files(network=network), f"cloud-init-{renderer}")
