"""The names that cloud-init gives to links."""

from __future__ import annotations

from collections.abc import Iterator

from cfgdrive_virt.model.value import show
from cfgdrive_virt.readers.cloud_init.common import lost, network_demand
from cfgdrive_virt.readers.network import NetworkData
from cfgdrive_virt.readers.reader import Loss

#: The kernel's IFNAMSIZ, without the byte that ends a name.
_MAX_NAME = 15


def _long_name(network_data: NetworkData) -> Iterator[Loss]:
    names = _names(network_data)
    for link in network_data.links:
        name = names.get(link.id, "")
        if link.type == "vlan":
            carrier = names.get(link.vlan_link or "")
            name = f"{carrier}.{link.raw.get('vlan_id')}" if carrier else ""
        if len(name.encode(errors="replace")) > _MAX_NAME:
            yield lost(
                f"{link.key}.name",
                f"the interface would be {show(name)}, and the kernel takes"
                f" names of {_MAX_NAME} bytes at most",
            )


def _unused_name(network_data: NetworkData) -> Iterator[Loss]:
    for link in network_data.links:
        if link.type == "vlan" and link.raw.get("name"):
            yield lost(
                f"{link.key}.name",
                "it is not used: cloud-init names a VLAN after its link and"
                " its number",
            )


def _same_name(network_data: NetworkData) -> Iterator[Loss]:
    known: dict[str, str] = {}
    names = _names(network_data)
    for link in network_data.links:
        name = names.get(link.id)
        if name and known.setdefault(name, link.id) != link.id:
            yield lost(
                f"{link.key}.name",
                f"another link has the same name, {show(name)}: cloud-init"
                " makes one link of both",
            )


def _names(network_data: NetworkData) -> dict[str, str]:
    """Return the names that cloud-init gives to NICs and bonds, by id.

    A NIC without ``name`` keeps that which the guest's kernel gives it.
    """
    names: dict[str, str] = {}
    bonds = 0
    for link in network_data.links:
        name = link.raw.get("name")
        if link.type == "vlan":
            continue
        if isinstance(name, str):
            # Longer ones are too long already.
            names[link.id] = name[: _MAX_NAME + 1]
        elif link.type == "bond":
            names[link.id] = f"bond{bonds}"
        bonds += link.type == "bond"
    return names


_CONVERT = "cloudinit/sources/helpers/openstack.py, convert_net_json"
DEMANDS = (
    network_demand(
        f"interfaces have names of {_MAX_NAME} bytes at most, VLANs that of"
        " their link with the VLAN's number",
        f"{_CONVERT}; Linux, include/uapi/linux/if.h: IFNAMSIZ",
        _long_name,
    ),
    network_demand("VLANs have no name", _CONVERT, _unused_name),
    network_demand(
        "links have names of their own",
        f"{_CONVERT}; cloudinit/net/network_state.py, handle_physical",
        _same_name,
    ),
)
