"""nuageinit: the agent in FreeBSD's base system, a script in Lua.

It writes variables of rc.conf(5): of several values for one, the last counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cfgdrive_virt.readers.common import (
    META_DATA,
    NETWORK_DATA,
    USER_DATA,
    lost_domains,
    lost_files,
    lost_names,
    lost_servers,
    network_data,
    network_loss,
    unless_refused,
    user_data,
)
from cfgdrive_virt.readers.network import Network
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader

_SCRIPT = "FreeBSD of 2026, libexec/nuageinit/nuageinit"
_NOTHING_SET = "host name, user and keys are not set"
_TYPES = ("ipv4", "ipv4_dhcp", "ipv6")
#: What ifconfig(8) takes an IPv6 address for without a prefix length.
_PREFIX = 64


def _refused(path: str, key: str, reason: str) -> Loss:
    return Loss(path, key, f"{reason}: {_NOTHING_SET}", refused=True)


def _meta_data(content: Content) -> Iterator[Loss]:
    if not isinstance(content.document(META_DATA), Mapping):
        yield _refused(META_DATA, "", "is not a JSON object")


def _user_data(content: Content) -> Iterator[Loss]:
    data = user_data(content)
    first, _, rest = data.partition(b"\n")
    if not first.strip():
        return
    if not rest.strip():
        yield Loss(USER_DATA, "", "has one line only: it is ignored")
    elif first.startswith(b"#!"):
        reason = "is a script, which runs if it is also YAML"
        yield _refused(USER_DATA, "", reason)
    elif first != b"#cloud-config":
        reason = "is neither #cloud-config nor a script, and is ignored"
        yield _refused(USER_DATA, "", reason)


def _links(content: Content) -> Iterator[Loss]:
    data = network_data(content)
    known = data.by_id()
    nics = {link.mac for link in data.links if link.type != "bond"}
    for link in data.links:
        if not isinstance(link.raw.get("ethernet_mac_address"), str):
            key = f"{link.key}.ethernet_mac_address"
            reason = "a link, such as a VLAN, has none, at which it fails"
            yield _refused(NETWORK_DATA, key, reason)
        elif link.mac not in nics and any(map(_is_written, link.networks)):
            key = f"{link.key}.ethernet_mac_address"
            reason = "no NIC has the MAC, at which it fails"
            yield _refused(NETWORK_DATA, key, reason)
    for network in data.networks:
        if _is_written(network) and network.link not in known:
            key = f"{network.key}.link"
            yield _refused(NETWORK_DATA, key, "names no link: it fails")


def _bonds(content: Content) -> Iterator[Loss]:
    for link in network_data(content).links:
        if link.type == "bond":
            effect = "is not created: its addresses are set on a NIC"
            yield network_loss(link.key, effect)


def _mtu(content: Content) -> Iterator[Loss]:
    for link in network_data(content).links:
        if link.mtu is not None:
            yield network_loss(f"{link.key}.mtu", "the MTU is not set")


def _addresses(content: Content) -> Iterator[Loss]:
    for link in network_data(content).links:
        last = {
            network.version: network
            for network in filter(_is_written, link.networks)
        }
        for network in link.networks:
            if not _is_written(network):
                effect = "is not configured: neither DHCPv6 nor SLAAC is"
                yield network_loss(network.key, effect)
            elif last[network.version] is not network:
                effect = (
                    f"{last[network.version].key} of the same link replaces it"
                )
                yield network_loss(network.key, effect)
            elif network.type == "ipv6" and network.prefix != _PREFIX:
                effect = f"it is set with a prefix length of {_PREFIX}"
                yield network_loss(f"{network.key}.netmask", effect)


def _routes(content: Content) -> Iterator[Loss]:
    default: str | None = None
    for network in network_data(content).networks:
        for route in network.routes:
            if network.type == "ipv4" and route.is_default:
                default = route.key
    for network in network_data(content).networks:
        for route in network.routes:
            if network.type != "ipv4":
                effect = "only routes of static IPv4 networks are set"
                yield network_loss(route.key, effect)
            elif route.is_default and route.key != default:
                effect = f"the guest has one default route, {default}"
                yield network_loss(route.key, effect)


def _is_written(network: Network) -> bool:
    return network.type in _TYPES


_REFUSALS = (
    Demand(
        "links have a MAC, and there are no VLANs; a bond with networks has"
        " the MAC of a NIC",
        f"{_SCRIPT} config2_network",
        _links,
    ),
    Demand(
        "meta_data.json is a JSON object",
        f"{_SCRIPT} load_metadata",
        _meta_data,
    ),
    Demand(
        "user data is absent or #cloud-config",
        f"{_SCRIPT} load_userdata, and below it",
        _user_data,
    ),
)
NUAGEINIT = Reader(
    "nuageinit",
    "nuageinit in FreeBSD's base system",
    (
        *_REFUSALS,
        Demand(
            "there are no injected files",
            f"{_SCRIPT} does not read files",
            lost_files,
        ),
        *unless_refused(
            _REFUSALS[:1],
            Demand("there are no bonds", f"{_SCRIPT} config2_network", _bonds),
            Demand("no link has an MTU", f"{_SCRIPT} config2_network", _mtu),
            Demand(
                "a link has one address of an IP version, static or by DHCP;"
                " of IPv6 a static one with a prefix of 64",
                f"{_SCRIPT} config2_network",
                _addresses,
            ),
            Demand(
                "routes are of static IPv4 networks, one is the default",
                f"{_SCRIPT} config2_network",
                _routes,
            ),
            Demand(
                "services has all DNS servers",
                f"{_SCRIPT} config2_network; before 15.0 none is set",
                lost_servers,
            ),
            Demand(
                "networks have no search domains",
                f"{_SCRIPT} config2_network",
                lost_domains,
            ),
            Demand(
                "links have no names",
                f"{_SCRIPT} config2_network",
                lost_names,
            ),
        ),
    ),
    one_address=True,
)
