"""The renderer sysconfig, which writes ifcfg files for initscripts."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

from cfgdrive_virt.readers.cloud_init.common import (
    DHCP6_TYPES,
    ROUTER_TYPES,
    Servers,
    domains,
    is_static6,
    lost,
    network_demand,
    refused,
    without_bond_options,
)
from cfgdrive_virt.readers.network import Link, NetworkData
from cfgdrive_virt.readers.reader import Loss

#: Those that the C library asks: resolv.conf(5), MAXNS.
_MAX_SERVERS = 3
_MAX_DOMAINS = 6
_MAX_LENGTH = 256


def _second_default_route(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        versions: set[int] = set()
        for network in link.networks:
            if network.type in ROUTER_TYPES + DHCP6_TYPES:
                continue
            for route in network.routes:
                if not route.is_default:
                    continue
                # It looks for an earlier one with these types only.
                if network.is_static and network.version in versions:
                    yield refused(
                        route.key,
                        "sysconfig: the link has a default route already, so"
                        " nothing of the network is written",
                    )
                versions.add(network.version)


def _no_address(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        if any(network.type == "ipv4_dhcp" for network in link.networks):
            for network in link.static(4):
                yield lost(
                    network.key,
                    "sysconfig: initscripts set no static IPv4 address on a"
                    " link with DHCP",
                )


def _no_advertisements(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        autoconfigures = _autoconfigures(link)
        static = any(map(is_static6, link.networks))
        for network in link.networks:
            if network.type in ROUTER_TYPES and not autoconfigures:
                yield lost(
                    network.key,
                    "sysconfig: a static IPv6 address after it turns off the"
                    " link's autoconfiguration",
                )
            elif network.type in DHCP6_TYPES and static:
                yield lost(
                    network.key,
                    "sysconfig: a static IPv6 address on the same link turns"
                    " off router advertisements, so DHCPv6 brings no route",
                )


def _autoconfigures(link: Link) -> bool:
    """Tell whether IPV6_AUTOCONF or IPV6_FORCE_ACCEPT_RA is yes."""
    automatic = forced = static = False
    for network in link.networks:
        if network.type in ROUTER_TYPES:
            automatic = True
        elif is_static6(network) or network.type == "ipv6_dhcpv6-stateful":
            automatic = False
        forced = forced or network.type in DHCP6_TYPES
        static = static or is_static6(network)
    return automatic or (forced and not static)


def _no_server(network_data: NetworkData) -> Iterator[Loss]:
    own = (
        server
        for link in network_data.links
        for network in link.networks
        for server in network.servers
    )
    servers = dict.fromkeys((*own, *network_data.servers))
    asked = frozenset(itertools.islice(servers, _MAX_SERVERS))
    yield from Servers(everywhere=asked).missing(
        network_data,
        f"sysconfig: the C library asks the first {_MAX_SERVERS} DNS servers"
        " of the guest only; it does not ask",
    )


def _many_domains(network_data: NetworkData) -> Iterator[Loss]:
    known: set[str] = set()
    length = 0
    for link in network_data.links:
        for network in link.networks:
            new = set(domains(network)) - known
            known |= new
            length += sum(len(name) + 1 for name in new)
            # No space follows the last one.
            if new and (len(known) > _MAX_DOMAINS or length > _MAX_LENGTH + 1):
                yield refused(
                    f"{network.key}.dns_search",
                    f"sysconfig: there are more than {_MAX_DOMAINS} search"
                    f" domains or {_MAX_LENGTH} characters of them, so"
                    " cloud-init fails, and writes no resolv.conf",
                )


DEMANDS = (
    network_demand(
        "a link has one default route of an IP version (sysconfig)",
        "cloudinit/net/sysconfig.py, _render_subnet_routes: Duplicate"
        " declaration of default route",
        _second_default_route,
    ),
    network_demand(
        "no link has a static IPv4 address beside DHCP (sysconfig)",
        "cloudinit/net/sysconfig.py, _render_subnets: BOOTPROTO.  A"
        " NetworkManager that reads ifcfg files sets both",
        _no_address,
    ),
    network_demand(
        "no static IPv6 address follows SLAAC on a link, or is beside DHCPv6"
        " (sysconfig)",
        "cloudinit/net/sysconfig.py, _render_subnets: IPV6_AUTOCONF and"
        " IPV6_FORCE_ACCEPT_RA",
        _no_advertisements,
    ),
    network_demand(
        f"there are {_MAX_SERVERS} DNS servers at most (sysconfig)",
        "cloudinit/net/sysconfig.py, _render_dns: /etc/resolv.conf, where"
        f" release 22.4 writes {_MAX_SERVERS}; resolv.conf(5): MAXNS",
        _no_server,
    ),
    network_demand(
        f"there are {_MAX_DOMAINS} search domains at most, with"
        f" {_MAX_LENGTH} characters (sysconfig)",
        "cloudinit/distros/parsers/resolv_conf.py, add_search_domain",
        _many_domains,
    ),
    network_demand(
        "bonds have no bond_xmit_hash_policy or bond_lacp_rate (sysconfig)",
        "cloudinit/net/sysconfig.py, _render_bonding_opts: bond-lacp-rate,"
        " where convert_net_json makes bond-lacp_rate.  Release 22.4 makes"
        " bond_lacp_rate, which it writes",
        functools.partial(without_bond_options, "sysconfig"),
    ),
)
