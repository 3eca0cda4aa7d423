"""network_data.json: what cloud-init can't turn into a configuration.

An exception in it ends all of cloud-init's network configuration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.model.value import show
from cfgdrive_virt.readers.cloud_init import names
from cfgdrive_virt.readers.cloud_init.common import (
    DHCP6_TYPES,
    ROUTER_TYPES,
    lost,
    network_demand,
    network_path,
    refused,
)
from cfgdrive_virt.readers.network import (
    Link,
    Network,
    NetworkData,
    Route,
    subnet,
)
from cfgdrive_virt.readers.reader import Content, Demand, Loss

_STATIC_TYPES = ("ipv4", "ipv6", "static", "static6")
_TYPES = (
    *_STATIC_TYPES, *ROUTER_TYPES, *DHCP6_TYPES, "ipv4_dhcp", "dhcp", "dhcp4",
    "dhcp6", "manual",
)  # fmt: skip


def _refused(key: str, problem: str) -> Loss:
    return refused(
        key, f"{problem}; cloud-init fails, and configures no network"
    )


def _shape(content: Content) -> Iterator[Loss]:
    path = network_path(content)
    document = content.document(path)
    if isinstance(document, (tuple, str)):
        yield dataclasses.replace(
            _refused("", "it is not an object"), path=path
        )
    if not isinstance(document, Mapping):
        return
    for name in ("links", "networks", "services"):
        for loss in _objects(document, name, name):
            yield dataclasses.replace(loss, path=path)
    for network in content.network(path).networks:
        parts = [(network.key, network.raw, "routes")]
        parts += [(part.key, part.raw, "services") for part in _parts(network)]
        for key, raw, name in parts:
            for loss in _objects(raw, name, f"{key}.{name}"):
                yield dataclasses.replace(loss, path=path)


def _objects(parent: Mapping[str, Any], name: str, key: str) -> Iterator[Loss]:
    """Yield a loss unless there is a list of objects, or nothing."""
    entries = parent.get(name, ())
    if entries in ("", {}):
        return
    if not isinstance(entries, tuple):
        yield _refused(key, "it is not a list")
        return
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            yield _refused(f"{key}[{number}]", "it is not an object")


def _keys(network_data: NetworkData) -> Iterator[Loss]:
    yield from _link_keys(network_data)
    for network in network_data.networks if network_data.links else ():
        if "link" not in network.raw:
            yield _refused(f"{network.key}.link", "it is missing")
        if not network.type:
            yield _refused(f"{network.key}.type", "it is missing")
        for part in _parts(network):
            yield from _services(part)
        found = network.raw.get("dns_search")
        if found and not isinstance(found, (str, tuple)):
            key = f"{network.key}.dns_search"
            yield _refused(key, "it is neither text nor a list")


def _link_keys(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        for name in _demanded(link):
            if name not in link.raw:
                yield _refused(f"{link.key}.{name}", "it is missing")
        if isinstance(link.raw.get("id"), (Mapping, tuple)):
            yield _refused(f"{link.key}.id", "it is not text")
        if _is_bad_name(link):
            yield _refused(f"{link.key}.name", "it is not text")
        for name in ("ethernet_mac_address", "vlan_mac_address"):
            value = link.raw.get(name)
            if value and not isinstance(value, str):
                yield _refused(f"{link.key}.{name}", "it is not text")


def _demanded(link: Link) -> tuple[str, ...]:
    if link.type == "bond":
        return ("id", "type", "bond_links")
    if link.type == "vlan":
        return ("id", "type", "vlan_id", "vlan_link", "vlan_mac_address")
    return ("id", "type")


def _parts(network: Network) -> tuple[Network | Route, ...]:
    return (network, *network.routes)


def _is_bad_name(link: Link) -> bool:
    """Tell whether a NIC's or a bond's name ends cloud-init."""
    name = link.raw.get("name", "")
    if link.type == "bond":
        return isinstance(name, (Mapping, tuple))
    return link.type != "vlan" and not isinstance(name, str)


def _services(part: Network | Route) -> Iterator[Loss]:
    services = part.raw.get("services")
    entries = services if isinstance(services, tuple) else ()
    for number, entry in enumerate(entries):
        if (
            isinstance(entry, Mapping)
            and entry.get("type") == "dns"
            and "address" not in entry
        ):
            key = f"{part.key}.services[{number}].address"
            yield _refused(key, "it is missing")


def _no_mac(network_data: NetworkData) -> Iterator[Loss]:
    known: set[str] = set()
    for link in network_data.links:
        key = f"{link.key}.ethernet_mac_address"
        if link.type in ("bond", "vlan"):
            continue
        if link.mac is None and "name" not in link.raw:
            yield _refused(key, "the NIC has no MAC address")
        elif link.mac in known:
            yield _refused(key, "another NIC has the same MAC address")
        known |= {link.mac} if link.mac else set()


def _dangling(network_data: NetworkData) -> Iterator[Loss]:
    ids = {link.id for link in network_data.links}
    for link in network_data.links:
        name = {"bond": "bond_links", "vlan": "vlan_link"}.get(link.type, "")
        if name not in link.raw:
            continue
        named = link.raw[name]
        is_list = name == "bond_links" and isinstance(named, tuple)
        for value in named if is_list else (named,):
            if not isinstance(value, str) or value not in ids:
                problem = f"no link has the id {show(value)}"
                yield _refused(f"{link.key}.{name}", problem)


def _addresses(network_data: NetworkData) -> Iterator[Loss]:
    for network in network_data.networks:
        if network.type in _STATIC_TYPES:
            if network.address is None:
                key = f"{network.key}.ip_address"
                yield _refused(key, "it is not an IP address")
            elif network.prefix is None and network.raw.get("netmask"):
                yield _refused(f"{network.key}.netmask", "it is not a mask")
        for route in network.routes:
            yield from _route(route)


def _route(route: Route) -> Iterator[Loss]:
    # It replaces the network.
    given = route.raw.get("destination")
    if given in ("", None):
        given = route.raw.get("network")
    mask = route.raw.get("netmask")
    no_mask = not mask and "/" not in str(given)
    is_default = given == "default" and route.gateway
    if not is_default and subnet(given, mask or "0") is None:
        yield _refused(route.key, "its network or mask is not valid")
    elif route.gateway is None:
        yield lost(route.key, "the route has no gateway")
    elif no_mask and not is_default:
        yield lost(route.key, "it has no mask; cloud-init guesses one")
    try:
        int(route.raw.get("metric") or 0)
    except (OverflowError, TypeError, ValueError):
        yield _refused(f"{route.key}.metric", "it is not a number")


def _types(network_data: NetworkData) -> Iterator[Loss]:
    for network in network_data.networks:
        if network.type and network.type not in _TYPES:
            yield lost(
                f"{network.key}.type",
                "cloud-init does not know it: a renderer fails, or does not"
                " configure the network",
            )


def _nested_vlan(network_data: NetworkData) -> Iterator[Loss]:
    vlans = {link.id for link in network_data.links if link.type == "vlan"}
    for link in network_data.links:
        if link.type == "vlan" and link.vlan_link in vlans:
            yield lost(
                f"{link.key}.vlan_link",
                "cloud-init puts a VLAN on a VLAN on an interface that does"
                " not exist",
            )


def _schema(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        raw = link.raw
        if link.type in ("bond", "vlan") and raw.get("mtu", 0) is None:
            yield _warned(link, "mtu", "null")
        if link.type == "bond" and isinstance(raw.get("bond_miimon"), str):
            yield _warned(link, "bond_miimon", "text")


def _warned(link: Link, name: str, value: str) -> Loss:
    return lost(
        f"{link.key}.{name}",
        f"cloud-init's schema refuses {value}: a warning at every boot, and in"
        " `cloud-init status`",
    )


def _unconfigured(network_data: NetworkData) -> Iterator[Loss]:
    carriers = {
        name for link in network_data.links for name in link.bond_links
    }
    carriers |= {link.vlan_link or "" for link in network_data.links}
    for link in network_data.links:
        if not link.networks and link.id not in carriers:
            yield lost(
                link.key,
                "the link has no network: it gets no address, and only the"
                " renderer network-manager asks DHCP",
            )


def _nothing(content: Content) -> Iterator[Loss]:
    path = network_path(content)
    document = content.document(path)
    if isinstance(document, Mapping) and not document.get("links"):
        yield Loss(
            path,
            "",
            "it has no links, so cloud-init configures no network; without the"
            " file it uses DHCP",
        )


_CONVERT = "cloudinit/sources/helpers/openstack.py, convert_net_json"
DEMANDS = (
    Demand(
        "links, networks, services and routes are lists of objects",
        _CONVERT,
        _shape,
    ),
    network_demand(
        "links have id and type, networks link and type, bonds bond_links,"
        " VLANs vlan_id, vlan_link and vlan_mac_address, DNS services an"
        " address; MAC addresses and names are text, dns_search is text or a"
        " list",
        _CONVERT,
        _keys,
    ),
    network_demand(
        "each NIC has a MAC address of its own",
        f"{_CONVERT}; cloudinit/net/__init__.py,"
        " get_interfaces_by_mac_on_linux: duplicate mac found",
        _no_mac,
    ),
    network_demand("bond_links and vlan_link name links", _CONVERT, _dangling),
    network_demand(
        "addresses, masks and routes are valid",
        "cloudinit/net/network_state.py, _normalize_net_keys",
        _addresses,
    ),
    network_demand("networks have a type that it knows", _CONVERT, _types),
    network_demand("no VLAN is on a VLAN", _CONVERT, _nested_vlan),
    *names.DEMANDS,
    network_demand(
        "the MTU of bonds and VLANs is not null, and bond_miimon not text",
        "cloudinit/config/schemas/schema-network-config-v1.json.  Release 22.4"
        " has no schema",
        _schema,
    ),
    network_demand(
        "each link has a network, or carries another link",
        f"{_CONVERT}; cloudinit/net/network_manager.py, render_interface",
        _unconfigured,
    ),
    Demand(
        "network_data.json has links, or does not exist",
        "cloudinit/stages.py, _find_networking_config",
        _nothing,
    ),
)
