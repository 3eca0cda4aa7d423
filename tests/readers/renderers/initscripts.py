"""ifcfg files, as Red Hat's initscripts read them, and resolv.conf."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ..arrival import ANYWHERE, Item, address, route, search, server
from .files import Files

_DIRECTORY = "etc/sysconfig/network-scripts/"
#: The C library reads no more (resolv.conf(5), MAXNS).
_MAX_SERVERS = 3


def items(files: Files) -> Iterator[Item]:
    """Yield what the scripts give a guest."""
    for path, text in files.items():
        kind, _, name = path.removeprefix(_DIRECTORY).partition("-")
        yield from _KINDS.get(kind, _nothing)(name, text)
    resolv_conf = files.get("etc/resolv.conf", "").splitlines()
    lines = [words for line in resolv_conf if (words := line.split())]
    servers = [words[1] for words in lines if words[0] == "nameserver"]
    for value in servers[:_MAX_SERVERS]:
        yield server(ANYWHERE, value)
    for option, *values in lines:
        for value in values if option == "search" else ():
            yield search(ANYWHERE, value)


def _nothing(_name: str, _text: str) -> Iterator[Item]:
    yield from ()


def _ifcfg(name: str, text: str) -> Iterator[Item]:
    values = _values(text)
    if values["BOOTPROTO"] == "dhcp":
        # They take no IPv4 address from the file then.
        yield Item(name, "automatic", "dhcp4")
    else:
        for key, value in values.items():
            if key.startswith("IPADDR"):
                mask = values[f"NETMASK{key.removeprefix('IPADDR')}"]
                yield address(name, value, mask)
    for key in ("IPV6ADDR", "IPV6ADDR_SECONDARIES"):
        for value in values.get(key, "").split():
            yield address(name, *value.split("/"))
    if gateway := values.get("GATEWAY"):
        yield route(name, "0.0.0.0/0", gateway)
    if gateway := values.get("IPV6_DEFAULTGW"):
        yield route(name, "::/0", gateway)
    if mtu := values.get("MTU"):
        yield Item(name, "mtu", mtu)
    for option in values.get("BONDING_OPTS", "").split():
        yield Item(name, "bond", option.replace("=", " ", 1))
    yield from _automatic(name, values)


def _automatic(name: str, values: dict[str, str]) -> Iterator[Item]:
    forced = values.get("IPV6_FORCE_ACCEPT_RA")
    if "yes" in (values.get("IPV6_AUTOCONF"), forced):
        yield Item(name, "automatic", "ra")
    if values.get("DHCPV6C") == "yes" and forced != "no":
        yield Item(name, "automatic", "dhcp6")


def _route(name: str, text: str) -> Iterator[Item]:
    values = _values(text)
    for key, network in values.items():
        if key.startswith("ADDRESS"):
            number = key.removeprefix("ADDRESS")
            mask = values[f"NETMASK{number}"]
            yield route(name, f"{network}/{mask}", values[f"GATEWAY{number}"])


def _route6(name: str, text: str) -> Iterator[Item]:
    for line in text.splitlines():
        if " via " in line:
            destination, _, gateway, *_ = line.split()
            yield route(name, destination, gateway)


_KINDS = {"ifcfg": _ifcfg, "route": _route, "route6": _route6}


def _values(text: str) -> dict[str, str]:
    words = (word.partition("=") for word in shlex.split(text, comments=True))
    return {key: value for key, _, value in words}
