"""cloudbase-init's own code, in a Windows of which only the network is there.

A drive that breaks a demand has a loss, which the code shows; one that keeps
it has none, and the code delivers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cfgdrive_virt.readers.cloudbase_init import CLOUDBASE_INIT
from cfgdrive_virt.readers.common import USER_DATA, meta_data
from cfgdrive_virt.readers.reader import Content, Demand

from . import random_networks
from .arrival import (
    DEFAULT,
    Item,
    Items,
    address,
    but_bonds,
    missing,
    route,
    server,
)
from .cases import Case, drive, names_arrive, network, reads
from .drives import (
    DHCP,
    FAR,
    META_DATA,
    NETWORK_DATA,
    SLAAC,
    automatic,
    bond,
    default_route,
    dns,
    network_data,
    nic,
    static,
    static6,
    vlan,
)
from .guest_agents import encoded, run
from .warned import differences

INSTANCES = 200
MIB = 1024 * 1024

#: With the gateway that Windows sets.
_ROUTED = static(routes=[default_route("192.0.1.1")])
_OTHER = static(2, routes=[default_route("192.0.2.1")])
_TEAM = (nic(1), bond(bond_links=["tap0", "tap1"]))
_ON_TEAM = static(link="bond")
_FILE = {"path": "/etc/motd", "content_path": "/content/0000"}
_CONTENT = "openstack/content/0000"


def _names(made: Mapping[str, Any], content: Content) -> bool:
    found = meta_data(content).get("hostname", "plain")
    return bool(made["host_name"] == found.partition(".")[0])


def _runs(made: Mapping[str, Any], content: Content) -> bool:
    return USER_DATA in content.tree.files and made["user_data"] == ["script"]


CASES = {
    "meta_data.json is a JSON object in UTF-8": Case(
        (
            drive(more={META_DATA: b"\xef\xbb\xbf{}"}),
            drive(more={META_DATA: b'{"uuid": "\xff"}'}),
            drive(more={META_DATA: b"[]"}),
        ),
        drive(),
        _names,
    ),
    "the host name has 15 characters at most": Case(
        (drive(meta_data={"hostname": "a-name-that-is-long"}),),
        drive(meta_data={"hostname": "plain.a-domain-that-is-long.example"}),
        _names,
    ),
    "user data is a script, #cloud-config or multipart": Case(
        (
            drive(more={USER_DATA: b"text"}),
            drive(more={USER_DATA: b"#ps1\n\xff"}),
        ),
        drive(more={USER_DATA: b"#ps1_sysnative\r\nexit 1001"}),
        _runs,
    ),
    "there are no injected files": Case(
        (drive(meta_data={"files": [_FILE]}, more={_CONTENT: b"text"}),),
        drive(meta_data={"files": []}),
        reads(_CONTENT),
    ),
    "network_data.json has lists of objects": Case(
        (
            drive(network_data(static()) | {"services": None}),
            drive(network_data(static()) | {"links": {}}),
            drive(network_data(static()) | {"networks": [static(), []]}),
            network(static(routes=None)),
            drive(more={NETWORK_DATA: b"\xff"}),
        ),
        network(_ROUTED),
    ),
    "links have names for adapters, and MACs of their own": Case(
        (
            network(nic(1, id="a:b"), static(link="a:b")),
            network(nic(), nic(1, id="tap0"), static()),
            network(nic(), nic(0, id="tap1"), static()),
            network(nic(ethernet_mac_address=None), static()),
        ),
        network(nic(1, id="tap-1 (a)"), static(link="tap-1 (a)")),
    ),
    "a bond has a mode of Windows, and the MAC of one of its links": Case(
        (
            network(bond(bond_mode="broadcast"), _ON_TEAM),
            network(bond(bond_xmit_hash_policy="vlan+srcmac"), _ON_TEAM),
            network(nic(1), bond(bond_links=["tap1"]), _ON_TEAM),
            network(bond(bond_links=["bond"]), _ON_TEAM),
            network(bond(bond_links=["tap7"]), _ON_TEAM),
        ),
        network(
            nic(1),
            bond(
                bond_links=["tap0", "tap1"], bond_xmit_hash_policy="layer2+3"
            ),
            _ON_TEAM,
        ),
    ),
    "a VLAN is on a bond": Case(
        (
            network(vlan(), static(link="vlan")),
            network(vlan(vlan_link="nothing"), static()),
        ),
        network(*_TEAM, vlan(vlan_link="bond"), static(link="vlan")),
    ),
    "a static network has an address with a netmask, and a link": Case(
        (
            network(static(netmask=None), static6()),
            network(static(link="nothing"), static6()),
        ),
        network(static(netmask=None, ip_address="192.0.1.10/24")),
    ),
    "a link has one static address of an IP version": Case(
        (
            network(_ROUTED, _OTHER),
            network(static6(), static6() | {"ip_address": "fd00::11"}),
        ),
        network(_ROUTED, static6()),
    ),
    "a static network has no routes but one default route": Case(
        (
            network(static(routes=FAR)),
            network(
                static(
                    routes=[
                        default_route("192.0.1.1"),
                        default_route("192.0.1.2"),
                    ]
                )
            ),
            network(automatic("ipv4_dhcp", routes=FAR)),
        ),
        network(_ROUTED, static6(routes=[default_route("fd00::1")])),
    ),
    "DHCP is not beside a static address of its IP version": Case(
        (
            network(static(), DHCP),
            network(automatic("ipv6_dhcpv6-stateful"), static6()),
        ),
        network(DHCP, SLAAC, static6()),
    ),
    "the servers of a link are those of its last static network": Case(
        (
            network(
                static(services=dns("192.0.2.1")), services=dns("192.0.2.2")
            ),
            network(static(), services=dns("fd00::53")),
            network(
                static(services=dns("192.0.2.1")),
                static6(services=dns("192.0.2.2")),
            ),
        ),
        network(
            static(),
            static6(services=dns("fd00::53")),
            services=dns("192.0.2.2", "192.0.2.3"),
        ),
    ),
    "networks have no search domains": Case(
        (network(static(dns_search=["example.org"])),), network(static())
    ),
    "links have no names": Case(
        (network(nic(name="uplink"), static()),),
        network(static()),
        names_arrive,
    ),
    "an ISO 9660 image on a disk is smaller than 128 MiB": Case(
        (drive(image_format="iso9660", size=128 * MIB),),
        drive(image_format="iso9660", size=128 * MIB - 2048),
        lambda made, content: bool(made == content.size),
    ),
}


def delivered(made: Mapping[str, Any], content: Content) -> Items:
    """Return what a Windows has, in terms of the drive's links."""
    found: set[Item] = set()
    for link in content.network(NETWORK_DATA).links:
        adapter = made["adapters"].get(link.id)
        if adapter is None:
            continue
        for values in adapter["addresses"].values():
            found |= {address(link.id, *v.split("/")) for v in values}
        for version, gateway in adapter["gateways"].items():
            found.add(route(link.id, DEFAULT[int(version)], gateway))
        for values in adapter["servers"].values():
            found |= {server(link.id, value) for value in values}
        if adapter["mtu"]:
            found.add(Item(link.id, "mtu", str(adapter["mtu"])))
        # By default, Windows accepts router advertisements.
        found.add(Item(link.id, "automatic", "ra"))
        found |= {
            Item(link.id, "automatic", f"dhcp{version}")
            for version, on in adapter["dhcp"].items()
            if on
        }
    return frozenset(found)


def _network_arrives(made: Mapping[str, Any], content: Content) -> bool:
    on_drive = but_bonds(content.network(NETWORK_DATA)).values()
    arrived = delivered(made, content)
    return "network" not in made["errors"] and not any(
        missing(items, arrived) for items in on_drive
    )


@pytest.fixture(scope="module")
def made() -> dict[int, Any]:
    """Return what the agent makes of each case's drives, by their identity."""
    jobs = {
        id(content): {"size": content.size}
        if content.size
        else {"files": encoded(content.tree)}
        for case in CASES.values()
        for content in (*case.broken, case.whole)
    }
    results = run("run_cloudbase_init", jobs.values())
    return dict(zip(jobs, results, strict=True))


def test_each_demand_has_a_case() -> None:
    assert {demand.text for demand in CLOUDBASE_INIT.demands} == set(CASES)


@pytest.mark.parametrize(
    "demand", CLOUDBASE_INIT.demands, ids=lambda d: d.text
)
def test_a_demand_is_what_the_agent_does(
    demand: Demand, made: dict[int, Any]
) -> None:
    case = CASES[demand.text]
    arrives = case.arrives or _network_arrives
    assert not list(demand.losses(case.whole))
    assert arrives(made[id(case.whole)], case.whole)
    for content in case.broken:
        assert list(demand.losses(content))
        assert not arrives(made[id(content)], content)


def test_what_is_lost_of_random_instances_was_warned_of() -> None:
    contents = [
        Content(random_networks.tree(random_networks.request(number)))
        for number in range(INSTANCES)
    ]
    jobs = [{"files": encoded(content.tree)} for content in contents]
    results = run("run_cloudbase_init", jobs)
    for content, result in zip(contents, results, strict=True):
        assert not differences(
            CLOUDBASE_INIT,
            content,
            delivered(result, content),
            stopped="network" in result["errors"],
        )
