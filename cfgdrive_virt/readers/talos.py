"""Talos: its machine daemon reads the drive itself."""

from __future__ import annotations

from collections.abc import Iterator

from cfgdrive_virt.readers.common import (
    NETWORK_DATA,
    USER_DATA,
    is_object,
    listed,
    lost_domains,
    lost_files,
    lost_servers,
    network_data,
    network_loss,
    user_data,
)
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader

_PLATFORM = "Talos of 2026-07, v1alpha1/platform/openstack"

#: What it takes for a NIC, bonds and VLANs.
_LINK_TYPES = (
    "phy", "vif", "ovs", "bridge", "tap", "vhostuser", "hw_veb", "bond",
    "vlan",
)  # fmt: skip
_NETWORK_TYPES = (
    "ipv4", "ipv4_dhcp", "ipv6", "ipv6_dhcp", "ipv6_slaac",
    "ipv6_dhcpv6-stateless", "ipv6_dhcpv6-stateful",
)  # fmt: skip


def _user_data(content: Content) -> Iterator[Loss]:
    if not content.has(USER_DATA):
        effect = (
            "is missing: the drive is not used, network included; Talos asks"
            " the metadata service"
        )
        yield Loss(USER_DATA, "", effect, refused=True)
    elif user_data(content).startswith(b"#cloud-config"):
        effect = "is not a machine configuration: Talos waits for one"
        yield Loss(USER_DATA, "", effect, refused=True)


def _form(content: Content) -> Iterator[Loss]:
    if content.has(NETWORK_DATA) and not is_object(content, NETWORK_DATA):
        effect = "is not a JSON object in UTF-8: no network is configured"
        yield Loss(NETWORK_DATA, "", effect, refused=True)


def _links(content: Content) -> Iterator[Loss]:
    for link in network_data(content).links:
        if link.type not in _LINK_TYPES:
            effect = f"{listed([link.type])} is not known: not configured"
            yield network_loss(f"{link.key}.type", effect)
            for network in link.networks:
                yield network_loss(network.key, "its link is not configured")
        interval = link.raw.get("bond_miimon")
        if link.type == "bond" and not isinstance(interval, str | None):
            effect = "is not a string: the default is used"
            yield network_loss(f"{link.key}.bond_miimon", effect)


def _networks(content: Content) -> Iterator[Loss]:
    for network in network_data(content).networks:
        if not network.raw.get("id"):
            yield network_loss(network.key, "has no id: it is ignored")
        elif network.type not in _NETWORK_TYPES:
            effect = f"{listed([network.type])} is not known: it is ignored"
            yield network_loss(network.key, effect)


def _addresses(content: Content) -> Iterator[Loss]:
    data = network_data(content)
    known = data.by_id()
    for network in data.networks:
        if network.link not in known or network.type not in _NETWORK_TYPES:
            continue
        given = network.raw.get("ip_address")
        if given and (network.address is None or network.prefix is None):
            effect = "is not an address with a netmask: no network at all"
            yield Loss(
                NETWORK_DATA,
                f"{network.key}.ip_address",
                f"{effect} is configured",
                refused=True,
            )
        for route in network.routes:
            if route.destination is None or route.gateway is None:
                effect = "is not a route: no network at all is configured"
                yield Loss(NETWORK_DATA, route.key, effect, refused=True)


TALOS = Reader(
    "talos",
    "Talos",
    (
        Demand(
            "there is user data, and not #cloud-config",
            f"{_PLATFORM}/metadata.go configFromCD; openstack.go"
            " Configuration",
            _user_data,
        ),
        Demand(
            "there are no injected files",
            f"{_PLATFORM}/metadata.go configFromCD reads three files only",
            lost_files,
        ),
        Demand(
            "network_data.json is a JSON object",
            f"{_PLATFORM}/openstack.go NetworkConfiguration",
            _form,
        ),
        Demand(
            "no link is of type dvs or hyperv; bond_miimon is a string",
            f"{_PLATFORM}/openstack.go ParseMetadata; metadata.go"
            " NetworkConfig",
            _links,
        ),
        Demand(
            "each network has an id, and a known type",
            f"{_PLATFORM}/openstack.go ParseMetadata",
            _networks,
        ),
        Demand(
            "addresses and routes are such",
            f"{_PLATFORM}/openstack.go ParseMetadata",
            _addresses,
        ),
        Demand(
            "services has all DNS servers",
            f"{_PLATFORM}/openstack.go ParseMetadata",
            lost_servers,
        ),
        Demand(
            "networks have no search domains",
            f"{_PLATFORM}/metadata.go NetworkConfig has no dns_search",
            lost_domains,
        ),
    ),
)
