"""/etc/network/interfaces: ifupdown says which commands it would run."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..arrival import ANYWHERE, Item, address, route, search, server
from ..cloud_inits import unpacked
from .files import Files, run, write

_FILE = "etc/network/interfaces"
_STANZA = re.compile(r"ifup: configuring interface (\S+)=\S+ \((\w+)\)")
_ADDRESS = re.compile(r"ip (?:-6 )?addr add (\S+)/(\S+) ")
_ROUTE = re.compile(r"ip .*route (?:add|replace) (\S+) via (\S+)")
_MTU = re.compile(r"ip link set dev \S+ mtu (\d+)")
_DHCP = re.compile(r"dhc|DHC")
_SYSCTL = re.compile(r"sysctl .*\.(accept_ra|autoconf)=(\d)")


def items(files: Files) -> Iterator[Item]:
    """Yield what ifupdown would do, resolvconf and ifenslave too."""
    with tempfile.TemporaryDirectory() as root:
        write(files, Path(root))
        printed = run(
            unpacked("ifupdown", "**/sbin/ifup"),
            "--no-act", "--verbose", "--all",
            "--interfaces", Path(root, _FILE),
            "--state-dir", root,
        )  # fmt: skip
    name = family = ""
    switches: dict[str, dict[str, bool]] = {}
    for line in printed.splitlines():
        if found := _STANZA.match(line):
            name, family = found.groups()
            switches.setdefault(name, {})
        elif found := _SYSCTL.match(line):
            switches[name][found[1]] = found[2] != "0"
        elif _DHCP.search(line):
            way = "dhcp4" if family == "inet" else "dhcp6"
            yield Item(name, "automatic", way)
        else:
            yield from _command(name, line.strip())
    for name, switch in switches.items():
        if switch.get("autoconf") and switch.get("accept_ra"):
            yield Item(name, "automatic", "ra")
    yield from _options(files[_FILE])


def _command(name: str, line: str) -> Iterator[Item]:
    if found := _ADDRESS.match(line):
        yield address(name, *found.groups())
    if found := _MTU.search(line):
        yield Item(name, "mtu", found[1])
    if found := _ROUTE.match(line):
        destination, gateway = found.groups()
        if destination == "default":
            destination = "::/0" if ":" in gateway else "0.0.0.0/0"
        yield route(name, destination, gateway)


def _options(text: str) -> Iterator[Item]:
    name = ""
    for line in text.splitlines():
        option, *words = line.split() or [""]
        if option == "iface":
            name = words[0]
        # That of lo is the whole guest's.
        link = ANYWHERE if name == "lo" else name
        if option == "dns-nameservers":
            for value in words:
                yield server(link, value)
        elif option.startswith("bond-"):
            name_of_option = option.removeprefix("bond-").replace("-", "_")
            yield Item(name, "bond", f"{name_of_option} {words[0]}")
        elif option == "dns-search":
            for value in words:
                yield search(link, value)
