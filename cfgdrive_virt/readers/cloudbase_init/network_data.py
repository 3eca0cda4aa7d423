"""cloudbase-init: what its network plugin makes of a network_data.json.

The plugin names the adapters of physical links, makes teams of bonds, adds
VLANs to teams, then sets addresses.  Any error ends it, so that no address is
set.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.readers.common import (
    COMPOSED,
    NETWORK_DATA,
    is_object,
    listed,
    lost_domains,
    lost_names,
    network_data,
    network_loss,
    unless_refused,
)
from cfgdrive_virt.readers.network import Link, Network
from cfgdrive_virt.readers.reader import Content, Demand, Loss

_SERVICE = "metadata/services/baseopenstackservice.py"
_PLUGIN = "plugins/common/networkconfig.py"

#: Microsoft's rule for a connection's name.
_NOT_IN_A_NAME = re.compile(r'[\\/:*?"<>|]')
#: What NetLBFOTeamManager maps; the service lets "broadcast" pass.
_TEAM_MODES = (
    "802.3ad", "balance-rr", "active-backup", "balance-xor", "balance-tlb",
    "balance-alb",
)  # fmt: skip
_HASH_POLICIES = ("layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4")
_DHCP = ("ipv4_dhcp", "ipv6_dhcp", "ipv6_dhcpv6-stateful")

_NO_ADDRESS = "no static address, gateway or DNS server of any link is set"


def _refused_network(key: str, reason: str) -> Loss:
    effect = f"{reason}: {_NO_ADDRESS}"
    return Loss(NETWORK_DATA, key, effect, refused=True)


def _form(content: Content) -> Iterator[Loss]:
    if not content.has(NETWORK_DATA):
        return
    document = content.document(NETWORK_DATA)
    if not is_object(content, NETWORK_DATA):
        yield _refused_network("", "is not a JSON object in UTF-8")
        return
    parts = [
        (name, document, name) for name in ("links", "networks", "services")
    ]
    for network in filter(_is_applied, network_data(content).networks):
        parts += [
            (f"{network.key}.{name}", network.raw, name)
            for name in ("routes", "services")
        ]
    for key, holder, name in parts:
        if not _is_list_of_objects(holder.get(name, ())):
            yield _refused_network(key, "is not a list of objects")


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(entry, Mapping) for entry in value
    )


def _adapters(content: Content) -> Iterator[Loss]:
    links = network_data(content).links
    physical = [link for link in links if link.type not in COMPOSED]
    macs = Counter(link.mac for link in physical)
    ids = Counter(link.id for link in links)
    for link in physical:
        key = f"{link.key}.ethernet_mac_address"
        if link.mac is None:
            yield _refused_network(key, "a link has no MAC")
        elif macs[link.mac] > 1:
            yield _refused_network(key, "two links have one MAC")
    for link in links:
        if not link.id or _NOT_IN_A_NAME.search(link.id):
            reason = (
                "the id becomes the adapter's name, which must not be empty"
                r' and must not contain \ / : * ? " < > |'
            )
            yield _refused_network(f"{link.key}.id", reason)
        elif ids[link.id] > 1:
            yield _refused_network(f"{link.key}.id", "two links have one id")


def _bonds(content: Content) -> Iterator[Loss]:
    known = network_data(content).by_id()
    for link in network_data(content).links:
        if link.type != "bond":
            continue
        members = [known.get(link_id) for link_id in link.bond_links]
        macs = {
            member.mac
            for member in members
            if member is not None and member.type not in COMPOSED
        }
        policy = link.raw.get("bond_xmit_hash_policy")
        if link.raw.get("bond_mode") not in _TEAM_MODES:
            reason = "Windows has no team of this mode"
            yield _refused_network(f"{link.key}.bond_mode", reason)
        if policy is not None and policy not in _HASH_POLICIES:
            reason = "Windows has no team of this policy"
            yield _refused_network(f"{link.key}.bond_xmit_hash_policy", reason)
        if None in members or len(macs) < len(set(link.bond_links)):
            reason = "a team has physical links only"
            yield _refused_network(f"{link.key}.bond_links", reason)
        elif link.mac not in macs:
            reason = "the MAC of a team must be that of one of its links"
            yield _refused_network(f"{link.key}.ethernet_mac_address", reason)


def _vlans(content: Content) -> Iterator[Loss]:
    known = network_data(content).by_id()
    for link in network_data(content).links:
        if link.type == "vlan":
            below = known.get(link.vlan_link or "")
            if below is None or below.type != "bond":
                reason = "a VLAN on anything but a bond can't be created"
                yield _refused_network(f"{link.key}.vlan_link", reason)


def _addresses(content: Content) -> Iterator[Loss]:
    data = network_data(content)
    known = data.by_id()
    for network in filter(_is_applied, data.networks):
        if network.address is None or network.prefix is None:
            reason = "has no address with a netmask"
            yield _refused_network(network.key, reason)
        elif network.link not in known:
            yield _refused_network(f"{network.key}.link", "names no link")


def _one_address(content: Content) -> Iterator[Loss]:
    for link in network_data(content).links:
        for version in (4, 6):
            applied = _applied(link, version)
            for network in applied[:-1]:
                yield network_loss(
                    network.key,
                    f"a later static IPv{version} address of the link,"
                    f" {applied[-1].key}, replaces it, and its gateway is"
                    " lost",
                )


def _routes(content: Content) -> Iterator[Loss]:
    for link in network_data(content).links:
        gateways = set()
        for version in (4, 6):
            gateways |= {
                gateway
                for network in _applied(link, version)[-1:]
                if (gateway := _gateway(network))
            }
        for network in link.networks:
            for route in network.routes:
                # A default route comes the way that the address comes.
                if (route.destination, route.gateway) in gateways or (
                    route.is_default and not network.is_static
                ):
                    continue
                if not _is_applied(network):
                    effect = "only routes of static addresses are set"
                elif route.is_default:
                    effect = "the link has another gateway, or none"
                else:
                    effect = "routes other than the default one are not set"
                yield network_loss(route.key, effect)


def _dhcp(content: Content) -> Iterator[Loss]:
    for link in network_data(content).links:
        static = {
            network.version for network in filter(_is_applied, link.networks)
        }
        for network in link.networks:
            if network.type in _DHCP and network.version in static:
                yield network_loss(
                    network.key,
                    f"a static IPv{network.version} address of the link turns"
                    " DHCP off",
                )


def _servers(content: Content) -> Iterator[Loss]:
    data = network_data(content)
    shared = _by_version(data.servers)
    used_shared: set[int] = set()
    used_own: set[str] = set()
    for link in data.links:
        used: dict[int, frozenset[str]] = {}
        for network in filter(_is_applied, link.networks):
            if network.servers:
                used |= _by_version(network.servers)
            elif network.version in shared:
                used[network.version] = shared[network.version]
        for version, servers in used.items():
            if servers is shared.get(version):
                used_shared.add(version)
            else:
                used_own |= servers
        for network in link.networks:
            lost = [
                server
                for server in network.servers
                if server not in used.get(_version(server), ())
            ]
            if lost:
                effect = f"{listed(lost)}: not used by the link"
                yield network_loss(f"{network.key}.services", effect)
    lost = [
        server
        for server in data.servers
        if _version(server) not in used_shared and server not in used_own
    ]
    if lost:
        yield network_loss(
            "services",
            f"{listed(lost)}: not used, as each static network of this IP"
            " version has servers of its own, or there is none",
        )


def _is_applied(network: Network) -> bool:
    """Tell whether a network is one that the agent applies."""
    return network.type in ("ipv4", "ipv6")


def _applied(link: Link, version: int) -> list[Network]:
    return [
        network
        for network in link.networks
        if _is_applied(network) and network.version == version
    ]


def _gateway(network: Network) -> tuple[Any, Any] | None:
    """Return the route that becomes the gateway of an adapter."""
    for route in network.routes:
        if route.is_default:
            return route.destination, route.gateway
    return None


def _version(server: str) -> int:
    return 6 if ":" in server else 4


def _by_version(servers: tuple[str, ...]) -> dict[int, frozenset[str]]:
    """Return servers by IP version; an absent one has none."""
    found: dict[int, set[str]] = {}
    for server in servers:
        found.setdefault(_version(server), set()).add(server)
    return {version: frozenset(names) for version, names in found.items()}


_REFUSALS = (
    Demand(
        "network_data.json has lists of objects",
        f"{_SERVICE} get_network_details_v2",
        _form,
    ),
    Demand(
        "links have names for adapters, and MACs of their own",
        f"{_PLUGIN} _process_physical_links; osutils/windows.py"
        " get_network_adapter_name_by_mac_address, rename_network_adapter",
        _adapters,
    ),
    Demand(
        "a bond has a mode of Windows, and the MAC of one of its links",
        f"{_SERVICE} _parse_network_data_links; utils/windows/netlbfo.py"
        " create_team",
        _bonds,
    ),
    Demand(
        "a VLAN is on a bond",
        f"{_PLUGIN} _process_vlan_links",
        _vlans,
    ),
    Demand(
        "a static network has an address with a netmask, and a link",
        f"{_PLUGIN} _process_networks",
        _addresses,
    ),
)
NETWORK = (
    *_REFUSALS,
    *unless_refused(
        _REFUSALS,
        Demand(
            "a link has one static address of an IP version",
            "osutils/windows.py _set_static_network_config",
            _one_address,
        ),
        Demand(
            "a static network has no routes but one default route",
            f"{_PLUGIN} _process_networks",
            _routes,
        ),
        Demand(
            "DHCP is not beside a static address of its IP version",
            "osutils/windows.py _fix_network_adapter_dhcp",
            _dhcp,
        ),
        Demand(
            "the servers of a link are those of its last static network",
            f"{_PLUGIN} _process_networks; osutils/windows.py"
            " _set_interface_dns",
            _servers,
        ),
        Demand(
            "networks have no search domains",
            f"{_SERVICE} _parse_network_data_networks",
            lost_domains,
        ),
        Demand(
            "links have no names",
            f"{_SERVICE} _parse_network_data_links names adapters by id",
            lost_names,
        ),
    ),
)
