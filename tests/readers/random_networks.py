"""Networks as clouds have them, of all kinds, by number."""

from __future__ import annotations

import ipaddress
import random

from cfgdrive_virt import (
    Bond,
    ConfigDriveRequest,
    Interface,
    NetworkInfo,
    Route,
    Subnet,
    Vlan,
)
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model.network import SUBNET_TYPES
from cfgdrive_virt.model.tree import MetadataTree

_MODES = ("802.3ad", "active-backup", "balance-rr", "broadcast")


def request(number: int) -> ConfigDriveRequest:
    """Return an instance with one to three NICs, or a bond, and VLANs."""
    chance = random.Random(number)
    interfaces = [
        Interface(
            id=f"nic{index}",
            mac=_mac(index),
            mtu=chance.choice([None, None, 1400, 9000]),
            subnets=_subnets(chance, index),
        )
        for index in range(chance.randint(1, 3))
    ]
    bonds = []
    vlans = []
    below = "nic0"
    if chance.random() < 0.3:
        below = "bond0"
        interfaces += [
            Interface(id=f"nic{index}", mac=_mac(index)) for index in (5, 6)
        ]
        bonds.append(
            Bond(
                id="bond0",
                mac=_mac(chance.choice([5, 5, 5, 7])),
                bond_mode=chance.choice(_MODES),
                bond_links=["nic5", "nic6"],
                mtu=chance.choice([None, 1500]),
                subnets=_subnets(chance, 8),
            )
        )
    if chance.random() < 0.3:
        vlans.append(
            Vlan(
                id="vlan0",
                mac=_mac(9),
                vlan_id=chance.randint(1, 4094),
                vlan_link=below,
                mtu=chance.choice([None, 1450]),
                subnets=_subnets(chance, 9),
            )
        )
    return ConfigDriveRequest(
        uuid="83679162-1378-4288-a2d4-70e13ec132aa",
        name="host",
        hostname="host",
        network=NetworkInfo(
            interfaces=interfaces,
            bonds=bonds,
            vlans=vlans,
            dns=_servers(chance, 250, 2),
        ),
    )


def tree(asked: ConfigDriveRequest) -> MetadataTree:
    """Return what the drive of an instance holds."""
    return build_tree(asked, random_seed=b"seed")


def _mac(index: int) -> str:
    return f"fa:16:3e:00:00:{index:02x}"


def _subnets(chance: random.Random, link: int) -> list[Subnet]:
    # Twelve are enough for network10 to come before network2.
    count = chance.choice([0, 1, 1, 1, 2, 2, 3, 6])
    return [_subnet(chance, link, number) for number in range(count)]


def _subnet(chance: random.Random, link: int, number: int) -> Subnet:
    kind = chance.choice([*SUBNET_TYPES, "ipv4", "ipv4", "ipv6", "ipv4_dhcp"])
    if kind in ("ipv4_dhcp", "ipv6_dhcp"):
        return Subnet(type=kind)
    if kind == "ipv4":
        length = chance.choice([20, 24, 28, 32])
        cidr = ipaddress.ip_network(f"10.{link}.{number * 16}.0/{length}")
        far = ["172.16.0.0/12", "192.168.7.0/24", "198.51.100.9/32"]
    else:
        length = chance.choice([48, 64, 112, 128])
        cidr = ipaddress.ip_network(f"2001:db8:{link:x}{number:x}::/{length}")
        far = ["2001:db8:f000::/36", "fd00::/8", "2001:db8:ffff::1/128"]
    own, gateway = cidr[0], cidr[-1]
    if cidr.num_addresses > 1:
        own = cidr[1 + chance.randrange(min(9, cidr.num_addresses - 2))]
    return Subnet(
        type=kind,
        cidr=str(cidr),
        ip_address=str(own),
        gateway=chance.choice([None, str(gateway)]),
        dns=_servers(chance, link, 2),
        routes=[
            Route(destination=destination, gateway=str(gateway))
            for destination in chance.sample(far, chance.choice([0, 0, 1, 2]))
        ],
    )


def _servers(chance: random.Random, link: int, most: int) -> list[str]:
    some = [f"192.0.2.{link}", f"198.51.100.{link}", f"2001:db8::{link:x}"]
    return chance.sample(some, chance.randint(0, most))
