"""What a guest's network is to be, as a set of single items.

A request asks for items, a network_data.json holds them, and what a reader
has made of it in the guest has them, or has lost some.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.model import network as model
from cfgdrive_virt.model.network import DHCP_TYPES, Bond, Subnet
from cfgdrive_virt.readers.cloud_init.common import domains
from cfgdrive_virt.readers.network import Link, Network, NetworkData

#: The link of an item that is the whole guest's.
ANYWHERE = ""
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
BOND_OPTIONS = ("mode", "miimon", "xmit_hash_policy", "lacp_rate")
AUTOMATIC = {
    "ipv4_dhcp": "dhcp4",
    "ipv6_dhcp": "dhcp6",
    "ipv6_slaac": "ra",
    "ipv6_dhcpv6-stateless": "ra",
    "ipv6_dhcpv6-stateful": "dhcp6",
}


class Item(NamedTuple):
    """One thing that a guest is to have.

    :param link: the id of a link in network_data.json, or ANYWHERE
    :param kind: ``address``, ``route``, ``server``, ``search``, ``mtu``,
        ``bond``, or ``automatic``
    :param value: ``192.0.2.1/24``; ``0.0.0.0/0 192.0.2.254`` (a default
        gateway is a route); ``192.0.2.53``; ``example.org``; ``1400``;
        ``miimon 100``; or ``dhcp4``, ``dhcp6`` or ``ra`` for a link that is to
        configure itself
    """

    link: str
    kind: str
    value: str


Items = frozenset[Item]


def address(link: str, value: str, length: int | str) -> Item:
    """Return an address of a link; the length may be a mask."""
    return Item(link, "address", str(ipaddress.ip_interface((value, length))))


def route(link: str, destination: str, gateway: str) -> Item:
    """Return a route of a link; the destination ends in a length or mask."""
    network = ipaddress.ip_network(destination, strict=False)
    return Item(link, "route", f"{network} {ipaddress.ip_address(gateway)}")


def server(link: str, value: str) -> Item:
    """Return a DNS server of a link, or of the guest."""
    return Item(link, "server", str(ipaddress.ip_address(value)))


def search(link: str, domain: str) -> Item:
    """Return a DNS search domain of a link, or of the guest."""
    return Item(link, "search", domain)


def asked(request: ConfigDriveRequest) -> Items:
    """Return what a request asks for.

    Of each link and IP version, the first default route beside an address is
    one; where a guest gets its address from a server or a router, it gets the
    route there too.  No drive has a DHCP subnet's routes.
    """
    return frozenset(_asked(request))


def held(network: NetworkData) -> dict[str, Items]:
    """Return what a network_data.json holds, by key in the file.

    The keys are those of losses: ``links[0].mtu``, ``links[0].bond_mode``,
    ``networks[1]`` (an address, or the way to get one),
    ``networks[1].routes[0]``,
    ``networks[1].services``, ``networks[1].dns_search`` and ``services``.  A
    default route comes the way that the address comes.
    """
    found: dict[str, Items] = {}
    for link in network.links:
        if link.mtu is not None:
            mtu = Item(link.id, "mtu", str(link.mtu))
            found[f"{link.key}.mtu"] = frozenset({mtu})
        for option in BOND_OPTIONS if link.type == "bond" else ():
            value = link.raw.get(f"bond_{option}")
            if value is not None:
                item = Item(link.id, "bond", f"{option} {value}")
                found[f"{link.key}.bond_{option}"] = frozenset({item})
        for entry in link.networks:
            found |= dict(_held(link, entry))
    servers = [server(ANYWHERE, value) for value in network.servers]
    return found | {"services": frozenset(servers)}


def but_bonds(network: NetworkData) -> dict[str, Items]:
    """Return what a network_data.json holds, but not the options of bonds."""
    return {
        key: items
        for key, items in held(network).items()
        if not any(item.kind == "bond" for item in items)
    }


def missing(wanted: Iterable[Item], arrived: Items) -> Items:
    """Return the items that a guest does not have.

    A server that is the whole guest's is each link's, and the other way
    round: one that any link has is the guest's.
    """
    anywhere = {item.value for item in arrived if item.kind == "server"}
    return frozenset(
        item
        for item in wanted
        if item not in arrived
        and item._replace(link=ANYWHERE) not in arrived
        and not (item.link == ANYWHERE and item.value in anywhere)
    )


def _asked(request: ConfigDriveRequest) -> Iterator[Item]:
    network = request.network
    for link_id, link in network.links():
        yield from _asked_of_link(link_id, link)
        versions: set[int] = set()
        for subnet in link.subnets:
            yield from _asked_by(link_id, subnet)
            for value in network.dns_search:
                yield search(link_id, value)
            for entry in _routes(link_id, subnet):
                if entry.value.startswith(DEFAULT[subnet.version]):
                    if subnet.version in versions or subnet.type in AUTOMATIC:
                        continue
                    versions.add(subnet.version)
                yield entry
    for value in network.dns:
        yield server(ANYWHERE, value)


def _asked_of_link(link_id: str, link: model.Link) -> Iterator[Item]:
    if link.mtu is not None:
        yield Item(link_id, "mtu", str(link.mtu))
    for option in BOND_OPTIONS if isinstance(link, Bond) else ():
        value = getattr(link, f"bond_{option}")
        if value is not None:
            yield Item(link_id, "bond", f"{option} {value}")


def _asked_by(link_id: str, subnet: Subnet) -> Iterator[Item]:
    if subnet.type in AUTOMATIC:
        yield Item(link_id, "automatic", AUTOMATIC[subnet.type])
    else:
        assert subnet.cidr
        assert subnet.ip_address
        length = ipaddress.ip_network(subnet.cidr).prefixlen
        yield address(link_id, subnet.ip_address, length)
    for value in subnet.dns:
        yield server(link_id, value)
    for value in subnet.dns_search:
        yield search(link_id, value)


def _routes(link_id: str, subnet: Subnet) -> Iterator[Item]:
    if subnet.type in DHCP_TYPES:
        return
    if subnet.gateway:
        yield route(link_id, DEFAULT[subnet.version], subnet.gateway)
    for entry in subnet.routes:
        yield route(link_id, entry.destination, entry.gateway)


def _held(link: Link, network: Network) -> Iterator[tuple[str, Items]]:
    if network.type in AUTOMATIC:
        way = Item(link.id, "automatic", AUTOMATIC[network.type])
        yield network.key, frozenset({way})
    elif network.address is not None and network.prefix is not None:
        yield (
            network.key,
            frozenset(
                {address(link.id, str(network.address), network.prefix)}
            ),
        )
    for entry in network.routes:
        if entry.is_default and network.type in AUTOMATIC:
            continue
        if entry.destination is not None and entry.gateway is not None:
            made = route(link.id, str(entry.destination), str(entry.gateway))
            yield entry.key, frozenset({made})
    servers = [server(link.id, value) for value in network.servers]
    yield f"{network.key}.services", frozenset(servers)
    names = [search(link.id, name) for name in domains(network)]
    yield f"{network.key}.dns_search", frozenset(names)
