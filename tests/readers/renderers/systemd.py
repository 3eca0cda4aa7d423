"""Units of systemd-networkd: systemd.network(5) and systemd.netdev(5).

netplan itself writes them from its YAML.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..arrival import Item, address, route, search, server
from ..cloud_inits import unpacked
from .files import Files, run, write

Section = dict[str, list[str]]

_YES = ("yes", "true", "1", "on")


def netplan_items(files: Files) -> Iterator[Item]:
    """Yield what networkd gives a guest from netplan's YAML.

    :raises RefusedError: if netplan refuses it
    """
    with tempfile.TemporaryDirectory() as root:
        write(files, Path(root))
        library = unpacked("netplan", "**/libnetplan.so*")
        generate = unpacked("netplan", "**/libexec/netplan/generate")
        run(generate, "--root-dir", root, libraries=library.parent)
        units = Path(root, "run/systemd/network")
        written = {file.name: file.read_text() for file in units.glob("*")}
    yield from items(written)


def items(files: Files) -> Iterator[Item]:
    """Yield what networkd gives a guest."""
    for path, text in files.items():
        if path.endswith((".network", ".netdev", ".link")):
            sections = _sections(text)
            name = next(
                values["Name"][0] for _, values in sections if "Name" in values
            )
            for _, values in sections:
                for mtu in values.get("MTUBytes", ()):
                    yield Item(name, "mtu", mtu)
            for title, values in sections:
                yield from _SECTIONS.get(title, _nothing)(name, values)


def _nothing(_name: str, _values: Section) -> Iterator[Item]:
    yield from ()


def _network(name: str, values: Section) -> Iterator[Item]:
    yield from _address(name, values)
    for line in values.get("DNS", ()):
        for value in line.split():
            yield server(name, value)
    for line in values.get("Domains", ()):
        for value in line.split():
            yield search(name, value)
    dhcp = values.get("DHCP", ["no"])[-1]
    if dhcp in ("ipv4", *_YES):
        yield Item(name, "automatic", "dhcp4")
    # DHCPv6 starts when a router's advertisement asks for it.
    if values.get("IPv6AcceptRA", ["yes"])[-1] in _YES:
        yield Item(name, "automatic", "ra")
        yield Item(name, "automatic", "dhcp6")


def _address(name: str, values: Section) -> Iterator[Item]:
    for value in values.get("Address", ()):
        yield address(name, *value.split("/"))


def _route(name: str, values: Section) -> Iterator[Item]:
    for gateway in values.get("Gateway", ()):
        default = "::/0" if ":" in gateway else "0.0.0.0/0"
        (destination,) = values.get("Destination", [default])
        yield route(name, destination, gateway)


def _bond(name: str, values: Section) -> Iterator[Item]:
    for key, option in _BOND_OPTIONS.items():
        for value in values.get(key, ()):
            yield Item(name, "bond", f"{option} {value.removesuffix('ms')}")


_SECTIONS = {
    "Network": _network,
    "Address": _address,
    "Route": _route,
    "Bond": _bond,
}
_BOND_OPTIONS = {
    "Mode": "mode",
    "MIIMonitorSec": "miimon",
    "TransmitHashPolicy": "xmit_hash_policy",
    "LACPTransmitRate": "lacp_rate",
}


def _sections(text: str) -> list[tuple[str, Section]]:
    found: list[tuple[str, Section]] = []
    for line in text.splitlines():
        if line.startswith("["):
            found.append((line.strip("[]"), {}))
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[-1][1].setdefault(key, []).append(value)
    return found
