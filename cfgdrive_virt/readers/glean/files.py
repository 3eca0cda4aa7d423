"""glean: what the files that it writes for a link hold, and what not.

Where a format has one place for a thing, the last network has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from cfgdrive_virt.readers.common import (
    COMPOSED,
    NETWORK_DATA,
    listed,
    network_data,
    network_loss,
)
from cfgdrive_virt.readers.network import (
    IPAddress,
    IPNetwork,
    Link,
    Network,
    NetworkData,
    Route,
)
from cfgdrive_virt.readers.reader import Content, Loss

STOPS = "glean stops, and configures no network"

#: A route's destination and gateway.
_Target = tuple[IPNetwork | None, IPAddress | None]
_Losses = Callable[[Content], Iterator[Loss]]

_WRITTEN = ("ipv4", "ipv6", "ipv4_dhcp")
_WRITTEN_IPV4 = ("ipv4", "ipv4_dhcp")
_DHCPV6 = ("ipv6_dhcp", "ipv6_dhcpv6-stateful")
_STATELESS = "ipv6_dhcpv6-stateless"
_ADVERTISED = ("ipv6_slaac", _STATELESS)


def network_id(network: Network) -> str:
    """Return a network's id, by which glean sorts."""
    found = network.raw.get("id")
    return found if isinstance(found, str) else ""


@dataclasses.dataclass(slots=True)
class _Kept:
    """What glean's files for a link hold.

    :param networks: keys of networks whose address, or way to get one, is set
    :param routes: by file, as destination and gateway
    :param types: of networks that the guest reads from them
    """

    networks: set[str]
    routes: dict[str, set[_Target]]
    types: tuple[str, ...] = _WRITTEN

    def losses(self, link: Link) -> Iterator[Loss]:
        """Yield what they do not hold."""
        routes: set[_Target] = set().union(*self.routes.values())
        for network in link.networks:
            if network.key not in self.networks:
                if network.type in self.types:
                    effect = (
                        "another address of the link, or DHCP, replaces it,"
                        " and its gateway is lost"
                    )
                else:
                    kind = listed([network.type])
                    effect = f"glean writes no {kind} that the guest reads"
                yield network_loss(network.key, effect)
            for route in network.routes:
                # A default route comes the way that the address comes.
                if not network.is_static and route.is_default:
                    continue
                if _target(route) not in routes:
                    effect = (
                        "is not written, or routes of another network of the"
                        " link replace it"
                    )
                    yield network_loss(route.key, effect)


def _target(route: Route) -> _Target:
    return route.destination, route.gateway


def _targets(network: Network, *, default: bool) -> set[_Target]:
    """Return the default route, which is one, or the others."""
    found = [
        _target(route)
        for route in network.routes
        if route.is_default == default
    ]
    return set(found[-1:] if default else found)


def debian(link: Link) -> _Kept:
    """Return what is kept in interfaces(5), which has all addresses."""
    kept = [entry for entry in link.networks if entry.type in _WRITTEN]
    routes = {
        entry.key: {_target(route) for route in entry.routes}
        for entry in kept
        if entry.type != "ipv4_dhcp"
    }
    return _Kept({entry.key for entry in kept}, routes)


def _by_type(network: Network) -> tuple[str, str]:
    return network.type, network_id(network)


def red_hat(link: Link) -> _Kept:
    """Return what is kept in ifcfg files: one value of each kind."""
    networks: dict[str, str] = {}
    routes: dict[str, set[_Target]] = {}
    for entry in sorted(link.networks, key=_by_type):
        if entry.type == "ipv4":
            networks["IPADDR"] = entry.key
            routes["GATEWAY"] = _targets(entry, default=True)
            if others := _targets(entry, default=False):
                routes["route"] = others
        elif entry.type == "ipv4_dhcp":
            networks.pop("IPADDR", None)
            networks[entry.key] = entry.key
            routes["GATEWAY"] = set()
        elif entry.type in ("ipv6", "ipv6_slaac"):
            is_static = entry.type == "ipv6"
            networks["IPV6ADDR" if is_static else entry.key] = entry.key
            if default := _targets(entry, default=True):
                routes["IPV6_DEFAULTGW"] = default
            if others := _targets(entry, default=False):
                routes["route6"] = others
    kept = set(networks.values())
    if any(entry.type == "ipv6_slaac" for entry in link.networks):
        # Both ask for router advertisements.
        kept |= {e.key for e in link.networks if e.type == _STATELESS}
    return _Kept(kept, routes)


def suse(link: Link) -> _Kept:
    """Return what is kept in ifcfg files of wicked: nothing of IPv6."""
    networks: set[str] = set()
    dhcp: set[str] = set()
    routes: dict[str, set[_Target]] = {}
    for entry in sorted(link.networks, key=_by_type):
        if entry.type == "ipv4":
            networks = {entry.key}
        elif entry.type == "ipv4_dhcp":
            # Both ask for the same, and no static one comes after them.
            dhcp.add(entry.key)
            networks = dhcp
        if entry.type == "ipv4" and entry.routes:
            routes["ifroute"] = {_target(route) for route in entry.routes}
    return _Kept(networks, routes, _WRITTEN_IPV4)


def networkd(link: Link) -> _Kept:
    """Return what is kept in systemd.network(5).

    Where a link accepts router advertisements, they start DHCPv6.
    """
    advertised = any(entry.type in _ADVERTISED for entry in link.networks)
    return _Kept(
        {
            entry.key
            for entry in link.networks
            if entry.type not in _DHCPV6 or advertised
        },
        {
            entry.key: {_target(route) for route in entry.routes}
            for entry in link.networks
        },
    )


def each_link(kept: Callable[[Link], _Kept]) -> _Losses:
    """Return the losses of a glean that runs for all NICs at once."""

    def losses(content: Content) -> Iterator[Loss]:
        for link in network_data(content).links:
            yield from kept(link).losses(link)

    return losses


def each_nic(
    kept: Callable[[Link], _Kept],
    stops: Callable[[Link], bool] = lambda _: False,
) -> _Losses:
    """Return the losses of a glean that runs for each NIC alone.

    :param stops: tells whether glean stops at a link
    """

    def losses(content: Content) -> Iterator[Loss]:
        nics = _Nics(network_data(content))
        stopped = set(nics.of_bonds)
        for link in nics.data.links:
            if stops(link):
                stopped.add(nics.carrier(link))
        for link in nics.data.links:
            if nics.carrier(link) not in stopped:
                yield from kept(link).losses(link)
                continue
            for entry in link.networks:
                effect = (
                    "glean stops at this NIC: it is in a bond, or a link on it"
                    " has IPv6 only"
                )
                yield network_loss(entry.key, effect)
        macs = {
            link.mac for link in nics.data.links if link.type not in COMPOSED
        }
        if nics.data.servers and macs and macs <= stopped:
            effect = "glean stops at each NIC, and writes no DNS server"
            yield network_loss("services", effect)

    return losses


class _Nics:
    """Which NIC carries a link.

    :ivar of_bonds: the MACs of NICs in bonds of several
    """

    def __init__(self, data: NetworkData) -> None:
        self.data = data
        self.known = data.by_id()
        self.of_bonds: set[str] = set()
        self._first: dict[str, str] = {}
        for link in data.links:
            if link.type == "bond":
                macs = {
                    self.known[name].mac or ""
                    for name in link.bond_links
                    if name in self.known
                }
                self._first[link.id] = min(macs, default="")
                if len(macs) > 1:
                    self.of_bonds |= macs

    def below(self, link: Link) -> Link:
        """Return the link that a VLAN is on, or the link itself."""
        if link.type == "vlan":
            return self.known.get(link.vlan_link or "", link)
        return link

    def carrier(self, link: Link) -> str:
        """Return the MAC of a NIC that carries a link."""
        link = self.below(link)
        return self._first.get(link.id, link.mac or "")


def has_ipv6_only(link: Link) -> bool:
    """Tell whether Red Hat's writer has no file that IPv6 can be added to."""
    types = {entry.type for entry in link.networks}
    return bool(types & {"ipv6", "ipv6_slaac"}) and not (
        types & {"ipv4", "ipv4_dhcp"}
    )


def gentoo(content: Content) -> Iterator[Loss]:
    """Yield what netifrc's shell variables lose: the last one is set."""
    nics = _Nics(network_data(content))
    # One variable has the routes of a link and of all VLANs on it.
    routed: dict[str, Network] = {}
    for link in nics.data.links:
        below = nics.below(link).id
        for entry in link.networks:
            if (
                entry.type == "ipv4"
                and entry.routes
                and (
                    below not in routed
                    or network_id(routed[below]) <= network_id(entry)
                )
            ):
                routed[below] = entry
    for link in nics.data.links:
        entries = [entry for entry in link.networks if entry.type != "ipv6"]
        last = max(entries, key=network_id, default=None)
        kept = _Kept(set(), {}, _WRITTEN_IPV4)
        if last is not None and last.type == "ipv4":
            kept.networks.add(last.key)
        elif last is not None:
            kept.networks |= {
                entry.key for entry in entries if entry.type == "ipv4_dhcp"
            }
        winner = routed.get(link.id)
        if winner is not None and winner.link == link.id:
            kept.routes["routes"] = {_target(route) for route in winner.routes}
        yield from kept.losses(link)


def gentoo_stops(content: Content) -> Iterator[Loss]:
    """Yield the VLANs at which glean for Gentoo stops."""
    nics = _Nics(network_data(content))
    hidden = {
        link.id
        for link in nics.data.links
        if nics.carrier(link) in nics.of_bonds
        and link.networks
        and all(entry.type == "ipv6" for entry in link.networks)
    }
    for link in nics.data.links:
        if link.vlan_link in hidden and any(
            entry.type != "ipv6" for entry in link.networks
        ):
            effect = f"a bond below has nothing but static IPv6: {STOPS}"
            key = f"{link.key}.vlan_link"
            yield Loss(NETWORK_DATA, key, effect, refused=True)


def _versions(network: Network) -> Iterator[int]:
    """Yield the IP versions of a network's routes."""
    for route in network.routes:
        if route.destination is not None:
            yield route.destination.version


def networkd_stops(content: Content) -> Iterator[Loss]:
    """Yield the networks at which glean for systemd-networkd stops."""
    data = network_data(content)
    for link in data.links:
        first = min(link.networks, key=network_id, default=None)
        if (
            first is not None
            and link.type not in COMPOSED
            and first.type in (*_DHCPV6, _STATELESS)
        ):
            effect = (
                f"{listed([first.type])} as a NIC's first network: {STOPS}"
            )
            yield Loss(NETWORK_DATA, first.key, effect, refused=True)
        inherited: set[int] = set()
        for entry in link.networks:
            if "routes" in entry.raw:
                inherited = set(_versions(entry))
            elif inherited - {entry.version}:
                effect = (
                    "without routes of its own, it gets those of the network"
                    f" before it, of another IP version: {STOPS}"
                )
                yield Loss(NETWORK_DATA, entry.key, effect, refused=True)
