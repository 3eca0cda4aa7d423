"""network_data.json: links, networks and services.

It has all subnets of a link, where nova has only the first IPv4 and the first
IPv6 subnet.  It is cloud-init's whole network configuration: where it says
nothing of a link, cloud-init does not configure it.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cfgdrive_virt.model.network import (
    DHCP_TYPES,
    STATIC_TYPES,
    Bond,
    Interface,
    Link,
    NetworkInfo,
    Subnet,
)

#: Instances of a network have the same subnets.
_ip_network = functools.lru_cache(maxsize=1024)(ipaddress.ip_network)


def document(network: NetworkInfo, *, one_address: bool) -> dict[str, Any]:
    """Return the content of network_data.json.

    :param one_address: of a link's subnets with a static address, only the
        first one of each IP version
    """
    links = []
    networks: list[dict[str, Any]] = []
    servers: list[str] = []
    for link_id, link in network.links():
        links.append(_link(link_id, link))
        subnets = list(_subnets(link, one_address=one_address))
        routed = _routed(subnets)
        for subnet in subnets:
            entry = {"id": f"network{len(networks)}", "link": link_id}
            networks.append(entry | _network(network, link, subnet, routed))
            servers += subnet.dns
    return {
        "links": links,
        "networks": networks,
        "services": _services([*servers, *network.dns]),
    }


def left_out(
    network: NetworkInfo, *, one_address: bool
) -> Iterator[tuple[str, str]]:
    """Yield what a network has and the file doesn't: its key, and why."""
    for kind in ("interfaces", "bonds", "vlans"):
        for number, link in enumerate(getattr(network, kind)):
            for place, why in _left_out(link, one_address=one_address):
                yield f"{kind}[{number}].{place}", why


def _left_out(link: Link, *, one_address: bool) -> Iterator[tuple[str, str]]:
    subnets = list(_subnets(link, one_address=one_address))
    routed = _routed(subnets)
    for number, subnet in enumerate(link.subnets):
        key = f"subnets[{number}]"
        if not _is_one_of(subnet, subnets):
            yield key, "the image's reader sets one address of an IP version"
        elif subnet.type in DHCP_TYPES:
            for name in ("gateway", "routes"):
                if getattr(subnet, name):
                    yield f"{key}.{name}", "it comes from the DHCP server"
        elif subnet.gateway and not _is_one_of(subnet, routed):
            why = "the link has the default route of another subnet"
            yield f"{key}.gateway", why


def _is_one_of(subnet: Subnet, subnets: Iterable[Subnet]) -> bool:
    # Equal ones count as different.
    return any(subnet is one for one in subnets)


def _link(link_id: str, link: Link) -> dict[str, Any]:
    optional = {"vif_id": link.vif_id, "name": link.name, "mtu": link.mtu}
    entry: dict[str, Any] = {"id": link_id}
    if isinstance(link, Interface):
        # As in nova: null where there is none.
        entry["mtu"] = None
        entry |= {"type": link.type, "ethernet_mac_address": link.mac}
    elif isinstance(link, Bond):
        entry |= {
            "type": "bond",
            "ethernet_mac_address": link.mac,
            "bond_mode": link.bond_mode,
            "bond_links": link.bond_links,
        }
        # Nova's driver for Ironic passes these on under the same names.
        # Talos reads miimon only from a string; others take either.
        miimon = link.bond_miimon
        optional |= {
            "bond_miimon": None if miimon is None else str(miimon),
            "bond_xmit_hash_policy": link.bond_xmit_hash_policy,
            "bond_lacp_rate": link.bond_lacp_rate,
        }
    else:
        entry |= {
            "type": "vlan",
            "vlan_mac_address": link.mac,
            "vlan_id": link.vlan_id,
            "vlan_link": link.vlan_link,
        }
    # cloud-init's schema refuses a bond or VLAN with null for its MTU.
    return entry | {
        key: value for key, value in optional.items() if value is not None
    }


def _subnets(link: Link, *, one_address: bool) -> Iterator[Subnet]:
    """Yield the subnets that the file lists."""
    seen: set[str] = set()
    for subnet in link.subnets:
        if not (one_address and subnet.type in seen):
            yield subnet
        if subnet.type in STATIC_TYPES:
            seen.add(subnet.type)


def _routed(subnets: Sequence[Subnet]) -> list[Subnet]:
    """Return the subnets of a link that have its default routes.

    With a second one of an IP version, cloud-init's sysconfig renderer writes
    no network at all.  Where a router advertises the address, it advertises
    the route, too: so subnets with a static address come first.
    """
    found: dict[int, Subnet] = {}
    # The file has no routes of DHCP's.
    listed = [one for one in subnets if one.type not in DHCP_TYPES]
    for subnet in sorted(listed, key=lambda one: one.type not in STATIC_TYPES):
        if any(
            not _ip_network(destination).prefixlen
            for destination, _ in _all_routes(subnet)
        ):
            found.setdefault(subnet.version, subnet)
    return list(found.values())


def _network(
    network: NetworkInfo, link: Link, subnet: Subnet, routed: Sequence[Subnet]
) -> dict[str, Any]:
    """Return what the file has of a subnet.

    :param routed: what :func:`_routed` returned
    """
    entry: dict[str, Any] = {
        "type": subnet.type,
        # The schema requires one; a caller without networks has none.
        "network_id": subnet.network_id or link.network_id or "",
    }
    # Only cloud-init reads it, and only here; netplan and NetworkManager
    # ignore domains and servers of all links where a link has its own.
    if domains := dict.fromkeys(subnet.dns_search + network.dns_search):
        entry["dns_search"] = list(domains)
    if subnet.type in DHCP_TYPES:
        return entry
    assert subnet.cidr is not None
    return entry | {
        "ip_address": subnet.ip_address,
        "netmask": str(_ip_network(subnet.cidr).netmask),
        "routes": list(_routes(subnet, routed)),
        "services": _services(subnet.dns + network.dns),
    }


def _routes(
    subnet: Subnet, routed: Sequence[Subnet]
) -> Iterator[dict[str, str]]:
    """Yield a subnet's routes, one default route at most."""
    takes_default = _is_one_of(subnet, routed)
    for destination, gateway in _all_routes(subnet):
        network = _ip_network(destination)
        if not network.prefixlen:
            if not takes_default:
                continue
            takes_default = False
        yield {
            "network": str(network.network_address),
            "netmask": str(network.netmask),
            "gateway": gateway,
        }


def _all_routes(subnet: Subnet) -> Iterator[tuple[str, str]]:
    """Yield destination and gateway of each route, the default one first."""
    if subnet.gateway is not None:
        default = "0.0.0.0/0" if subnet.version == 4 else "::/0"
        yield default, subnet.gateway
    for route in subnet.routes:
        yield route.destination, route.gateway


def _services(servers: Iterable[str]) -> list[dict[str, str]]:
    return [
        {"type": "dns", "address": server} for server in dict.fromkeys(servers)
    ]
