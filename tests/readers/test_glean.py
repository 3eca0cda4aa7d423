"""glean's own code, for each family of distributions.

A drive that breaks a demand has a loss, which the files that glean writes
show; one that keeps it has none, and the files have all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cfgdrive_virt.readers import glean
from cfgdrive_virt.readers.common import USER_DATA, meta_data
from cfgdrive_virt.readers.reader import Content, Demand, Reader

from . import glean_output, random_networks
from .arrival import but_bonds, missing
from .cases import Case, drive, names_arrive, network, reads
from .drives import (
    DHCP,
    DHCP6,
    FAR,
    FAR6,
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
from .glean_output import FAMILIES
from .guest_agents import encoded, run
from .warned import differences

INSTANCES = 60

READERS = {reader.name: reader for reader in glean.READERS}
#: Those that all families have are tested with this one's.
COMMON = "glean-debian"
OWN = [
    (name, demand)
    for name, reader in READERS.items()
    if name in FAMILIES
    for demand in reader.demands
    if name == COMMON
    or demand.text not in {other.text for other in READERS[COMMON].demands}
]

_ROUTED = static(routes=[default_route("192.0.1.1"), *FAR])
_DEFAULT = static(routes=[default_route("192.0.1.1")])
_BOND = bond(bond_links=["tap0", "tap1"])
_BONDED = (nic(1), _BOND, static(link="bond"))
_FILE = {"path": "/etc/motd", "content_path": "/content/0000"}
_CONTENT = "openstack/content/0000"


def _no_errors(made: Mapping[str, Any], content: Content) -> bool:
    del content
    return not made["errors"]


def _names(made: Mapping[str, Any], content: Content) -> bool:
    return bool(made["host_name"] == [meta_data(content)["hostname"]])


def _keeps_nics_apart(made: Mapping[str, Any], content: Content) -> bool:
    del content
    first = made["files"]["/etc/network/interfaces.d/glean0.cfg"]
    return "192.0.1.10" in first and "192.0.2.10" not in first


_COMMON_CASES = {
    "meta_data.json is a JSON object in UTF-8": Case(
        (drive(more={META_DATA: b"\xef\xbb\xbf{}"}),), drive(), _no_errors
    ),
    "links, networks and services have what it needs": Case(
        (
            network(nic(), {"id": "x"}, static()),
            network(nic(ethernet_mac_address=None), static()),
            network({"id": "x", "link": "tap0", "type": "ipv4"}),
            network(static6() | {"netmask": "64"}),
            network(static(routes=[{"network": "0.0.0.0"}])),
            drive(network_data(static()) | {"services": None}),
            drive(more={NETWORK_DATA: b"\xff"}),
        ),
        network(static(), static6(id="x")),
    ),
    "a VLAN is on a NIC or a bond, and a bond has NICs": Case(
        (
            network(
                vlan(), vlan(id="top", vlan_link="vlan"), static(link="top")
            ),
            network(bond(bond_links=["tap0", "tap7"]), static()),
        ),
        network(vlan(), static(link="vlan")),
    ),
    "hostname is name": Case(
        (drive(meta_data={"hostname": "plain.example"}),), drive(), _names
    ),
    "there is no user data": Case(
        (drive(more={USER_DATA: b"#cloud-config\n"}),),
        drive(),
        reads(USER_DATA),
    ),
    "there are no injected files": Case(
        (drive(meta_data={"files": [_FILE]}, more={_CONTENT: b"text"}),),
        drive(),
        reads(_CONTENT),
    ),
    "no link has an MTU": Case(
        (network(nic(mtu=1400), static()),), network(nic(mtu=None), static())
    ),
    "NICs have MACs of their own": Case(
        (network(nic(), nic(0, id="x"), static(), static(2, link="x")),),
        network(nic(1), static(), static(2, link="tap1")),
        _keeps_nics_apart,
    ),
    "networks have ids of their own, and a link": Case(
        (network(static(), static(2, id="network1")),),
        network(static(), static(2)),
    ),
    "networks have no search domains": Case(
        (network(static(dns_search=["example.org"])),), network(static())
    ),
    "links have no names": Case(
        (network(nic(name="uplink"), static()),),
        network(static()),
        names_arrive,
    ),
    "services has all DNS servers, three at most": Case(
        (
            network(
                static(), services=dns(*(f"192.0.2.{n}" for n in range(4)))
            ),
            network(static(services=dns("192.0.2.1"))),
        ),
        network(
            static(services=dns("192.0.2.1")),
            services=dns("192.0.2.1", "fd00::53", "192.0.2.2"),
        ),
    ),
    "there are no bonds, nor routes with DHCP; IPv6 is static": Case(
        (
            network(*_BONDED),
            network(static(), SLAAC),
            network(automatic("ipv4_dhcp", routes=FAR)),
        ),
        network(_ROUTED, static(2), static6(id="x", routes=FAR6), DHCP),
    ),
}
_OWN_CASES = {
    "there are no bonds, DHCPv6, several addresses, nor IPv6 alone": Case(
        (
            network(*_BONDED),
            network(static(), DHCP6),
            network(_ROUTED, static(2)),
            network(static(), DHCP),
            network(static6()),
        ),
        network(_ROUTED, static6(id="x", routes=FAR6), SLAAC),
    ),
    "there are no bonds, IPv6, nor several addresses": Case(
        (
            network(*_BONDED),
            network(static(), static6(id="x")),
            network(_ROUTED, static(2)),
        ),
        network(_ROUTED),
    ),
    "there are no IPv6, several addresses, nor routes of VLANs": Case(
        (
            network(static(), static6(id="x")),
            network(_ROUTED, static(2)),
            network(vlan(), static(link="vlan", routes=FAR)),
        ),
        network(
            nic(1),
            _BOND,
            vlan(vlan_link="bond"),
            static(link="bond", routes=FAR),
            static(2, link="vlan"),
        ),
    ),
    "a VLAN is not on a bond that has static IPv6 only": Case(
        (
            network(
                nic(1),
                _BOND,
                vlan(vlan_link="bond"),
                static6(link="bond"),
                static(2, link="vlan"),
            ),
        ),
        network(nic(1), _BOND, vlan(vlan_link="bond"), static(link="vlan")),
    ),
    "there is no DHCPv6 without router advertisements": Case(
        (network(static(), automatic("ipv6_dhcp", id="z")),),
        network(
            *_BONDED,
            static(2, link="bond", routes=FAR),
            static6(id="x", link="bond"),
            automatic("ipv6_slaac", link="bond"),
            automatic("ipv6_dhcp", link="bond"),
        ),
    ),
    (
        "a NIC's first network, by id, has no DHCPv6; no network without"
        " routes follows one with routes of another IP version"
    ): Case(
        (network(DHCP6), network(_DEFAULT, SLAAC)),
        network(static(), SLAAC),
    ),
}
CASES = {
    (name, demand.text): (_COMMON_CASES if name == COMMON else _OWN_CASES)[
        demand.text
    ]
    for name, demand in OWN
}


def _job(name: str, content: Content) -> dict[str, Any]:
    family = FAMILIES[name]
    return {
        "files": encoded(content.tree),
        "distribution": family.distribution,
        "each_nic": family.each_nic,
        "nics": glean_output.nics(content.network(NETWORK_DATA)),
    }


def _network_arrives(
    name: str, made: Mapping[str, Any], content: Content
) -> bool:
    if made["errors"]:
        return False
    data = content.network(NETWORK_DATA)
    arrived = glean_output.items(name, made["files"], data)
    return not any(
        missing(items, arrived) for items in but_bonds(data).values()
    )


@pytest.fixture(scope="module")
def made() -> dict[int, Any]:
    """Return what glean makes of each case's drives, by their identity."""
    jobs = {
        id(content): _job(name, content)
        for (name, _), case in CASES.items()
        for content in (*case.broken, case.whole)
    }
    return dict(zip(jobs, run("run_glean", jobs.values()), strict=True))


def test_each_case_is_of_a_demand() -> None:
    texts = {demand.text for _, demand in OWN}
    assert texts == {*_COMMON_CASES, *_OWN_CASES}


@pytest.mark.parametrize(
    ("name", "demand"), OWN, ids=[f"{n}: {d.text}" for n, d in OWN]
)
def test_a_demand_is_what_glean_does(
    name: str, demand: Demand, made: dict[int, Any]
) -> None:
    case = CASES[name, demand.text]

    def arrives(content: Content) -> bool:
        if case.arrives:
            return case.arrives(made[id(content)], content)
        return _network_arrives(name, made[id(content)], content)

    assert not list(demand.losses(case.whole))
    assert arrives(case.whole)
    for content in case.broken:
        assert list(demand.losses(content))
        assert not arrives(content)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_lost_of_random_instances_was_warned_of(name: str) -> None:
    contents = [
        Content(random_networks.tree(random_networks.request(number)))
        for number in range(INSTANCES)
    ]
    results = run("run_glean", [_job(name, content) for content in contents])
    for content, result in zip(contents, results, strict=True):
        data = content.network(NETWORK_DATA)
        assert not differences(
            READERS[name],
            content,
            glean_output.items(name, result["files"], data),
            stopped=bool(result["errors"]),
        )


def test_glean_for_any_distribution_warns_of_what_each_family_loses() -> None:
    for number in range(INSTANCES):
        content = Content(
            random_networks.tree(random_networks.request(number))
        )
        said = {_place(loss) for loss in glean.GLEAN.losses(content)}
        for name in FAMILIES:
            assert {_place(loss) for loss in _losses(name, content)} <= said


def _losses(name: str, content: Content) -> Any:
    reader: Reader = READERS[name]
    return reader.losses(content)


def _place(loss: Any) -> tuple[str, str]:
    return loss.path, loss.key
