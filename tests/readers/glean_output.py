"""What the files that glean writes say, for each family of distributions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cfgdrive_virt.readers.network import NetworkData

from .arrival import ANYWHERE, DEFAULT, Item, Items, address, route, server
from .renderers import ifupdown, initscripts, systemd

Files = Mapping[str, str]

#: The C library uses no more: MAXNS in resolv.h.
_RESOLVER_SERVERS = 3
_DHCP = "dhcp4"
_UP_ROUTE = re.compile(r"up route add -net (\S+) netmask (\S+) gw (\S+)")


class Family(NamedTuple):
    """A family of distributions.

    :param distribution: what glean calls it
    :param each_nic: whether systemd runs glean for each NIC alone
    """

    distribution: str
    each_nic: bool


FAMILIES = {
    "glean-debian": Family("debian", True),
    "glean-redhat": Family("centos", True),
    "glean-suse": Family("opensuse-leap", True),
    "glean-gentoo": Family("gentoo", False),
    "glean-networkd": Family("networkd", False),
}


def nics(data: NetworkData) -> dict[str, str]:
    """Return the names of a guest's NICs with their MACs."""
    physical = [
        link for link in data.links if link.type not in ("bond", "vlan")
    ]
    return {
        f"glean{number}": link.mac or ""
        for number, link in enumerate(physical)
    }


def items(family: str, files: Files, data: NetworkData) -> Items:
    """Return what glean's files configure, in terms of the drive's links."""
    found = set(_servers(files))
    names = _names(family, data)
    for link, kind, value in _READ[family](files):
        if link in names and not _lacks_bond(link, files):
            found.add(Item(names[link], kind, value))
    return frozenset(found)


def _lacks_bond(name: str, files: Files) -> bool:
    """Tell whether a VLAN of Debian is on an interface that is not there."""
    below, dot, _ = name.partition(".")
    directory = "/etc/network/interfaces.d"
    return (
        f"{directory}/{name}.cfg" in files
        and bool(dot)
        and not below.startswith("glean")
        and f"{directory}/{below}.cfg" not in files
    )


def _names(family: str, data: NetworkData) -> dict[str, str]:
    """Return the ids of links by the names of their interfaces."""
    by_mac = {mac: name for name, mac in nics(data).items()}
    names = {
        link.id: link.id if link.type == "bond" else by_mac[link.mac or ""]
        for link in data.links
        if link.type != "vlan"
    }
    between = {"glean-gentoo": "_", "glean-networkd": "-vlan"}.get(family, ".")
    for link in data.links:
        if link.type == "vlan":
            below = names[link.vlan_link or ""]
            names[link.id] = f"{below}{between}{link.raw['vlan_id']}"
    return {name: link_id for link_id, name in names.items()}


def _servers(files: Files) -> Iterator[Item]:
    lines = files.get("/etc/resolv.conf", "").splitlines()
    for line in lines[:_RESOLVER_SERVERS]:
        yield server(ANYWHERE, line.removeprefix("nameserver "))
    resolved = files.get("/etc/systemd/resolved.conf", "")
    for values in re.findall("(?m)^DNS = (.*)$", resolved):
        for value in values.split():
            yield server(ANYWHERE, value)


def _below(files: Files, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield what follows the prefix in a path, and the content."""
    for path, content in files.items():
        if path.startswith(prefix):
            yield path.removeprefix(prefix), content


def _debian(files: Files) -> Iterator[Item]:
    directory = "/etc/network/interfaces.d/"
    texts = [text for _, text in _below(files, directory)]
    # glean's own file sources them, by a path of this machine.
    yield from ifupdown.items({"etc/network/interfaces": "\n".join(texts)})
    for name, text in _below(files, directory):
        # What ifupdown only hands on.
        for to, mask, via in _UP_ROUTE.findall(text):
            yield route(name.removesuffix(".cfg"), f"{to}/{mask}", via)


def _red_hat(files: Files) -> Iterator[Item]:
    return initscripts.items(_relative(files))


def _networkd(files: Files) -> Iterator[Item]:
    return systemd.items(_relative(files))


def _relative(files: Files) -> Files:
    return {path.lstrip("/"): text for path, text in files.items()}


def _values(content: str) -> dict[str, str]:
    """Return the last value of each variable."""
    lines = (line.partition("=") for line in content.splitlines())
    return {name: value for name, equals, value in lines if equals}


def _suse(files: Files) -> Iterator[Item]:
    """Yield what wicked reads: IPV6ADDR and ifroute6 are not known to it."""
    for link, content in _below(files, "/etc/sysconfig/network/ifcfg-"):
        values = _values(content)
        if values["BOOTPROTO"] == "dhcp":
            yield Item(link, "automatic", _DHCP)
        elif "IPADDR" in values:
            yield address(link, values["IPADDR"], values["NETMASK"])
    for link, content in _below(files, "/etc/sysconfig/network/ifroute-"):
        for line in content.splitlines():
            match line.split():
                case ["default", via]:
                    yield route(link, DEFAULT[4], via)
                case [to, via, mask]:
                    yield route(link, f"{to}/{mask}", via)


def _gentoo(files: Files) -> Iterator[Item]:
    for _, content in _below(files, "/etc/conf.d/net."):
        # Variables of shell: the last value counts.
        for name, value in dict(
            re.findall(r'(?m)^(\w+)="([^"]*)"', content)
        ).items():
            kind, _, link = name.partition("_")
            if kind == "config" and value == "dhcp":
                yield Item(link, "automatic", _DHCP)
            elif kind == "config" and " netmask " in value:
                yield address(link, *value.split(" netmask "))
            elif kind == "routes":
                for line in value.splitlines():
                    match line.split():
                        case ["default", "via", via]:
                            yield route(link, DEFAULT[4], via)
                        case [to, "netmask", mask, "via", via]:
                            yield route(link, f"{to}/{mask}", via)


_READ = {
    "glean-debian": _debian,
    "glean-redhat": _red_hat,
    "glean-suse": _suse,
    "glean-gentoo": _gentoo,
    "glean-networkd": _networkd,
}
