"""Run cloudbase-init in a Windows of which nothing but the network is there.

Its own code configures adapters through WMI; the objects below take what it
sets, and refuse what Windows refuses.
"""

from __future__ import annotations

import base64
import builtins
import contextlib
import ctypes
import ipaddress
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

for _name in (
    "comtypes", "mi", "pywintypes", "tzlocal", "win32api", "win32com",
    "win32net", "win32netcon", "win32process", "win32security",
    "win32service", "winerror", "winioctlcon", "winreg", "wmi",
):  # fmt: skip
    sys.modules[_name] = mock.MagicMock(name=_name)
ctypes.windll = mock.MagicMock()
ctypes.cdll = mock.MagicMock()
ctypes.WINFUNCTYPE = ctypes.CFUNCTYPE
ctypes.WinError = OSError
builtins.WindowsError = OSError

from cloudbaseinit.metadata.services import configdrive  # noqa: E402
from cloudbaseinit.metadata.services.osconfigdrive import (  # noqa: E402
    windows as drives,
)
from cloudbaseinit.osutils import factory, windows  # noqa: E402
from cloudbaseinit.plugins.common import (  # noqa: E402
    networkconfig,
    sethostname,
    userdata,
    userdatautils,
)
from cloudbaseinit.plugins.common.userdataplugins import (  # noqa: E402
    cloudconfig,
)
from cloudbaseinit.utils.windows import netlbfo  # noqa: E402

#: By Microsoft, not in an adapter's name.
_FORBIDDEN = re.compile(r'[\\/:*?"<>|]')
_VERSION = {windows.AF_INET: 4, windows.AF_INET6: 6}

Adapter = dict[str, Any]


class Guest:
    """A Windows: its adapters by name, its teams, and NICs of those."""

    def __init__(self, macs: list[str]) -> None:
        self.adapters: dict[str, Adapter] = {}
        self.teams: dict[str, str] = {}
        self.nics: dict[str, str] = {}
        for number, mac in enumerate(macs):
            self.add(f"Ethernet {number}", mac)

    def add(self, name: str, mac: str) -> None:
        self.adapters[name] = {
            "mac": mac.upper(), "addresses": {}, "gateways": {},
            "servers": {}, "mtu": None, "dhcp": {4: True, 6: True},
        }  # fmt: skip

    # What WMI's classes are called is Microsoft's.
    # ruff: noqa: N802, N803

    def WMI(self, moniker: str) -> Guest:
        """Return the connection, which has all of WMI's classes."""
        del moniker
        return self

    def MSFT_NetIPInterface(
        self, InterfaceAlias: str, AddressFamily: int
    ) -> list[Any]:
        if InterfaceAlias not in self.adapters:
            return []
        dhcp = self.adapters[InterfaceAlias]["dhcp"]
        row = SimpleNamespace()
        row.put = lambda: dhcp.update(
            {_VERSION[AddressFamily]: bool(row.Dhcp)}
        )
        return [row]

    @property
    def MSFT_NetIPAddress(self) -> _Addresses:
        return _Addresses(self)

    def MSFT_NetRoute(
        self, AddressFamily: int, InterfaceAlias: str
    ) -> list[Any]:
        gateways = self.adapters[InterfaceAlias]["gateways"]
        version = _VERSION[AddressFamily]
        if version not in gateways:
            return []
        row = SimpleNamespace(DestinationPrefix="default")
        row.Delete_ = lambda: gateways.pop(version)
        return [row]

    def MSFT_DnsClientServerAddress(self, InterfaceAlias: str) -> list[Any]:
        if InterfaceAlias not in self.adapters:
            return []
        servers = self.adapters[InterfaceAlias]["servers"]

        def put(operation_options: dict[str, Any]) -> None:
            (option,) = operation_options["custom_options"]
            found: dict[int, list[str]] = {}
            for value in option["value"]:
                version = ipaddress.ip_address(value).version
                found.setdefault(version, []).append(value)
            servers.update(found)

        return [SimpleNamespace(put=put)]

    def MSFT_NetAdapter(self, Name: str) -> list[Any]:
        if Name not in self.adapters:
            return []

        def rename(new: str) -> None:
            if not new or _FORBIDDEN.search(new) or new in self.adapters:
                raise OSError("The name is not valid, or taken")
            self.adapters[new] = self.adapters.pop(Name)

        return [SimpleNamespace(rename=rename)]

    def Win32_NetworkAdapter(
        self, NetConnectionID: str | None = None, MACAddress: str | None = None
    ) -> list[Any]:
        return [
            mock.MagicMock(NetConnectionID=name)
            for name, adapter in self.adapters.items()
            if NetConnectionID in (None, name)
            and (MACAddress is None or adapter["mac"] == MACAddress.upper())
        ]

    @property
    def MSFT_NetLbfoTeam(self) -> Any:
        def new() -> Any:
            def put(operation_options: dict[str, Any]) -> None:
                options = {
                    option["name"]: option["value"]
                    for option in operation_options["custom_options"]
                }
                (member,) = options["TeamMembers"]
                self.teams[row.Name] = self.adapters[member]["mac"]
                self.add(options["TeamNicName"], self.teams[row.Name])
                self.nics[row.Name] = options["TeamNicName"]

            row = SimpleNamespace(put=put)
            return row

        return SimpleNamespace(new=new)

    @property
    def MSFT_NetLbfoTeamMember(self) -> Any:
        return SimpleNamespace(new=mock.MagicMock)

    def MSFT_NetLbfoTeamNic(self, team: str) -> list[Any]:
        row = mock.MagicMock()
        row.Name = self.nics[team]
        return [row]

    @property
    def MSFT_NetLbfoTeamNIC(self) -> Any:
        def new() -> Any:
            def put() -> None:
                if row.Team not in self.teams:
                    raise OSError("No such team")
                self.add(row.Name, self.teams[row.Team])

            row = SimpleNamespace(put=put)
            return row

        return SimpleNamespace(new=new)

    def netsh(
        self, arguments: list[str], **_: Any
    ) -> tuple[bytes, bytes, int]:
        """Run netsh, which only sets an MTU."""
        index, mtu = arguments[5], arguments[6]
        adapter = list(self.adapters.values())[int(index)]
        adapter["mtu"] = int(mtu.partition("=")[2])
        return b"", b"", 0


class _Addresses:
    """MSFT_NetIPAddress: a class that lists, and creates."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def __call__(self, AddressFamily: int, InterfaceAlias: str) -> list[Any]:
        addresses = self._guest.adapters[InterfaceAlias]["addresses"]
        version = _VERSION[AddressFamily]
        rows = []
        for value in addresses.get(version, []):
            row = SimpleNamespace(IPAddress=value)
            row.Delete_ = lambda gone=value: addresses[version].remove(gone)
            rows.append(row)
        return rows

    def create(
        self,
        AddressFamily: int,
        InterfaceAlias: str,
        IPAddress: str,
        PrefixLength: int,
        DefaultGateway: str | None,
    ) -> None:
        adapter = self._guest.adapters[InterfaceAlias]
        version = _VERSION[AddressFamily]
        value = f"{IPAddress}/{PrefixLength}"
        adapter["addresses"].setdefault(version, []).append(value)
        if DefaultGateway is not None:
            adapter["gateways"][version] = DefaultGateway


def _configure(files: dict[str, str], directory: Path) -> dict[str, Any]:
    """Return what cloudbase-init makes of a drive with these files."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
    guest = Guest(_physical_macs(directory))
    service = configdrive.ConfigDriveService()
    service._metadata_path = str(directory)
    system = windows.WindowsUtils()
    system.check_os_version = lambda *_: True
    system.is_client_os = lambda: False
    system.execute_process = guest.netsh
    read: list[str] = []
    get_data = service._get_data

    def record(path: str) -> bytes:
        read.append(path)
        return get_data(path)

    service._get_data = record
    names: list[str] = []
    system.set_host_name = names.append
    ran: list[str] = []

    def addresses() -> list[dict[str, Any]]:
        return [
            {"interface_index": number, "friendly_name": name}
            | {"mac_address": adapter["mac"]}
            for number, (name, adapter) in enumerate(guest.adapters.items())
        ]

    def run(data: bytes) -> Any:
        if command(data) is not None:
            ran.append("script")

    def cloud(_: Any, data: bytes) -> None:
        del data
        ran.append("cloud-config")

    command = userdatautils.get_command
    errors = {}
    plugins = {
        "host name": sethostname.SetHostNamePlugin(),
        "network": networkconfig.NetworkConfigPlugin(),
        "user data": userdata.UserDataPlugin(),
    }
    with contextlib.ExitStack() as stack:
        for owner, name, stand_in in (
            (factory, "get_os_utils", lambda: system),
            (windows, "wmi", guest),
            (netlbfo, "wmi", guest),
            (netlbfo.sys, "platform", "win32"),
            (windows.network, "get_adapter_addresses", addresses),
            (userdatautils, "execute_user_data_script", run),
            (cloudconfig.CloudConfigPlugin, "process_non_multipart", cloud),
            (time, "sleep", lambda _: None),
        ):
            stack.enter_context(mock.patch.object(owner, name, stand_in))
        for name, plugin in plugins.items():
            try:
                plugin.execute(service, {})
            except Exception as error:
                errors[name] = f"{type(error).__name__}: {error}"
    return {
        "adapters": guest.adapters,
        "errors": errors,
        "host_name": names[0] if names else None,
        "user_data": ran,
        "read": sorted(set(read)),
    }


def _physical_macs(directory: Path) -> list[str]:
    """Return the MACs of the NICs that an instance with this drive has."""
    try:
        links = json.loads(
            (directory / "openstack/latest/network_data.json").read_bytes()
        )["links"]
        return [
            link["ethernet_mac_address"]
            for link in links
            if link["type"] not in ("bond", "vlan")
            and isinstance(link["ethernet_mac_address"], str)
        ]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _raw_iso_size(size: int) -> int:
    """Return how much it reads of an ISO 9660 image on a disk."""
    sectors = (size // 2048).to_bytes(4, "little")
    header = bytearray(40_960)
    header[0x8001:0x8006] = b"CD001"
    header[0x8050:0x8054] = sectors
    header[0x8080:0x8082] = (2048).to_bytes(2, "little")
    place = [0]

    def seek(offset: int) -> int:
        place[0] = offset
        return offset

    def read(length: int, skip: int) -> bytes:
        return bytes(header[place[0] + skip :][:length])

    device = SimpleNamespace(fixed=True, size=size, seek=seek, read=read)
    manager = drives.WindowsConfigDriveManager.__new__(
        drives.WindowsConfigDriveManager
    )
    return int(manager._get_iso_file_size(device))


def main() -> None:
    made = []
    for job in json.load(sys.stdin):
        if "size" in job:
            made.append(_raw_iso_size(job["size"]))
            continue
        with tempfile.TemporaryDirectory() as name:
            made.append(_configure(job["files"], Path(name)))
    json.dump(made, sys.stdout)


main()
