"""glean: what it loses of a drive, whatever it writes in the guest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.readers.common import (
    COMPOSED,
    META_DATA,
    NETWORK_DATA,
    USER_DATA,
    is_object,
    listed,
    lost_domains,
    lost_files,
    lost_names,
    meta_data,
    network_data,
    network_loss,
)
from cfgdrive_virt.readers.glean.files import STOPS, network_id
from cfgdrive_virt.readers.network import Network, NetworkData
from cfgdrive_virt.readers.reader import Content, Demand, Loss

#: The C library reads no more of resolv.conf (MAXNS in resolv.h).
_RESOLVER_SERVERS = 3

_LINK_KEYS = {
    "vlan": ("id", "vlan_id", "vlan_link"),
    "bond": ("id", "ethernet_mac_address", "bond_links"),
}
#: Of values that are no text.
_KINDS: dict[str, type] = {"vlan_id": int, "bond_links": tuple}
_PHYSICAL_KEYS = ("id", "ethernet_mac_address")


def _meta_data(content: Content) -> Iterator[Loss]:
    if content.has(META_DATA) and not is_object(content, META_DATA):
        effect = (
            "is not a JSON object in UTF-8 without BOM: glean stops, and sets"
            " neither keys, host name nor network"
        )
        yield Loss(META_DATA, "", effect, refused=True)


def _host_name(content: Content) -> Iterator[Loss]:
    found = meta_data(content)
    if found.get("name", found.get("hostname")) != found.get("hostname"):
        effect = "the host name is set to the value of name instead"
        yield Loss(META_DATA, "hostname", effect)


def _user_data(content: Content) -> Iterator[Loss]:
    if content.has(USER_DATA):
        yield Loss(USER_DATA, "", "is not read")


def _mtu(content: Content) -> Iterator[Loss]:
    for link in network_data(content).links:
        if link.mtu is not None:
            yield network_loss(f"{link.key}.mtu", "the MTU is not set")


def _form(content: Content) -> Iterator[Loss]:
    if not content.has(NETWORK_DATA):
        return
    document = content.document(NETWORK_DATA)
    if not is_object(content, NETWORK_DATA):
        effect = f"is not a JSON object in UTF-8: {STOPS}"
        yield Loss(NETWORK_DATA, "", effect, refused=True)
        return
    for key in _malformed(document, network_data(content)):
        effect = f"is missing, or of the wrong type: {STOPS}"
        yield Loss(NETWORK_DATA, key, effect, refused=True)


def _malformed(
    document: Mapping[str, Any], data: NetworkData
) -> Iterator[str]:
    """Yield the keys of what it takes for granted and is not there."""
    for name in ("links", "networks", "services"):
        value = document.get(name, ())
        if not isinstance(value, tuple) or not all(
            isinstance(entry, Mapping) for entry in value
        ):
            yield name
    for link in data.links:
        if "type" not in link.raw:
            yield f"{link.key}.type"
        keys: tuple[str, ...] = _LINK_KEYS.get(link.type, _PHYSICAL_KEYS)
        yield from _lacking(link.key, link.raw, keys)
    for network in data.networks:
        yield from _lacking(network.key, network.raw, ("id", "type", "link"))
        if network.type in ("ipv4", "ipv6"):
            yield from _malformed_static(network)


def _malformed_static(network: Network) -> Iterator[str]:
    if network.address is None or network.prefix is None:
        yield f"{network.key}.ip_address"
    masks = [(network.key, network.raw.get("netmask"))]
    for route in network.routes:
        if route.destination is None or route.gateway is None:
            yield route.key
        masks.append((route.key, route.raw.get("netmask")))
    for key, mask in masks:
        if not isinstance(mask, str) or (
            network.version == 6 and mask.isdigit()
        ):
            yield f"{key}.netmask"


def _lacking(
    key: str, entry: Mapping[str, Any], names: tuple[str, ...]
) -> Iterator[str]:
    for name in names:
        if not isinstance(entry.get(name), _KINDS.get(name, str)):
            yield f"{key}.{name}"


def _parts(content: Content) -> Iterator[Loss]:
    data = network_data(content)
    known = data.by_id()
    for link in data.links:
        below = known.get(link.vlan_link or "")
        if (
            link.type == "vlan"
            and link.networks
            and (below is None or below.type == "vlan")
        ):
            effect = f"is neither a NIC nor a bond: {STOPS}"
            key = f"{link.key}.vlan_link"
            yield Loss(NETWORK_DATA, key, effect, refused=True)
        if link.type == "bond" and any(
            name not in known or known[name].type in COMPOSED
            for name in link.bond_links
        ):
            effect = f"names what is not a NIC: {STOPS}"
            key = f"{link.key}.bond_links"
            yield Loss(NETWORK_DATA, key, effect, refused=True)


def _macs(content: Content) -> Iterator[Loss]:
    physical = [
        link
        for link in network_data(content).links
        if link.type not in COMPOSED and link.mac
    ]
    count = Counter(link.mac for link in physical)
    for link in physical:
        if count[link.mac] > 1:
            effect = (
                "several links have it: each NIC gets what all of them have"
            )
            yield network_loss(f"{link.key}.ethernet_mac_address", effect)


def _ids(content: Content) -> Iterator[Loss]:
    data = network_data(content)
    last = {network_id(network): network.key for network in data.networks}
    known = data.by_id()
    for network in data.networks:
        if last[network_id(network)] != network.key:
            effect = (
                f"{last[network_id(network)]} has the same id, and replaces it"
            )
            yield network_loss(network.key, effect)
        elif network.link not in known:
            yield network_loss(network.key, "its link is not there")


def _servers(content: Content) -> Iterator[Loss]:
    data = network_data(content)
    used = set(data.servers[:_RESOLVER_SERVERS])
    for network in data.networks:
        lost = [name for name in network.servers if name not in used]
        if lost:
            effect = (
                f"{listed(lost)}: not among the first three servers of"
                " services, which alone are used"
            )
            yield network_loss(f"{network.key}.services", effect)
    lost = [name for name in data.servers if name not in used]
    if lost:
        effect = f"{listed(lost)}: the resolver uses the first three only"
        yield network_loss("services", effect)


CODE = "glean/cmd.py 1.25.1"
_LINKS = f"{CODE}, get_config_drive_interfaces"
REFUSALS = (
    Demand(
        "meta_data.json is a JSON object in UTF-8",
        f"{CODE}, main",
        _meta_data,
    ),
    Demand(
        "links, networks and services have what it needs",
        f"{_LINKS}; utils.py ipv6_netmask_length",
        _form,
    ),
    Demand(
        "a VLAN is on a NIC or a bond, and a bond has NICs", _LINKS, _parts
    ),
)
NOT_READ = (
    Demand(
        "hostname is name",
        f"{CODE}, set_hostname_from_config_drive",
        _host_name,
    ),
    Demand("there is no user data", f"{CODE}, main", _user_data),
    Demand("there are no injected files", f"{CODE}, main", lost_files),
)
NETWORK = (
    Demand("no link has an MTU", f"{CODE} does not read mtu", _mtu),
    Demand(
        "NICs have MACs of their own", f"{CODE}, get_sys_interfaces", _macs
    ),
    Demand("networks have ids of their own, and a link", _LINKS, _ids),
    Demand(
        "networks have no search domains",
        f"{CODE} does not read dns_search",
        lost_domains,
    ),
    Demand(
        "links have no names",
        f"{CODE} does not read name of links",
        lost_names,
    ),
)
RESOLV_CONF = Demand(
    "services has all DNS servers, three at most",
    f"{CODE}, get_dns_from_config_drive, write_dns_info",
    _servers,
)
