"""The values of network_data.json: links, subnets, routes."""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any

from cfgdrive_virt.exception import Problem
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.value import Value, checked, many, show

#: Link types that readers know; nova replaces every other one by "phy".
INTERFACE_TYPES = (
    "bridge", "dvs", "hw_veb", "hyperv", "ovs", "tap", "vhostuser", "vif",
    "phy",
)  # fmt: skip

BOND_MODES = (
    "802.3ad", "balance-rr", "active-backup", "balance-xor", "broadcast",
    "balance-tlb", "balance-alb",
)  # fmt: skip

#: As Linux names them; cloudbase-init knows all but the last.
BOND_XMIT_HASH_POLICIES = (
    "layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4", "vlan+srcmac",
)  # fmt: skip

BOND_LACP_RATES = ("slow", "fast")

SUBNET_TYPES = (
    "ipv4", "ipv4_dhcp", "ipv6", "ipv6_dhcp", "ipv6_slaac",
    "ipv6_dhcpv6-stateless", "ipv6_dhcpv6-stateful",
)  # fmt: skip

#: With these, the guest has the address that the drive names.
STATIC_TYPES = ("ipv4", "ipv6")

#: With these, the guest gets its address from a DHCP server.
DHCP_TYPES = ("ipv4_dhcp", "ipv6_dhcp")

#: Entries that the servers and domains of the whole network may become on a
#: drive, which has them in each subnet: some 150,000 of the 200,000 values
#: that its JSON may have.
_MAX_COPIES = 50_000

_word = rules.text(min_length=1, max_length=255, one_line=True)
_mtu = rules.integer(1, 65_535)
_domains = rules.list_of(rules.hostname)


def _miimon(value: Any) -> int:
    """Accept milliseconds, also as text: Ironic's port groups have that."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
        value = int(value)
    milliseconds: int = rules.integer(0, 2**31 - 1)(value)
    return milliseconds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route(Value):
    """A route; :attr:`Subnet.gateway` is the default one."""

    destination: str = checked(rules.cidr)
    gateway: str = checked(rules.ip_address)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subnet(Value):
    """One address of a link, in one subnet.

    :param type: as network_data.json names it, such as ``ipv4_dhcp``
    :param cidr: the subnet; required unless its type is a DHCP one
    :param ip_address: the link's address in it; required likewise
    :param gateway: of the default route.  A link has one for each IP version:
        that of the first subnet which has one, of those with a static address
        if one of these has one
    :param dns: DNS servers; those of the whole network are added
    :param dns_search: domains to search for host names; likewise
    :param network_id: the network's id if it isn't the link's
    """

    type: str = checked(rules.one_of(*SUBNET_TYPES))
    cidr: str | None = checked(rules.cidr, default=None)
    ip_address: str | None = checked(rules.ip_address, default=None)
    gateway: str | None = checked(rules.ip_address, default=None)
    dns: tuple[str, ...] = checked(rules.list_of(rules.ip_address), default=())
    dns_search: tuple[str, ...] = checked(_domains, default=())
    routes: tuple[Route, ...] = many(Route)
    network_id: str | None = checked(_word, default=None)

    @property
    def version(self) -> int:
        """Return 4 or 6."""
        return 4 if self.type.startswith("ipv4") else 6

    def _conflicts(self) -> Iterator[Problem]:
        if self.type not in DHCP_TYPES:
            for name in ("cidr", "ip_address"):
                if getattr(self, name) is None:
                    yield Problem(name, "", f"must be given for {self.type}")
        # A DNS server may have the other IP version; routes may not.
        one_version = [
            ("cidr", self.cidr),
            ("ip_address", self.ip_address),
            ("gateway", self.gateway),
        ]
        for index, route in enumerate(self.routes):
            one_version += [
                (f"routes[{index}].destination", route.destination),
                (f"routes[{index}].gateway", route.gateway),
            ]
        for name, value in one_version:
            if value is not None and (":" in value) != (self.version == 6):
                yield Problem(name, show(value), f"must be IPv{self.version}")
        if (
            self.cidr
            and self.ip_address
            and (":" in self.cidr) == (":" in self.ip_address)
            and ipaddress.ip_address(self.ip_address)
            not in ipaddress.ip_network(self.cidr)
        ):
            yield Problem(
                "ip_address", show(self.ip_address), f"must be in {self.cidr}"
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interface(Value):
    """A network interface of the instance (nova's VIF).

    :param mac: as the guest sees it; readers fail if no device has it
    :param id: the link's name in network_data.json, nova's ``devname``;
        ``interface<number>`` if it is None
    :param name: the interface's name in the guest, which cloud-init gives it,
        and uses for the names of VLANs on it, such as ``eth0.100``
    :param vif_id: the port's id
    :param mtu: in bytes; omit it if the DHCP server announces it
    :param subnets: without any, as under a bond or a VLAN, cloud-init gives
        the interface no address, and asks no DHCP server: that takes a
        subnet of type ``ipv4_dhcp``
    """

    mac: str = checked(rules.mac)
    type: str = checked(rules.one_of(*INTERFACE_TYPES), default="phy")
    id: str | None = checked(_word, default=None)
    name: str | None = checked(rules.interface_name, default=None)
    vif_id: str | None = checked(_word, default=None)
    mtu: int | None = checked(_mtu, default=None)
    network_id: str | None = checked(_word, default=None)
    subnets: tuple[Subnet, ...] = many(Subnet)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bond(Value):
    """Several links bonded into one.

    :param bond_links: the ids of the bonded links
    :param bond_miimon: milliseconds between two looks at the links' state;
        like bond_xmit_hash_policy and bond_lacp_rate an option of Linux'
        bonding driver
    :param name: as for an interface, but older cloud-init takes names of its
        own
    """

    id: str = checked(_word)
    mac: str = checked(rules.mac)
    bond_mode: str = checked(rules.one_of(*BOND_MODES))
    bond_links: tuple[str, ...] = checked(rules.list_of(_word))
    bond_miimon: int | None = checked(_miimon, default=None)
    bond_xmit_hash_policy: str | None = checked(
        rules.one_of(*BOND_XMIT_HASH_POLICIES), default=None
    )
    bond_lacp_rate: str | None = checked(
        rules.one_of(*BOND_LACP_RATES), default=None
    )
    name: str | None = checked(rules.interface_name, default=None)
    vif_id: str | None = checked(_word, default=None)
    mtu: int | None = checked(_mtu, default=None)
    network_id: str | None = checked(_word, default=None)
    subnets: tuple[Subnet, ...] = many(Subnet)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vlan(Value):
    """A VLAN on top of another link.

    :param vlan_link: the id of the link that carries it
    :param name: as for a bond
    """

    id: str = checked(_word)
    mac: str = checked(rules.mac)
    vlan_id: int = checked(rules.integer(1, 4094))
    vlan_link: str = checked(_word)
    name: str | None = checked(rules.interface_name, default=None)
    vif_id: str | None = checked(_word, default=None)
    mtu: int | None = checked(_mtu, default=None)
    network_id: str | None = checked(_word, default=None)
    subnets: tuple[Subnet, ...] = many(Subnet)


Link = Interface | Bond | Vlan


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo(Value):
    """All links of an instance; without any, the guest has no network.

    :param dns: DNS servers of all links, beside those of their subnets
    :param dns_search: domains to search for host names, on all links
    :param floating_ips: public IPv4 addresses, for the ec2 tree
    """

    interfaces: tuple[Interface, ...] = many(Interface)
    bonds: tuple[Bond, ...] = many(Bond)
    vlans: tuple[Vlan, ...] = many(Vlan)
    dns: tuple[str, ...] = checked(rules.list_of(rules.ip_address), default=())
    dns_search: tuple[str, ...] = checked(_domains, default=())
    floating_ips: tuple[str, ...] = checked(
        rules.list_of(rules.ipv4_address), default=()
    )

    def links(self) -> Iterator[tuple[str, Link]]:
        """Yield each link with its id: interfaces, bonds, then VLANs."""
        for number, interface in enumerate(self.interfaces):
            yield interface.id or f"interface{number}", interface
        for link in self.bonds + self.vlans:
            yield link.id, link

    def _conflicts(self) -> Iterator[Problem]:
        ids = {link_id for link_id, _ in self.links()}
        for link_id in _repeated(link_id for link_id, _ in self.links()):
            yield Problem("", "", f"must not have two links {show(link_id)}")
        names = (link.name for _, link in self.links() if link.name)
        for name in _repeated(names):
            rule = f"must not have two links with the name {show(name)}"
            yield Problem("", "", rule)
        subnets = sum(len(link.subnets) for _, link in self.links())
        for field in ("dns", "dns_search"):
            if len(getattr(self, field)) * subnets > _MAX_COPIES:
                rule = f"must be fewer: each of {subnets:,} subnets gets them"
                yield Problem(field, "", rule)
        for index, bond in enumerate(self.bonds):
            for link_id in bond.bond_links:
                if link_id not in ids or link_id == bond.id:
                    yield Problem(
                        f"bonds[{index}].bond_links",
                        show(link_id),
                        "must contain ids of other links",
                    )
        for index, vlan in enumerate(self.vlans):
            if vlan.vlan_link not in ids or vlan.vlan_link == vlan.id:
                yield Problem(
                    f"vlans[{index}].vlan_link",
                    show(vlan.vlan_link),
                    "must be the id of another link",
                )


def _repeated(names: Iterable[str]) -> list[str]:
    counted = collections.Counter(names)
    return sorted(name for name, times in counted.items() if times > 1)
