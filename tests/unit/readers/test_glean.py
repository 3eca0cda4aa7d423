"""What operators read of glean; its code is in tests/readers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from cfgdrive_virt.readers import READERS
from cfgdrive_virt.readers.glean.files import networkd_stops
from cfgdrive_virt.readers.network import NetworkData, Route
from cfgdrive_virt.readers.reader import Content

from ...readers.cases import network
from ...readers.drives import (
    FAR,
    NETWORK_DATA,
    bond,
    but,
    default_route,
    nic,
    static,
    static6,
)

ROUTED = static(routes=[default_route("192.0.1.1")])


def said(content: Content, name: str) -> list[str]:
    return [
        str(loss).removeprefix(f"{name}: {NETWORK_DATA} ")
        for loss in READERS[name].losses(content)
    ]


def test_the_first_of_two_addresses_is_lost_with_its_gateway() -> None:
    content = network(ROUTED, static(2))
    address, route = said(content, "glean-redhat")
    assert address == (
        "networks[0]: another address of the link, or DHCP, replaces it, and"
        " its gateway is lost"
    )
    assert route == (
        "networks[0].routes[0]: is not written, or routes of another network"
        " of the link replace it"
    )
    assert said(content, "glean-debian") == []


def test_glean_itself_names_the_family() -> None:
    red_hat, suse, gentoo = said(network(static6()), "glean")
    stops = (
        "glean stops at this NIC: it is in a bond, or a link on it has IPv6"
        " only"
    )
    assert red_hat == f"networks[0]: redhat: {stops}"
    assert suse == f"networks[0]: suse: {stops}"
    assert gentoo == (
        "networks[0]: gentoo: glean writes no ipv6 that the guest reads"
    )


def test_a_bond_stops_it_where_it_runs_for_each_nic() -> None:
    content = network(
        nic(1), bond(bond_links=["tap0", "tap1"]), static(link="bond")
    )
    assert said(content, "glean-networkd") == []
    for name in ("glean-debian", "glean-redhat", "glean-suse"):
        assert len(said(content, name)) == 1


def test_a_link_has_one_address_where_a_file_has_one_place() -> None:
    assert {name for name in READERS if "glean" in name} - {
        name for name, reader in READERS.items() if reader.one_address
    } == {"glean-debian", "glean-networkd"}


class _Counted(tuple[Route, ...]):
    """Routes that count how often someone goes through them."""

    __slots__ = ()
    walks = 0

    def __iter__(self) -> Iterator[Route]:
        type(self).walks += 1
        return super().__iter__()


def test_inherited_routes_are_gone_through_once() -> None:
    followers = [but(static(number), "routes") for number in range(2, 100)]
    content = network(static(routes=FAR), *followers)
    (link,) = content.network(NETWORK_DATA).links
    first, *rest = link.networks
    first = dataclasses.replace(first, routes=_Counted(first.routes))
    link = dataclasses.replace(link, networks=(first, *rest))
    content._cache[NETWORK_DATA] = NetworkData((link,))

    assert not list(networkd_stops(content))
    assert _Counted.walks == 1
