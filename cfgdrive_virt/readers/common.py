"""What several tables of readers share: files, keys, and losses."""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cfgdrive_virt.model.value import show
from cfgdrive_virt.readers.network import NetworkData
from cfgdrive_virt.readers.reader import Content, Demand, Loss

META_DATA = "openstack/latest/meta_data.json"
NETWORK_DATA = "openstack/latest/network_data.json"
USER_DATA = "openstack/latest/user_data"

#: Types of links that are made of others.
COMPOSED = ("bond", "vlan")

_SHOWN = 3
_UNLESS_DHCP = "is not set, unless DHCP gives it"


def is_object(content: Content, path: str) -> bool:
    """Tell whether a file is a JSON object in UTF-8, and not in UTF-16.

    Python's own parser takes both, and a byte order mark.
    """
    raw = content.tree.files.get(path, b"")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return (
        not raw.startswith(codecs.BOM_UTF8)
        and b"\0" not in raw
        and isinstance(content.document(path), Mapping)
    )


def meta_data(content: Content) -> Mapping[str, Any]:
    """Return what meta_data.json holds; nothing if it is not an object."""
    found = content.document(META_DATA)
    return found if isinstance(found, Mapping) else {}


def network_data(content: Content) -> NetworkData:
    """Return what network_data.json holds."""
    return content.network(NETWORK_DATA)


def public_keys(content: Content) -> Mapping[str, Any]:
    """Return the SSH keys by name; none if they are not an object."""
    found = meta_data(content).get("public_keys")
    return found if isinstance(found, Mapping) else {}


def user_data(content: Content) -> bytes:
    """Return the user data; nothing if there is none."""
    return content.tree.files.get(USER_DATA, b"")


def network_loss(key: str, effect: str) -> Loss:
    """Return a loss of one value in network_data.json."""
    return Loss(NETWORK_DATA, key, effect)


def listed(values: Sequence[str]) -> str:
    """Return the first of some values that a guest may have written."""
    shown = ", ".join(show(value).strip("'") for value in values[:_SHOWN])
    more = len(values) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def lost_files(content: Content) -> Iterator[Loss]:
    """Yield a loss if there are injected files: a reader writes none."""
    if meta_data(content).get("files"):
        yield Loss(META_DATA, "files", "injected files are not written")


def lost_network(content: Content) -> Iterator[Loss]:
    """Yield what needs network_data.json: a reader does not read it.

    The guest then asks DHCP on its own, which is also what an IPv4 network
    with DHCP asks for.
    """
    data = network_data(content)
    for link in data.links:
        if link.type in COMPOSED:
            yield network_loss(link.key, f"the {link.type} is not set up")
        elif link.mtu is not None:
            yield network_loss(f"{link.key}.mtu", _UNLESS_DHCP)
    for network in data.networks:
        if network.is_static:
            yield network_loss(
                network.key,
                "is not set: the reader does not read network_data.json, and"
                " the guest asks DHCP",
            )
        for name in ("services", "dns_search"):
            if network.raw.get(name):
                yield network_loss(f"{network.key}.{name}", _UNLESS_DHCP)
    if data.servers:
        yield network_loss("services", _UNLESS_DHCP)


def lost_servers(content: Content) -> Iterator[Loss]:
    """Yield the DNS servers of networks that are not among the global ones."""
    known = set(network_data(content).servers)
    for network in network_data(content).networks:
        lost = [name for name in network.servers if name not in known]
        if lost:
            effect = f"{listed(lost)}: only servers of services are used"
            yield network_loss(f"{network.key}.services", effect)


def lost_domains(content: Content) -> Iterator[Loss]:
    """Yield the search domains of networks: a reader does not read them."""
    for network in network_data(content).networks:
        if network.raw.get("dns_search"):
            key = f"{network.key}.dns_search"
            yield network_loss(key, "search domains are not set")


def lost_names(content: Content) -> Iterator[Loss]:
    """Yield the names of links: a reader does not read them."""
    for link in network_data(content).links:
        if link.raw.get("name"):
            yield network_loss(f"{link.key}.name", "the name is not used")


def unless_refused(
    refusals: tuple[Demand, ...], *demands: Demand
) -> Iterator[Demand]:
    """Yield demands that only hold where a reader refuses nothing.

    :param refusals: the demands without which it refuses the network
    """
    for demand in demands:
        yield dataclasses.replace(demand, losses=_unless(refusals, demand))


def _unless(
    refusals: tuple[Demand, ...], demand: Demand
) -> Callable[[Content], Iterator[Loss]]:
    def losses(content: Content) -> Iterator[Loss]:
        if content.meets(refusals):
            yield from demand.losses(content)

    return losses
