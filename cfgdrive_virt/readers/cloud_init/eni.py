"""The renderer eni, which writes /etc/network/interfaces for ifupdown."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from cfgdrive_virt.readers.cloud_init.common import (
    ROUTER_TYPES,
    Servers,
    domains,
    is_static6,
    lost,
    network_demand,
    version_of,
    without_domains,
)
from cfgdrive_virt.readers.network import Link, Network, NetworkData
from cfgdrive_virt.readers.reader import Loss


def _no_mtu(network_data: NetworkData) -> Iterator[Loss]:
    upper = [link for link in network_data.links if link.networks]
    raised = {link.vlan_link for link in upper if link.type == "vlan"}
    for link in network_data.links:
        if link.type == "bond":
            raised |= {link.id, *link.bond_links}
    for link in network_data.links:
        if link.mtu is None:
            continue
        if link.networks and not link.networks[0].is_static:
            yield lost(
                f"{link.key}.mtu",
                "eni: ifupdown sets an MTU with an address, and the link's"
                " first network is not a static one",
            )
        elif not link.networks and link.id not in raised:
            yield lost(
                f"{link.key}.mtu",
                "eni: ifupdown does not bring up a link without networks that"
                " carries none with networks",
            )


def _no_autoconfiguration(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        static = False
        for network in reversed(link.networks):
            static = static or is_static6(network)
            if network.type in ROUTER_TYPES:
                if not static:
                    break
                yield lost(
                    network.key,
                    "eni: a static IPv6 address after it turns off the link's"
                    " autoconfiguration",
                )


def _no_server(network_data: NetworkData) -> Iterator[Loss]:
    own = frozenset(
        (link.id, server)
        for link in network_data.links
        for version, source in _stanzas(link)
        for server in source.servers
        if version_of(server) == version
    )
    # The global ones are those of lo, which is an IPv4 interface.
    shared = (s for s in network_data.servers if version_of(s) == 4)
    yield from Servers(own, everywhere=frozenset(shared)).missing(
        network_data,
        "eni: a DNS server is written beside addresses of its IP version"
        " only, a global one if it is IPv4; the link does not get",
    )


def _domains(link: Link) -> Iterator[str]:
    for version, source in _stanzas(link):
        versions = set(map(version_of, source.servers))
        if not versions or version in versions:
            yield from domains(source)


def _stanzas(link: Link) -> Iterator[tuple[int, Network]]:
    """Yield the IP version of a network, and that whose DNS it gets.

    One without any gets that of the first with some; each pair once.
    """
    first: Network | None = None
    known: set[tuple[int, str]] = set()
    for network in link.networks:
        has_some = network.servers or domains(network)
        source = network if has_some else first
        first = first or source
        if source and (network.version, source.key) not in known:
            known.add((network.version, source.key))
            yield network.version, source


DEMANDS = (
    network_demand(
        "the first network of a link with an MTU is a static address (eni)",
        "cloudinit/net/eni.py, _iface_add_attrs; interfaces(5): dhcp and auto"
        " have no mtu",
        _no_mtu,
    ),
    network_demand(
        "no static IPv6 address follows SLAAC on a link (eni)",
        "cloudinit/net/eni.py, _render_iface; interfaces(5): autoconf of"
        " inet6 static.  Release 22.4 also turns off router advertisements,"
        " by an option that 26.2 misspells",
        _no_autoconfiguration,
    ),
    network_demand(
        "DNS servers have the IP version of their network, and global ones"
        " are IPv4 (eni)",
        "cloudinit/net/eni.py, _iface_add_subnet.  Release 22.4 writes global"
        " servers only, of both versions",
        _no_server,
    ),
    network_demand(
        "search domains belong to a network with a DNS server of its IP"
        " version, or with none (eni)",
        "cloudinit/net/eni.py, _iface_add_subnet.  Release 22.4 writes all",
        functools.partial(
            without_domains,
            _domains,
            "eni: search domains are not written where all DNS servers of"
            " their network have the other IP version:",
        ),
    ),
)
