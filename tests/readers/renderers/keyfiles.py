"""Keyfiles of NetworkManager: nm-settings-keyfile(5)."""

from __future__ import annotations

import configparser
from collections.abc import Iterator

from ..arrival import Item, address, route, search, server
from .files import Files

#: What a method configures by itself.
_METHODS = {
    ("ipv4", "auto"): ("dhcp4",),
    ("ipv6", "auto"): ("ra", "dhcp6"),
    ("ipv6", "dhcp"): ("dhcp6",),
}


def items(files: Files) -> Iterator[Item]:
    """Yield what NetworkManager gives a guest."""
    for path, text in files.items():
        if path.endswith(".nmconnection"):
            profile = configparser.ConfigParser(interpolation=None)
            profile.read_string(text)
            name = profile["connection"]["id"].removeprefix("cloud-init ")
            if mtu := profile.get("ethernet", "mtu", fallback=""):
                yield Item(name, "mtu", mtu)
            bond = profile["bond"] if profile.has_section("bond") else {}
            for option, value in bond.items():
                yield Item(name, "bond", f"{option} {value}")
            for family in ("ipv4", "ipv6"):
                yield from _family(name, family, profile)


def _family(
    name: str, family: str, profile: configparser.ConfigParser
) -> Iterator[Item]:
    # A profile without the section has the method "auto".
    method = profile.get(family, "method", fallback="auto")
    for way in _METHODS.get((family, method), ()):
        yield Item(name, "automatic", way)
    if method == "disabled" or not profile.has_section(family):
        return
    for key, value in profile[family].items():
        if key.startswith("address"):
            yield address(name, *value.split("/"))
        elif key.startswith("route"):
            yield route(name, *value.split(","))
        elif key == "dns":
            for single in value.strip(";").split(";"):
                yield server(name, single)
        elif key == "dns-search":
            for single in value.strip(";").split(";"):
                yield search(name, single)
