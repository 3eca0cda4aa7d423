"""What operators read of cloudbase-init; its code is in tests/readers."""

from __future__ import annotations

from cfgdrive_virt.readers.cloudbase_init import CLOUDBASE_INIT
from cfgdrive_virt.readers.reader import Content

from ...readers.cases import drive, network
from ...readers.drives import (
    DHCP,
    FAR,
    NETWORK_DATA,
    default_route,
    dns,
    nic,
    static,
    static6,
    vlan,
)

ROUTED = static(routes=[default_route("192.0.1.1")])


def said(content: Content) -> list[str]:
    return [
        str(loss).removeprefix(f"cloudbase-init: {NETWORK_DATA} ")
        for loss in CLOUDBASE_INIT.losses(content)
    ]


def test_the_first_of_two_addresses_is_lost_with_its_gateway() -> None:
    address, route = said(network(ROUTED, static(2)))
    assert address == (
        "networks[0]: a later static IPv4 address of the link, networks[1],"
        " replaces it, and its gateway is lost"
    )
    assert route == (
        "networks[0].routes[0]: the link has another gateway, or none"
    )


def test_where_a_vlan_costs_all_addresses_nothing_else_is_said() -> None:
    content = network(vlan(), nic(1), static(link="tap1", routes=FAR), DHCP)
    (loss,) = CLOUDBASE_INIT.losses(content)
    assert loss.refused
    assert loss.key == "links[1].vlan_link"
    assert loss.effect == (
        "a VLAN on anything but a bond can't be created: no static address,"
        " gateway or DNS server of any link is set"
    )


def test_lost_servers_are_named_and_no_more_than_three() -> None:
    services = dns(*(f"fd00::{number}" for number in range(1, 6)))
    (text,) = said(network(static(), services=services))
    assert text.startswith("services: fd00::1, fd00::2, fd00::3 and 2 more: ")


def test_a_server_that_a_guest_wrote_is_shown_in_ascii() -> None:
    (text,) = said(network(static(), services=dns("\x1b[31mfd00::1\n")))
    assert "\\x1b[31mfd00::1\\n" in text


def test_a_drive_as_nova_writes_it_loses_nothing() -> None:
    content = network(
        nic(mtu=1400),
        static(routes=[default_route("192.0.1.1")], services=dns("192.0.2.1")),
        static6(routes=[default_route("fd00::1")]),
        services=dns("192.0.2.1"),
    )
    assert said(content) == []


def test_a_drive_without_meta_data_is_not_found() -> None:
    tree = drive().tree.below((NETWORK_DATA,))
    losses = list(CLOUDBASE_INIT.losses(Content(tree)))
    assert [(loss.path, loss.refused) for loss in losses] == [
        ("openstack/latest/meta_data.json", True)
    ]


def test_it_gives_a_link_one_address() -> None:
    assert CLOUDBASE_INIT.one_address
