"""Small drives, and the parts of their network_data.json.

Each part is a dictionary of a link or a network, with its keys overridden.
"""

from __future__ import annotations

import json
from typing import Any

from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.readers import READERS, Content, Loss

from . import instances

META_DATA = "openstack/latest/meta_data.json"
NETWORK_DATA = "openstack/latest/network_data.json"
VENDOR_DATA = "openstack/latest/vendor_data.json"

Files = dict[str, bytes]
Json = dict[str, Any]


def nic(number: int = 0, **more: Any) -> Json:
    mac = f"fa:16:3e:00:00:0{number}"
    return {
        "id": f"tap{number}",
        "type": "phy",
        "ethernet_mac_address": mac,
        **more,
    }


def bond(**more: Any) -> Json:
    return {
        "id": "bond",
        "type": "bond",
        "ethernet_mac_address": "fa:16:3e:00:00:00",
        "bond_mode": "active-backup",
        "bond_links": ["tap0"],
        **more,
    }


def vlan(**more: Any) -> Json:
    return {
        "id": "vlan",
        "type": "vlan",
        "vlan_mac_address": "fa:16:3e:00:01:00",
        "vlan_id": 7,
        "vlan_link": "tap0",
        **more,
    }


def dns(*servers: str) -> list[Json]:
    return [{"type": "dns", "address": server} for server in servers]


def default_route(gateway: str) -> Json:
    unspecified = "::" if ":" in gateway else "0.0.0.0"
    return {
        "network": unspecified, "netmask": unspecified, "gateway": gateway,
    }  # fmt: skip


def static(number: int = 1, **more: Any) -> Json:
    return {
        "id": f"network{number}",
        "type": "ipv4",
        "link": "tap0",
        "ip_address": f"192.0.{number}.10",
        "netmask": "255.255.255.0",
        "routes": [],
        **more,
    }


def static6(**more: Any) -> Json:
    return static(
        type="ipv6",
        ip_address="fd00::10",
        netmask="ffff:ffff:ffff:ffff::",
        **more,
    )


def automatic(kind: str, **more: Any) -> Json:
    return {"id": kind, "type": kind, "link": "tap0", **more}


SERVER = dns("192.0.2.53")
SERVER6 = dns("fd00::53")
FAR = [
    {"network": "198.18.0.0", "netmask": "255.255.0.0", "gateway": "192.0.1.2"}
]
FAR6 = [{"network": "fd01::", "netmask": "ffff::", "gateway": "fd00::2"}]
SLAAC = automatic("ipv6_slaac")
DHCP = automatic("ipv4_dhcp")
DHCP6 = automatic("ipv6_dhcp")
STATEFUL = automatic("ipv6_dhcpv6-stateful")


def but(entry: Json, *names: str) -> Json:
    return {name: entry[name] for name in entry if name not in names}


def network_data(*parts: Json, services: list[Json] | None = None) -> Json:
    """Return links and networks in their order, the first NIC among them."""
    links = [part for part in parts if "link" not in part]
    if not any(link["id"] == "tap0" for link in links):
        links.insert(0, nic())
    return {
        "links": links,
        "networks": [part for part in parts if "link" in part],
        "services": services or [],
    }


def files(*, meta_data: Json | None = None, network: Any = None) -> Files:
    """Return the files of a drive that breaks nothing, with changes.

    :param meta_data: values of meta_data.json
    :param network: network_data.json; one static network by default
    """
    tree = build_tree(instances.minimal(), random_seed=b"-")
    found = dict(tree.below(("openstack/latest/",)).files)
    known = json.loads(found[META_DATA])
    found[META_DATA] = json.dumps(known | (meta_data or {})).encode()
    if network is None:
        network = network_data(static())
    found[NETWORK_DATA] = json.dumps(network).encode()
    return found


def content_of(changed: Files) -> Content:
    return Content(MetadataTree(changed))


def losses(changed: Files, reader: str = "cloud-init") -> list[Loss]:
    return list(READERS[reader].losses(content_of(changed)))


def places(found: list[Loss]) -> set[tuple[str, str]]:
    return {(loss.path, loss.key) for loss in found}


def without(changed: Files, path: str) -> Files:
    return {name: raw for name, raw in changed.items() if name != path}
