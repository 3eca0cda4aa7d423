"""A network_data.json as readers take it: links with their networks.

Of several links with one id, the last has the networks: a guest could else
make each of many links have each of many networks.

A guest may have written the file.  What has another type than it should is
None or empty here; that it is so is a demand of some readers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.model.network import DHCP_TYPES

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_AUTOMATIC = (
    *DHCP_TYPES, "ipv6_slaac", "ipv6_dhcpv6-stateless",
    "ipv6_dhcpv6-stateful", "ipv4_dhcp4", "ipv6_dhcp6", "dhcp4", "dhcp6",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """A route of a network.

    :param key: its place, such as ``networks[0].routes[1]``
    :param destination: None if it is not one
    :param raw: all of it
    """

    key: str
    destination: IPNetwork | None
    gateway: IPAddress | None
    raw: Mapping[str, Any]

    @property
    def is_default(self) -> bool:
        """Tell whether its destination is everything."""
        return self.destination is not None and not self.destination.prefixlen


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    """A network of a link: an address, or the way to get one.

    :param key: its place, such as ``networks[0]``
    :param type: such as ``ipv4_dhcp``; empty if it has none
    :param link: the id of its link; empty if it has none
    :param address: a static one
    :param prefix: the length of its subnet's prefix
    :param servers: DNS servers
    :param raw: all of it
    """

    key: str
    type: str
    link: str
    address: IPAddress | None
    prefix: int | None
    routes: tuple[Route, ...]
    servers: tuple[str, ...]
    raw: Mapping[str, Any]

    @property
    def version(self) -> int:
        """Return 4 or 6: that of the type, which begins with ipv4 or ipv6."""
        return 6 if "6" in self.type else 4

    @property
    def is_static(self) -> bool:
        """Tell whether the drive has its address."""
        return self.type not in _AUTOMATIC


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A link and its networks, in the order of the file.

    :param key: its place, such as ``links[0]``
    :param type: such as ``phy``, ``bond`` or ``vlan``; empty without one
    :param mac: in lower case; for a VLAN, its own
    :param bond_links: ids
    :param vlan_link: an id
    :param raw: all of it
    """

    key: str
    id: str
    type: str
    mac: str | None
    mtu: int | None
    bond_links: tuple[str, ...]
    vlan_link: str | None
    networks: tuple[Network, ...]
    raw: Mapping[str, Any]

    def static(self, version: int) -> tuple[Network, ...]:
        """Return its networks of an IP version that have an address."""
        return tuple(
            network
            for network in self.networks
            if network.is_static and network.version == version
        )


@dataclasses.dataclass(frozen=True, slots=True)
class NetworkData:
    """A whole network_data.json.

    :param servers: DNS servers of all links
    """

    links: tuple[Link, ...] = ()
    networks: tuple[Network, ...] = ()
    servers: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Any) -> NetworkData:
        """Return what a document holds, whatever it is."""
        found = document if isinstance(document, Mapping) else {}
        networks = tuple(
            _network(f"networks[{number}]", entry)
            for number, entry in _mappings(found.get("networks"))
        )
        by_link: dict[str, list[Network]] = {}
        for network in networks:
            by_link.setdefault(network.link, []).append(network)
        entries = list(_mappings(found.get("links")))
        last = {_text(entry.get("id")): number for number, entry in entries}
        links = tuple(
            _link(
                f"links[{number}]",
                entry,
                by_link if last[_text(entry.get("id"))] == number else {},
            )
            for number, entry in entries
        )
        return cls(links, networks, _servers(found.get("services")))

    def by_id(self) -> dict[str, Link]:
        """Return the links by id; of several with one id, the last."""
        return {link.id: link for link in self.links}


def _link(
    key: str, entry: Mapping[str, Any], by_link: Mapping[str, list[Network]]
) -> Link:
    link_id = _text(entry.get("id"))
    link_type = _text(entry.get("type"))
    name = "vlan_mac_address" if link_type == "vlan" else None
    mac = _text(entry.get(name or "ethernet_mac_address"))
    mtu = entry.get("mtu")
    bonded = entry.get("bond_links")
    return Link(
        key,
        link_id,
        link_type,
        mac.lower() or None,
        mtu if isinstance(mtu, int) and not isinstance(mtu, bool) else None,
        tuple(map(_text, bonded)) if isinstance(bonded, tuple) else (),
        _text(entry.get("vlan_link")) or None,
        tuple(by_link.get(link_id, ())),
        entry,
    )


def _network(key: str, entry: Mapping[str, Any]) -> Network:
    address: IPAddress | None = None
    prefix: int | None = None
    given, mask = _text(entry.get("ip_address")), _mask(entry.get("netmask"))
    given, _, length = given.partition("/")
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(given)
        prefix = _prefix(length or mask, address.version)
    routes = tuple(
        _route(f"{key}.routes[{number}]", route)
        for number, route in _mappings(entry.get("routes"))
    )
    return Network(
        key,
        _text(entry.get("type")),
        _text(entry.get("link")),
        address,
        prefix,
        routes,
        _servers(entry.get("services")),
        entry,
    )


def _route(key: str, entry: Mapping[str, Any]) -> Route:
    destination = subnet(entry.get("network"), entry.get("netmask"))
    gateway: IPAddress | None = None
    with contextlib.suppress(ValueError):
        gateway = ipaddress.ip_address(_text(entry.get("gateway")))
    return Route(key, destination, gateway, entry)


def subnet(network: Any, mask: Any) -> IPNetwork | None:
    """Return what a network and its mask name; None if it is not one.

    :param network: may have a mask, or its length, behind a slash
    """
    address, _, length = _text(network).partition("/")
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(address).version
        prefix = _prefix(length or _mask(mask), version)
        return ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    return None


def _prefix(mask: str, version: int) -> int:
    """Return the length of a prefix that is given so, or as a mask.

    :raises ValueError: if it is none
    """
    if mask.isascii() and mask.isdigit() and len(mask) < 4:
        return int(mask)
    if version == 4:
        return ipaddress.IPv4Network(f"0.0.0.0/{mask}").prefixlen
    bits = f"{int(ipaddress.IPv6Address(mask)):0128b}"
    return len(bits.rstrip("0"))


def _mask(value: Any) -> str:
    """Return a mask, or the length of a prefix, as text."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else _text(value)


def _servers(services: Any) -> tuple[str, ...]:
    return tuple(
        _text(service.get("address"))
        for _, service in _mappings(services)
        if service.get("type") == "dns"
    )


def _mappings(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield number and entry of a list's objects."""
    if isinstance(value, tuple):
        for number, entry in enumerate(value):
            if isinstance(entry, Mapping):
                yield number, entry


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
