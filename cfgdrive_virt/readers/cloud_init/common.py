"""What the data source and the renderers have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

from cfgdrive_virt.model.value import show
from cfgdrive_virt.readers.network import Link, Network, NetworkData
from cfgdrive_virt.readers.reader import Content, Demand, Loss

#: sources/helpers/openstack.py, OS_VERSIONS, the newest first.
_VERSIONS = (
    "2018-08-27", "2017-02-22", "2016-10-06", "2016-06-30", "2015-10-15",
    "2013-10-17", "2013-04-04", "2012-08-10",
)  # fmt: skip

#: A link configures itself by what a router announces ...
ROUTER_TYPES = ("ipv6_slaac", "ipv6_dhcpv6-stateless")
#: ... or asks a server, when a router's advertisement says so.
DHCP6_TYPES = ("ipv6_dhcp", "ipv6_dhcpv6-stateful")

#: Addresses that an error names.
_SHOWN = 8


def directory(content: Content) -> str:
    """Return the directory of the version that cloud-init reads."""
    present = {path.split("/")[1] for path in below(content, "openstack")}
    version = next((v for v in _VERSIONS if v in present), "latest")
    return f"openstack/{version}"


def below(content: Content, parent: str) -> Iterator[str]:
    """Yield the paths in a directory."""
    for path in content.tree.files:
        if path.startswith(f"{parent}/"):
            yield path


def network_path(content: Content) -> str:
    """Return the path of the network_data.json that cloud-init reads."""
    return f"{directory(content)}/network_data.json"


def network_demand(
    text: str, source: str, find: Callable[[NetworkData], Iterator[Loss]]
) -> Demand:
    """Return a demand of network_data.json.

    :param find: yields losses without a path
    """

    def losses(content: Content) -> Iterator[Loss]:
        path = network_path(content)
        for loss in find(content.network(path)):
            yield dataclasses.replace(loss, path=path)

    return Demand(text, source, losses)


def lost(key: str, effect: str) -> Loss:
    """Return a loss of a value in network_data.json, without its path."""
    return Loss("", key, effect)


def refused(key: str, effect: str) -> Loss:
    """Return a loss of all of network_data.json, without its path."""
    return Loss("", key, effect, refused=True)


def is_static6(network: Network) -> bool:
    """Tell whether a network is an IPv6 address."""
    return network.is_static and network.version == 6


def without_advertisements(
    renderer: str, network_data: NetworkData
) -> Iterator[Loss]:
    """Yield a loss for each network that needs a router's advertisement."""
    for link in network_data.links:
        if _accepts_advertisements(link):
            continue
        for network in link.networks:
            if network.type in ROUTER_TYPES + DHCP6_TYPES:
                yield lost(
                    network.key,
                    f"{renderer}: a static IPv6 address on the same link turns"
                    " off router advertisements, and with them DHCPv6",
                )


def _accepts_advertisements(link: Link) -> bool:
    """Tell whether cloud-init lets a link accept those of routers.

    Each network decides for the whole link, so the last one counts: an
    address refuses them, DHCPv6 accepts them.
    """
    accepts = True
    for network in link.networks:
        if is_static6(network):
            accepts = False
        elif network.type in DHCP6_TYPES:
            accepts = True
    return accepts


def without_bond_options(
    renderer: str, network_data: NetworkData
) -> Iterator[Loss]:
    """Yield a loss for each option of a bond that has two words."""
    for link in network_data.links:
        for name in ("bond_xmit_hash_policy", "bond_lacp_rate"):
            if link.type == "bond" and link.raw.get(name) is not None:
                yield lost(
                    f"{link.key}.{name}",
                    f"{renderer}: the bond gets the kernel's default",
                )


def domains(network: Network) -> tuple[str, ...]:
    """Return the DNS search domains of a network: a list, or words."""
    found = network.raw.get("dns_search")
    if isinstance(found, str):
        return tuple(found.split())
    names = found if isinstance(found, tuple) else ()
    return tuple(name for name in names if isinstance(name, str))


def without_domains(
    written: Callable[[Link], Iterator[str]],
    effect: str,
    network_data: NetworkData,
) -> Iterator[Loss]:
    """Yield a loss for each list with search domains that are not written.

    :param written: yields those of a link that are
    :param effect: ends with the domains
    """
    for link in network_data.links:
        known = set(written(link))
        for network in link.networks:
            names = [name for name in domains(network) if name not in known]
            if names:
                key = f"{network.key}.dns_search"
                yield lost(key, f"{effect} {_named(names)}")


def static_domains(link: Link) -> Iterator[str]:
    """Yield the search domains of a link's static networks."""
    for network in link.networks:
        yield from domains(network) if network.is_static else ()


def version_of(server: str) -> int:
    """Return the IP version of a DNS server."""
    return 6 if ":" in server else 4


@dataclasses.dataclass(frozen=True, slots=True)
class Servers:
    """The DNS servers that a renderer writes.

    :param own: of links, by id, those that these have in network_data.json
    :param global_of: IP versions of the global ones, by link
    :param everywhere: those of the whole guest
    """

    own: frozenset[tuple[str, str]] = frozenset()
    global_of: Mapping[str, frozenset[int]] = dataclasses.field(
        default_factory=dict
    )
    everywhere: frozenset[str] = frozenset()

    def missing(
        self, network_data: NetworkData, effect: str
    ) -> Iterator[Loss]:
        """Yield a loss for each list with servers that are not written.

        :param effect: ends with the servers' addresses
        """
        known = {link.id for link in network_data.links}
        shared = frozenset(network_data.servers)
        for network in network_data.networks:
            versions = self.global_of.get(network.link, frozenset())
            servers = [
                server
                for server in network.servers
                if (network.link, server) not in self.own
                and server not in self.everywhere
                and not (server in shared and version_of(server) in versions)
            ]
            if servers and network.link in known:
                key = f"{network.key}.services"
                yield lost(key, f"{effect} {_named(servers)}")
        anywhere = self.everywhere | {server for _, server in self.own}
        versions = frozenset().union(*self.global_of.values())
        servers = [
            server
            for server in network_data.servers
            if server not in anywhere and version_of(server) not in versions
        ]
        if servers:
            yield lost("services", f"{effect} {_named(servers)}")


def _named(servers: list[str]) -> str:
    return ", ".join(map(show, dict.fromkeys(servers[:_SHOWN])))
