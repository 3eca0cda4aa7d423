"""network_data.json: links, networks and services.

It has all subnets of a link, where nova has only the first IPv4 and the first
IPv6 subnet.  It is cloud-init's whole network configuration: where it says
nothing of a link, cloud-init does not configure it.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

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


_ONE_ADDRESS = (
    "the link has one address of an IP version, as the image or"
    " [cfgdrive_virt] addresses_per_link says"
)


class _Route(NamedTuple):
    """A route of a subnet.

    :param key: its place in the subnet
    :param is_written: whether the file has it
    """

    key: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    gateway: str
    is_written: bool

    @property
    def is_default(self) -> bool:
        return not self.network.prefixlen

    @property
    def entry(self) -> dict[str, str]:
        return {
            "network": str(self.network.network_address),
            "netmask": str(self.network.netmask),
            "gateway": self.gateway,
        }


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
        subnets = _subnets(link, one_address=one_address)
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
    subnets = _subnets(link, one_address=one_address)
    routed = _routed(subnets)
    for number, subnet in enumerate(link.subnets):
        key = f"subnets[{number}]"
        if not _is_one_of(subnet, subnets):
            yield key, _ONE_ADDRESS
        elif subnet.type in DHCP_TYPES:
            for name in ("gateway", "routes"):
                if getattr(subnet, name):
                    yield f"{key}.{name}", "it comes from the DHCP server"
        else:
            for route in _routes(subnet, routed):
                if not route.is_written:
                    yield f"{key}.{route.key}", "the link has another one"


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
        # cloud-init's schema wants a number for miimon, and warns at every
        # boot of text; only Talos demands text.
        optional |= {
            "bond_miimon": link.bond_miimon,
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


def _subnets(link: Link, *, one_address: bool) -> list[Subnet]:
    """Return the subnets that the file lists.

    Of several static ones, one that has a default route: without it, a guest
    may be out of reach.
    """
    if not one_address:
        return list(link.subnets)
    chosen: dict[str, Subnet] = {}
    for subnet in sorted(link.subnets, key=lambda one: not _has_default(one)):
        chosen.setdefault(subnet.type, subnet)
    return [
        subnet
        for subnet in link.subnets
        if subnet.type not in STATIC_TYPES or subnet is chosen[subnet.type]
    ]


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
        if _has_default(subnet):
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
        "routes": [
            route.entry
            for route in _routes(subnet, routed)
            if route.is_written
        ],
        "services": _services(subnet.dns + network.dns),
    }


def _has_default(subnet: Subnet) -> bool:
    return any(route.is_default for route in _routes(subnet, ()))


def _routes(subnet: Subnet, routed: Sequence[Subnet]) -> Iterator[_Route]:
    """Yield a subnet's routes; one default route at most is written.

    :param routed: what :func:`_routed` returned
    """
    given = [
        (f"routes[{number}]", route.destination, route.gateway)
        for number, route in enumerate(subnet.routes)
    ]
    if subnet.gateway is not None:
        default = "0.0.0.0/0" if subnet.version == 4 else "::/0"
        given.insert(0, ("gateway", default, subnet.gateway))
    may_have_default = _is_one_of(subnet, routed)
    for key, destination, gateway in given:
        network = _ip_network(destination)
        is_default = not network.prefixlen
        yield _Route(key, network, gateway, not is_default or may_have_default)
        if is_default:
            may_have_default = False


def _services(servers: Iterable[str]) -> list[dict[str, str]]:
    return [
        {"type": "dns", "address": server} for server in dict.fromkeys(servers)
    ]
