"""The renderer network-manager, which writes NetworkManager's keyfiles."""

from __future__ import annotations

from collections.abc import Iterator

from cfgdrive_virt.readers.cloud_init.common import (
    ROUTER_TYPES,
    Servers,
    lost,
    network_demand,
    version_of,
)
from cfgdrive_virt.readers.network import NetworkData
from cfgdrive_virt.readers.reader import Loss


def _no_mtu(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        if link.type == "vlan" and link.mtu is not None:
            yield lost(
                f"{link.key}.mtu",
                "network-manager: the MTU of a VLAN is not written",
            )


def _no_autoconfiguration(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        types = {network.type for network in link.networks}
        if "ipv6_dhcpv6-stateful" not in types:
            continue
        for network in link.networks:
            if network.type in ROUTER_TYPES:
                yield lost(
                    network.key,
                    "network-manager: stateful DHCPv6 on the same link turns"
                    " off the link's autoconfiguration",
                )


def _no_server(network_data: NetworkData) -> Iterator[Loss]:
    own: set[tuple[str, str]] = set()
    global_of: dict[str, frozenset[int]] = {}
    for link in network_data.links:
        versions = frozenset(network.version for network in link.networks)
        servers = {s for network in link.networks for s in network.servers}
        own |= {(link.id, s) for s in servers if version_of(s) in versions}
        if not servers:
            global_of[link.id] = versions
    yield from Servers(frozenset(own), global_of).missing(
        network_data,
        "network-manager: DNS servers are written for links with a network of"
        " the servers' IP version, the global ones for those without servers"
        " of their own; there is no link for",
    )


DEMANDS = (
    network_demand(
        "no VLAN has an MTU (network-manager)",
        "cloudinit/net/network_manager.py, render_interface",
        _no_mtu,
    ),
    network_demand(
        "no link has SLAAC beside stateful DHCPv6 (network-manager)",
        "cloudinit/net/network_manager.py, _set_ip_method.  Release 22.4"
        " accepts both",
        _no_autoconfiguration,
    ),
    network_demand(
        "a DNS server's link has a network of its IP version, and a global"
        " server is among those, or such a link has no other"
        " (network-manager)",
        "cloudinit/net/network_manager.py, _add_nameserver, render_interface."
        "  Release 22.4 writes no servers",
        _no_server,
    ),
)
