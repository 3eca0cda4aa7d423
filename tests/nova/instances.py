"""Instances of every kind that nova knows, to be told by both alike."""

from __future__ import annotations

import base64
from typing import Any

from oracle import Spawn, ec2_ids, model, objects

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq1lmsqm5uDLBJOAtLwA3O me@here"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def spawn(*nics: model.VIF, **parts: Any) -> Spawn:
    """Return an instance with interfaces, by default a plain one."""
    return Spawn(
        network_info=model.NetworkInfo(nics or [nic(0, static_ipv4())]),
        **parts,
    )


def spawn_of(**fields: Any) -> Spawn:
    """Return an instance that differs in fields of nova's Instance."""
    return spawn(instance=fields)


def nic(number: int, *subnets: model.Subnet, **parts: Any) -> model.VIF:
    """Return an interface; network is what its network is to have."""
    network = {"id": f"da5bb487-5193-4a65-a3df-4a0055a8c0d{number}"}
    network |= parts.pop("network", {})
    plain = {
        "id": f"1a81968a-797a-400f-8a80-567f997eb93{number}",
        "address": f"fa:16:3e:ed:9a:5{number}",
        "type": "ovs",
        "devname": f"tap1a81968a-7{number}",
    }
    return model.VIF(
        network=model.Network(subnets=list(subnets), **network),
        **(plain | parts),
    )


def subnet(cidr: str, *addresses: str, **parts: Any) -> model.Subnet:
    """Return a subnet; dns, routes and gateway are given as texts."""
    return model.Subnet(
        cidr=cidr,
        ips=[model.FixedIP(address=address) for address in addresses],
        # Neutron's subnets without a gateway have one without an address.
        gateway=model.IP(address=parts.pop("gateway", None), type="gateway"),
        dns=[
            model.IP(address=server, type="dns")
            for server in parts.pop("dns", ())
        ],
        routes=[
            model.Route(cidr=to, gateway=model.IP(address=through))
            for to, through in parts.pop("routes", ())
        ],
        **parts,
    )


def static_ipv4(**parts: Any) -> model.Subnet:
    plain = {"gateway": "192.0.2.1", "dns": ["192.0.2.53", "192.0.2.54"]}
    return subnet("192.0.2.0/24", "192.0.2.10", **(plain | parts))


def static_ipv6(**parts: Any) -> model.Subnet:
    plain = {"gateway": "2001:db8::1", "dns": ["2001:db8::53"]}
    return subnet("2001:db8::/64", "2001:db8::10", **(plain | parts))


def keypair(name: str, kind: str, public_key: str) -> objects.KeyPair:
    return objects.KeyPair(name=name, type=kind, public_key=public_key)


def with_keypairs(*keypairs: objects.KeyPair) -> Spawn:
    return spawn_of(
        key_name=keypairs[0].name,
        key_data=keypairs[0].public_key,
        keypairs=objects.KeyPairList(objects=list(keypairs)),
    )


def with_devices(*devices: objects.DeviceMetadata) -> Spawn:
    return spawn_of(
        device_metadata=objects.InstanceDeviceMetadata(devices=list(devices))
    )


def with_user_data(user_data: bytes) -> Spawn:
    return spawn_of(user_data=base64.b64encode(user_data).decode())


def _with_cpus(*dedicated: set[int]) -> Spawn:
    cells = [
        objects.InstanceNUMACell(
            id=number, cpuset=set(), pcpuset=cpus, memory=512
        )
        for number, cpus in enumerate(dedicated)
    ]
    return spawn_of(numa_topology=objects.InstanceNUMATopology(cells=cells))


def _block_device(
    name: str, source: str, destination: str, guest_format: str | None = None
) -> objects.BlockDeviceMapping:
    return objects.BlockDeviceMapping(
        device_name=name,
        source_type=source,
        destination_type=destination,
        guest_format=guest_format,
    )


def _floating(*addresses: str) -> model.Subnet:
    found = subnet("192.0.2.0/24", "192.0.2.10")
    for address in addresses:
        found["ips"][0].add_floating_ip(
            model.IP(address=address, type="floating")
        )
    return found


_PCI = objects.PCIDeviceBus(address="0000:00:03.0")
_MAC = "fa:16:3e:ed:9a:50"

_ODD_PATHS = (
    "relative", "/up/../down/./", "//", "C:\\Windows\\a.ini", "/a b\tc\nd",
    "/\u00e9/\U0001f600", '/"quoted"', "/" + "x" * 254, "/same", "/same",
)  # fmt: skip

_PROVIDERS = {
    "static first": ["StaticJSON", "DynamicJSON"],
    "dynamic first": ["DynamicJSON", "StaticJSON"],
}

_NETWORKS = {
    "static IPv4": spawn(nic(0, static_ipv4())),
    "static IPv6": spawn(nic(0, static_ipv6())),
    "static IPv4 and IPv6": spawn(nic(0, static_ipv4(), static_ipv6())),
    "IPv6 before IPv4": spawn(nic(0, static_ipv6(), static_ipv4())),
    "no gateway and no DNS": spawn(
        nic(0, static_ipv4(gateway=None, dns=[]), static_ipv6(gateway=None))
    ),
    "DHCP with an agent": spawn(
        nic(0, static_ipv4(dhcp_server="192.0.2.2"), network={"mtu": 1450})
    ),
    "DHCP without an agent": spawn(
        nic(0, static_ipv4(enable_dhcp=True), network={"mtu": 1450})
    ),
    "DHCPv6 without an address mode": spawn(
        nic(0, static_ipv6(dhcp_server="2001:db8::2"))
    ),
    "DHCP for IPv4 only": spawn(
        nic(
            0,
            static_ipv4(dhcp_server="192.0.2.2"),
            static_ipv6(),
            network={"mtu": 9000},
        )
    ),
    "SLAAC": spawn(nic(0, static_ipv6(ipv6_address_mode="slaac"))),
    "SLAAC beside a DHCP agent": spawn(
        nic(
            0,
            static_ipv6(ipv6_address_mode="slaac", dhcp_server="2001:db8::2"),
            network={"mtu": 1450},
        )
    ),
    "DHCPv6 stateless": spawn(
        nic(0, static_ipv6(ipv6_address_mode="dhcpv6-stateless"))
    ),
    "DHCPv6 stateful": spawn(
        nic(0, static_ipv6(ipv6_address_mode="dhcpv6-stateful"))
    ),
    "routes": spawn(
        nic(
            0,
            static_ipv4(
                routes=[
                    ("198.51.100.0/24", "192.0.2.254"),
                    ("203.0.113.9/28", "192.0.2.253"),
                ]
            ),
            static_ipv6(
                routes=[
                    ("2001:db8:1::/48", "2001:db8::fe"),
                    ("2001:db8:2::9/128", "fe80::1"),
                ]
            ),
        )
    ),
    "a link-local gateway": spawn(nic(0, static_ipv6(gateway="fe80::1"))),
    "an address by itself": spawn(
        nic(0, subnet("192.0.2.10/32", "192.0.2.10", gateway="169.254.0.1"))
    ),
    "an MTU": spawn(nic(0, static_ipv4(), network={"mtu": 9000})),
    "no device name": spawn(
        nic(0, static_ipv4(), devname=None),
        nic(1, static_ipv6(), devname=""),
    ),
    "interfaces that share DNS servers": spawn(
        nic(0, static_ipv4(), static_ipv6()),
        nic(1, static_ipv4(dns=["192.0.2.54", "192.0.2.55"])),
        nic(2, static_ipv6(dhcp_server="2001:db8::2")),
    ),
    "interfaces of every type": spawn(
        *(
            nic(number, static_ipv4(), type=kind)
            for number, kind in enumerate(model.LEGACY_EXPOSED_VIF_TYPES)
        ),
        nic(8, static_ipv4(), type="hostdev_physical"),
        nic(9, static_ipv4(), type=None),
    ),
    "floating addresses": spawn(
        nic(0, static_ipv6()),
        nic(1, _floating("203.0.113.9", "203.0.113.8")),
        nic(2, _floating("203.0.113.7")),
    ),
    "an injected network template": spawn(
        nic(
            0,
            static_ipv4(routes=[("198.51.100.0/24", "192.0.2.254")]),
            static_ipv6(),
            network={"injected": True},
        ),
        nic(1, static_ipv4(dhcp_server="192.0.2.2")),
        files=(("/etc/motd", b"hello\n"),),
    ),
}

_DEVICES = {
    "a tagged interface": with_devices(
        objects.NetworkInterfaceMetadata(mac=_MAC, tags=["public"], bus=_PCI)
    ),
    "an interface on a VLAN": with_devices(
        objects.NetworkInterfaceMetadata(mac=_MAC, vlan=1000, bus=_PCI),
        objects.NetworkInterfaceMetadata(mac=_MAC, vlan=0, tags=["native"]),
    ),
    "a trusted virtual function": with_devices(
        objects.NetworkInterfaceMetadata(
            mac=_MAC, vf_trusted=True, tags=["fast"], bus=_PCI
        ),
        objects.NetworkInterfaceMetadata(mac=_MAC, vf_trusted=True),
        objects.NetworkInterfaceMetadata(mac=_MAC, vf_trusted=False),
    ),
    "an interface with nothing to tell": with_devices(
        objects.NetworkInterfaceMetadata(mac=_MAC)
    ),
    "disks": with_devices(
        objects.DiskMetadata(
            serial="2f6d2b8e-7c55-4a0c-9a57-2d7a9c5e5b1f",
            path="/dev/vdb",
            tags=["database", "fast"],
            bus=_PCI,
        ),
        objects.DiskMetadata(serial="4be5", tags=["backup"]),
        # Its libvirt driver sets a serial always, None if there is no volume.
        objects.DiskMetadata(serial=None, tags=["scratch"]),
    ),
    "disks on every bus": with_devices(
        *(
            objects.DiskMetadata(serial=str(number), bus=bus)
            for number, bus in enumerate(
                (
                    _PCI,
                    objects.USBDeviceBus(address="05c8:021e"),
                    objects.SCSIDeviceBus(address="0:0:0:1"),
                    objects.SCSIDeviceBus(),
                    objects.IDEDeviceBus(address="0:1"),
                    objects.XenDeviceBus(address="51712"),
                )
            )
        )
    ),
    "shares": with_devices(
        objects.ShareMetadata(
            share_id="e8debdc0-447a-4376-a10a-4cd9122d7986", tag="media"
        ),
        objects.ShareMetadata(
            share_id="1f40e2d5-6dd4-4ba7-8f0b-6c9d2d3a2f6e",
            tag="home",
            tags=["data"],
            bus=_PCI,
        ),
    ),
    "dedicated CPUs": _with_cpus({7, 2}, {4, 11}),
    "no dedicated CPU": _with_cpus(set()),
    "no root device": spawn_of(root_device_name=None),
    "block devices": spawn(
        block_devices=(
            _block_device("/dev/vda", "image", "local"),
            _block_device("/dev/vdd", "blank", "local", "swap"),
            _block_device("/dev/vdb", "blank", "local"),
            _block_device("/dev/vdc", "blank", "local", "ext4"),
            _block_device("/dev/vdf", "volume", "volume"),
            _block_device("/dev/vde", "blank", "volume"),
        )
    ),
    "default ephemeral and swap device": spawn_of(
        default_ephemeral_device="/dev/vdb", default_swap_device="/dev/vdc"
    ),
    "kernel and ramdisk": spawn_of(
        ec2_ids=ec2_ids(kernel_id="aki-00000003", ramdisk_id="ari-00000004")
    ),
}

_CONTENT = {
    "user data": with_user_data(b"#cloud-config\nruncmd: [date]\n"),
    "user data of any bytes": with_user_data(bytes(range(256))),
    "user data as big as may be": with_user_data(b"x" * 49_149),
    "one injected file": spawn(files=(("/etc/motd", b"hello\n"),)),
    "injected files of any bytes": spawn(
        files=(("/empty", b""), ("/all", bytes(range(256))), ("/same", b""))
    ),
    "injected files at odd paths": spawn(
        files=tuple((path, path.encode()) for path in _ODD_PATHS)
    ),
    "more injected files than one digit counts": spawn(
        files=tuple((f"/{number}", b"%d" % number) for number in range(12))
    ),
    "a password": spawn(admin_pass='p\u00e4ss "word" \\ \U0001f511'),
    "an empty password": spawn(admin_pass=""),
    "an SSH key": with_keypairs(keypair("my key", "ssh", SSH_KEY)),
    "metadata": spawn_of(
        metadata={"role": "web", "owner": "Ren\u00e9e", "empty": "", " ": "\n"}
    ),
    "security groups": spawn(security_groups=("default", "web", "web")),
    "static vendor data, a mapping": spawn(
        static={"cloud-init": "#cloud-config\n", "n": [1, 2.5, None, True]}
    ),
    "static vendor data, a list": spawn(static=["#!/bin/sh\n", {"a": {}}]),
    "static vendor data, a text": spawn(static="#cloud-config\n"),
} | {
    f"dynamic vendor data, {order}": spawn(
        api={"vendordata_providers": providers},
        static={"a": 1},
        dynamic={"inventory": {"rack": "r12", "slots": [1, 2]}, "static": 3},
    )
    for order, providers in _PROVIDERS.items()
}

_NAMES = {
    "no availability zone": spawn_of(availability_zone=None),
    "the eighth of several": spawn_of(launch_index=7),
    "a name in any script": spawn_of(display_name="\u5b9f\u4f8b \U0001f680"),
    "a fully qualified host name": spawn_of(hostname="web-1.example.org"),
    "no DHCP domain": spawn(api={"dhcp_domain": ""}),
    "a DHCP domain": spawn(api={"dhcp_domain": "example.org"}),
}


def _everything() -> Spawn:
    """Return an instance of all that excludes nothing else."""
    parts = (
        _CONTENT["an SSH key"],
        _CONTENT["metadata"],
        _CONTENT["user data of any bytes"],
        _DEVICES["dedicated CPUs"],
        _DEVICES["kernel and ramdisk"],
        _NAMES["the eighth of several"],
        with_devices(
            *_devices("a tagged interface"),
            *_devices("an interface on a VLAN"),
            *_devices("a trusted virtual function"),
            *_devices("disks"),
            *_devices("shares"),
        ),
    )
    return Spawn(
        instance={
            field: value
            for part in parts
            for field, value in part.instance.items()
        },
        network_info=model.NetworkInfo(
            [
                *_NETWORKS["an injected network template"].network_info,
                nic(2, _floating("203.0.113.9")),
                nic(3, static_ipv6(ipv6_address_mode="slaac"), type="bridge"),
            ]
        ),
        files=_CONTENT["injected files at odd paths"].files,
        admin_pass="secret",
        security_groups=("default", "web"),
        block_devices=_DEVICES["block devices"].block_devices,
        api={"vendordata_providers": _PROVIDERS["static first"]},
        static={"cloud-init": "#cloud-config\n"},
        dynamic={"inventory": {"rack": "r12"}},
    )


def _devices(name: str) -> list[objects.DeviceMetadata]:
    devices: list[objects.DeviceMetadata] = (
        _DEVICES[name].instance["device_metadata"].devices
    )
    return devices


INSTANCES: dict[str, Spawn] = {
    "plain": spawn(),
    **_NAMES,
    **_NETWORKS,
    **_DEVICES,
    **_CONTENT,
    "everything at once": _everything(),
}
