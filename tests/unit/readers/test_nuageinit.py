from __future__ import annotations

from cfgdrive_virt.readers.common import USER_DATA
from cfgdrive_virt.readers.nuageinit import NUAGEINIT
from cfgdrive_virt.readers.reader import Content

from ...readers.cases import Case, drive, network
from ...readers.drives import (
    DHCP,
    FAR,
    FAR6,
    META_DATA,
    SLAAC,
    automatic,
    bond,
    default_route,
    dns,
    nic,
    static,
    static6,
    vlan,
)
from .demands import check

FILE = {"path": "/etc/motd", "content_path": "/content/0000"}
ROUTED = static(routes=[default_route("192.0.1.1"), *FAR])
WHOLE = network(ROUTED, static6())


def given(data: bytes) -> Content:
    return drive(more={USER_DATA: data})


CASES = {
    "links have a MAC, and there are no VLANs; a bond with networks has the"
    " MAC of a NIC": Case(
        (
            network(vlan()),
            network(nic(ethernet_mac_address=None)),
            network(
                bond(ethernet_mac_address="fa:16:3e:0b:0b:0b"),
                static(link="bond"),
            ),
            network(static(link="nothing")),
        ),
        network(bond(), static(link="bond"), SLAAC),
    ),
    "meta_data.json is a JSON object": Case(
        (drive(more={META_DATA: b"[]"}),), drive()
    ),
    "user data is absent or #cloud-config": Case(
        (
            given(b"#!/bin/sh\necho"),
            given(b"#cloud-config\r\nhostname: x"),
            given(b"Content-Type: multipart/mixed\n\nx"),
            given(b"#cloud-config\n"),
        ),
        given(b"#cloud-config\nhostname: x\n"),
    ),
    "there are no injected files": Case(
        (drive(meta_data={"files": [FILE]}),), drive()
    ),
    "there are no bonds": Case((network(bond()),), WHOLE),
    "no link has an MTU": Case((network(nic(mtu=1400)),), WHOLE),
    "a link has one address of an IP version, static or by DHCP; of IPv6 a"
    " static one with a prefix of 64": Case(
        (
            network(ROUTED, static(2)),
            network(DHCP, ROUTED),
            network(SLAAC),
            network(automatic("ipv6_dhcpv6-stateful")),
            network(static6() | {"netmask": "ffff:ffff:ffff::"}),
        ),
        WHOLE,
    ),
    "routes are of static IPv4 networks, one is the default": Case(
        (
            network(static6(routes=FAR6)),
            network(static6(routes=[default_route("fd00::1")])),
            network(automatic("ipv4_dhcp", routes=FAR)),
            network(
                nic(1),
                ROUTED,
                static(2, link="tap1", routes=[default_route("192.0.2.1")]),
            ),
        ),
        WHOLE,
    ),
    "services has all DNS servers": Case(
        (network(static(services=dns("192.0.2.53"))),), WHOLE
    ),
    "networks have no search domains": Case(
        (network(static(dns_search=["example.org"])),), WHOLE
    ),
    "links have no names": Case((network(nic(name="uplink")),), WHOLE),
}


def test_the_demands() -> None:
    check(NUAGEINIT, CASES)


def test_the_last_address_and_the_last_default_route_stay() -> None:
    second = static(2, routes=[default_route("192.0.2.1")])
    keys = {loss.key for loss in NUAGEINIT.losses(network(ROUTED, second))}
    assert keys == {"networks[0]", "networks[0].routes[0]"}


def test_where_it_fails_at_a_vlan_nothing_else_is_said() -> None:
    (loss,) = NUAGEINIT.losses(network(nic(mtu=1400), vlan(), SLAAC))
    assert loss.refused
    assert loss.key == "links[1].ethernet_mac_address"


def test_it_gives_a_link_one_address() -> None:
    assert NUAGEINIT.one_address
