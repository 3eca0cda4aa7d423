"""network_data.json: links, networks and services.

It has all subnets of a link, where nova has only the first IPv4 and the first
IPv6 subnet.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from cfgdrive_virt.model.network import (
    DHCP_TYPES,
    Bond,
    Interface,
    Link,
    NetworkInfo,
    Subnet,
)


def document(network: NetworkInfo) -> dict[str, Any]:
    """Return the content of network_data.json."""
    links = []
    networks: list[dict[str, Any]] = []
    servers: list[str] = []
    for link_id, link in network.links():
        links.append(_link(link_id, link))
        for subnet in link.subnets:
            networks.append(_network(len(networks), link_id, link, subnet))
            servers += subnet.dns
    servers += network.dns
    return {
        "links": links,
        "networks": networks,
        "services": _services(dict.fromkeys(servers)),
    }


def _link(link_id: str, link: Link) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": link_id, "mtu": link.mtu}
    if link.vif_id is not None:
        entry["vif_id"] = link.vif_id
    if isinstance(link, Interface):
        entry |= {"type": link.type, "ethernet_mac_address": link.mac}
    elif isinstance(link, Bond):
        entry |= {
            "type": "bond",
            "ethernet_mac_address": link.mac,
            "bond_mode": link.bond_mode,
            "bond_links": link.bond_links,
        }
    else:
        entry |= {
            "type": "vlan",
            "vlan_mac_address": link.mac,
            "vlan_id": link.vlan_id,
            "vlan_link": link.vlan_link,
        }
    return entry


def _network(
    number: int, link_id: str, link: Link, subnet: Subnet
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": f"network{number}",
        "type": subnet.type,
        "link": link_id,
        # The schema requires one; a caller without networks has none.
        "network_id": subnet.network_id or link.network_id or "",
    }
    if subnet.type in DHCP_TYPES:
        return entry
    assert subnet.cidr is not None
    entry |= {
        "ip_address": subnet.ip_address,
        "netmask": str(ipaddress.ip_network(subnet.cidr).netmask),
        "routes": _routes(subnet),
        "services": _services(subnet.dns),
    }
    return entry


def _routes(subnet: Subnet) -> list[dict[str, str]]:
    routes = [(route.destination, route.gateway) for route in subnet.routes]
    if subnet.gateway is not None:
        default = "0.0.0.0/0" if subnet.version == 4 else "::/0"
        routes.insert(0, (default, subnet.gateway))
    entries = []
    for destination, gateway in routes:
        network = ipaddress.ip_network(destination)
        entries.append(
            {
                "network": str(network.network_address),
                "netmask": str(network.netmask),
                "gateway": gateway,
            }
        )
    return entries


def _services(servers: Iterable[str]) -> list[dict[str, str]]:
    return [{"type": "dns", "address": server} for server in servers]
