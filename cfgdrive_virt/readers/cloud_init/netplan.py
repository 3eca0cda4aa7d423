"""The renderer netplan."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from cfgdrive_virt.readers.cloud_init.common import (
    Servers,
    domains,
    lost,
    network_demand,
    refused,
    static_domains,
    without_advertisements,
    without_domains,
)
from cfgdrive_virt.readers.network import NetworkData
from cfgdrive_virt.readers.reader import Loss


def _no_prefix(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        for network in link.networks:
            if network.is_static and network.prefix == 0:
                yield refused(
                    f"{network.key}.netmask",
                    "netplan refuses a prefix length of 0, so nothing of the"
                    " network is configured",
                )


def _no_route(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        static = {
            (route.destination, route.gateway)
            for network in link.networks
            for route in network.routes
            if network.is_static
        }
        for network in link.networks:
            for route in network.routes:
                # A default route comes the way that the address comes.
                if not (
                    network.is_static
                    or route.is_default
                    or (route.destination, route.gateway) in static
                ):
                    yield lost(
                        route.key,
                        "netplan: routes of a network without a static address"
                        " are not written",
                    )


def _no_server(network_data: NetworkData) -> Iterator[Loss]:
    own: set[tuple[str, str]] = set()
    global_of: dict[str, frozenset[int]] = {}
    for link in network_data.links:
        static = [network for network in link.networks if network.is_static]
        servers = {server for network in static for server in network.servers}
        own |= {(link.id, server) for server in servers}
        if static and not servers and not any(map(domains, static)):
            global_of[link.id] = frozenset({4, 6})
    yield from Servers(frozenset(own), global_of).missing(
        network_data,
        "netplan: DNS servers are written for links with static networks, the"
        " global ones for those without servers or search domains of their"
        " own; there is no link for",
    )


DEMANDS = (
    network_demand(
        "no static IPv6 address follows SLAAC or DHCPv6 on a link (netplan)",
        "cloudinit/sources/helpers/openstack.py, convert_net_json: accept-ra;"
        " cloudinit/net/netplan.py, _extract_addresses",
        functools.partial(without_advertisements, "netplan"),
    ),
    network_demand(
        "no address has a prefix length of 0 (netplan)",
        "netplan, src/parse.c, handle_addresses: invalid prefix length",
        _no_prefix,
    ),
    network_demand(
        "routes belong to static networks (netplan)",
        "cloudinit/net/netplan.py, _extract_addresses",
        _no_route,
    ),
    network_demand(
        "DNS servers belong to static networks; global ones are among them, or"
        " a link with static networks has no other (netplan)",
        "cloudinit/net/netplan.py, _extract_addresses, _render_content."
        "  Release 22.4 writes global servers only",
        _no_server,
    ),
    network_demand(
        "search domains belong to static networks (netplan)",
        "cloudinit/net/netplan.py, _extract_addresses",
        functools.partial(
            without_domains,
            static_domains,
            "netplan: search domains of a network without a static address are"
            " not written:",
        ),
    ),
)
