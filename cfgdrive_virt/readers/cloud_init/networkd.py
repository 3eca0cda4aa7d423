"""The renderer networkd, which writes units for systemd-networkd."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from cfgdrive_virt.readers.cloud_init.common import (
    Servers,
    network_demand,
    static_domains,
    without_advertisements,
    without_bond_options,
    without_domains,
)
from cfgdrive_virt.readers.network import NetworkData
from cfgdrive_virt.readers.reader import Loss


def _no_server(network_data: NetworkData) -> Iterator[Loss]:
    own = frozenset(
        (link.id, server)
        for link in network_data.links
        for network in link.networks
        for server in network.servers
        if network.is_static
    )
    shared = network_data.servers if network_data.links else ()
    yield from Servers(own, everywhere=frozenset(shared)).missing(
        network_data,
        "networkd: DNS servers of a network without a static address are not"
        " written unless they are global ones; the link does not get",
    )


DEMANDS = (
    network_demand(
        "no static IPv6 address follows SLAAC or DHCPv6 on a link (networkd)",
        "cloudinit/sources/helpers/openstack.py, convert_net_json: accept-ra;"
        " cloudinit/net/networkd.py, _render_content.  Release 22.4 does not"
        " write it",
        functools.partial(without_advertisements, "networkd"),
    ),
    network_demand(
        "DNS servers are global ones, or a static network's (networkd)",
        "cloudinit/net/networkd.py, parse_subnets, parse_dns",
        _no_server,
    ),
    network_demand(
        "search domains belong to static networks (networkd)",
        "cloudinit/net/networkd.py, parse_subnets",
        functools.partial(
            without_domains,
            static_domains,
            "networkd: search domains of a network without a static address"
            " are not written:",
        ),
    ),
    network_demand(
        "bonds have no bond_xmit_hash_policy or bond_lacp_rate (networkd)",
        "cloudinit/net/networkd.py, render_bonds: bond-lacp-rate, where"
        " convert_net_json makes bond-lacp_rate.  Release 22.4 writes no bond",
        functools.partial(without_bond_options, "networkd"),
    ),
)
