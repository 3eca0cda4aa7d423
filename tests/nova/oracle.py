"""What nova says of an instance, and the same instance as a request.

Nova's objects, options and code are its own; only the database, where it
keeps block devices, and Neutron, which knows the security groups, are stood
in for.
"""

from __future__ import annotations

import base64
import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveRequest,
    DiskDevice,
    Ec2Ids,
    InjectedFile,
    Interface,
    Keypair,
    NetworkInfo,
    NicDevice,
    Route,
    ShareDevice,
    Subnet,
)
from cfgdrive_virt.image import read
from cfgdrive_virt.model.network import INTERFACE_TYPES
from cfgdrive_virt.model.request import Device

with warnings.catch_warnings():
    # Nova's requirements use what Python is going to drop.
    warnings.simplefilter("ignore")
    import nova.conf
    from nova import block_device, context, objects
    from nova.api.metadata import base as metadata
    from nova.api.metadata import vendordata_dynamic
    from nova.network import model, security_group_api
    from nova.virt import netutils

objects.register_all()

CONF = nova.conf.CONF

Files = dict[str, bytes]


def load_options(*arguments: str) -> None:
    """Set nova's options to their defaults, less what the arguments say."""
    CONF(
        list(arguments),
        project="nova",
        default_config_files=[],
        default_config_dirs=[],
    )


@dataclass(frozen=True, kw_only=True)
class Spawn:
    """All that decides on a drive when nova's libvirt driver spawns.

    :param instance: what differs from a plain instance, by nova's field
    :param api: options of the group ``[api]``
    :param static: what the file of vendordata_jsonfile_path holds
    :param dynamic: what the services of vendordata_dynamic_targets answer
    """

    instance: Mapping[str, Any] = field(default_factory=dict)
    network_info: model.NetworkInfo = field(default_factory=model.NetworkInfo)
    files: tuple[tuple[str, bytes], ...] = ()
    admin_pass: str | None = None
    security_groups: tuple[str, ...] = ()
    block_devices: tuple[objects.BlockDeviceMapping, ...] = ()
    api: Mapping[str, Any] = field(default_factory=dict)
    static: Any = None
    dynamic: Mapping[str, Any] = field(default_factory=dict)


class Drives:
    """Make the drives of both for one instance.

    :param directory: for the files that options name
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def of_nova(self, spawn: Spawn) -> Files:
        """Return the files that nova writes to its drive."""
        with self.around(spawn):
            # As LibvirtDriver._create_configdrive() does.
            extra_md = {}
            if spawn.admin_pass:
                extra_md["admin_pass"] = spawn.admin_pass
            told = metadata.InstanceMetadata(
                nova_instance(spawn),
                content=spawn.files,
                extra_md=extra_md,
                network_info=spawn.network_info,
            )
            # As ConfigDriveBuilder._add_file() does.
            return {
                path: data.encode() if isinstance(data, str) else data
                for path, data in told.metadata_for_config_drive()
            }

    def of_ours(self, spawn: Spawn) -> Files:
        """Return the files of our drive, read from its image."""
        with self.around(spawn):
            image = ConfigDriveDriver(CONF).build(request(spawn))
        return dict(read(image.data).tree.files)

    @contextlib.contextmanager
    def around(self, spawn: Spawn) -> Iterator[None]:
        """Have nova's options and services as they are for an instance."""
        with self._options(spawn), _services(spawn):
            yield

    @contextlib.contextmanager
    def _options(self, spawn: Spawn) -> Iterator[None]:
        options = dict(spawn.api)
        if spawn.static is not None:
            path = self.directory / "vendor_data.json"
            path.write_text(json.dumps(spawn.static))
            options["vendordata_jsonfile_path"] = str(path)
        for name, value in options.items():
            CONF.set_override(name, value, group="api")
        try:
            yield
        finally:
            for name in options:
                CONF.clear_override(name, group="api")


@contextlib.contextmanager
def _services(spawn: Spawn) -> Iterator[None]:
    """Answer in place of the database, of Neutron and of vendor data's."""
    block_devices = objects.BlockDeviceMappingList(
        objects=list(spawn.block_devices)
    )
    groups = [{"name": name} for name in spawn.security_groups]
    with (
        mock.patch.object(
            objects.BlockDeviceMappingList,
            "get_by_instance_uuid",
            return_value=block_devices,
        ),
        mock.patch.object(
            security_group_api,
            "get_instance_security_groups",
            return_value=groups,
        ),
        # Nova takes from the answer what it doesn't use: a new one each time.
        mock.patch.object(
            vendordata_dynamic.DynamicVendorData,
            "get",
            side_effect=lambda: dict(spawn.dynamic),
        ),
    ):
        yield


def nova_instance(spawn: Spawn) -> objects.Instance:
    """Return the instance as nova's compute manager holds it."""
    fields = {
        "id": 1,
        "uuid": "b65cee2f-8c69-4aeb-be2f-f79742548fc2",
        "project_id": "9d7f3a4b1c2e4d5f8a6b7c8d9e0f1a2b",
        "user_id": "a1b2c3d4e5f60718293a4b5c6d7e8f90",
        "display_name": "web 1",
        "hostname": "web-1",
        "launch_index": 0,
        "reservation_id": "r-x1y2z3w4",
        "availability_zone": "nova",
        "image_ref": "155d900f-4e14-4e4c-a73d-069cbf4541e6",
        "kernel_id": "",
        "ramdisk_id": "",
        "user_data": None,
        "key_name": None,
        "key_data": None,
        "keypairs": objects.KeyPairList(objects=[]),
        "metadata": {},
        "system_metadata": {},
        "device_metadata": None,
        "numa_topology": None,
        "root_device_name": "/dev/vda",
        "default_ephemeral_device": None,
        "default_swap_device": None,
        "security_groups": objects.SecurityGroupList(objects=[]),
        "flavor": objects.Flavor(name="m1.small"),
        "ec2_ids": ec2_ids(),
    }
    return objects.Instance(
        context.get_admin_context(), **(fields | dict(spawn.instance))
    )


def ec2_ids(**ids: str | None) -> objects.EC2Ids:
    """Return names as nova makes them of its database's numbers."""
    plain = {
        "instance_id": "i-00000001",
        "ami_id": "ami-00000002",
        "kernel_id": None,
        "ramdisk_id": None,
    }
    return objects.EC2Ids(**(plain | ids))


def request(spawn: Spawn) -> ConfigDriveRequest:
    """Return the request that a compute service makes of nova's objects.

    To be called where nova's services answer.
    """
    instance = nova_instance(spawn)
    return ConfigDriveRequest(
        uuid=instance.uuid,
        name=instance.display_name,
        hostname=instance.hostname,
        project_id=instance.project_id,
        availability_zone=instance.availability_zone,
        launch_index=instance.launch_index,
        metadata=instance.metadata,
        keypairs=_keypairs(instance),
        user_data=_user_data(instance),
        vendor_data2=_vendor_data2(instance),
        injected_files=tuple(
            InjectedFile(path=path, content=content)
            for path, content in spawn.files
        ),
        admin_pass=spawn.admin_pass or None,
        network=_network(spawn.network_info),
        network_config=netutils.get_injected_network_template(
            spawn.network_info
        ),
        devices=_devices(instance.device_metadata),
        dedicated_cpus=_dedicated_cpus(instance.numa_topology),
        security_groups=spawn.security_groups,
        block_device_mapping=_block_device_mapping(instance),
        flavor=instance.flavor.name,
        ec2=Ec2Ids(
            instance_id=instance.ec2_ids.instance_id,
            ami_id=instance.ec2_ids.ami_id,
            reservation_id=instance.reservation_id,
            kernel_id=instance.ec2_ids.kernel_id,
            ramdisk_id=instance.ec2_ids.ramdisk_id,
        ),
    )


def _keypairs(instance: objects.Instance) -> tuple[Keypair, ...]:
    return tuple(
        Keypair(name=key.name, type=key.type, public_key=key.public_key)
        for key in instance.keypairs
    )


def _user_data(instance: objects.Instance) -> bytes | None:
    coded = instance.user_data
    return None if coded is None else base64.b64decode(coded)


def _vendor_data2(instance: objects.Instance) -> Mapping[str, Any]:
    if "DynamicJSON" not in CONF.api.vendordata_providers:
        return {}
    found: Mapping[str, Any] = vendordata_dynamic.DynamicVendorData(
        instance
    ).get()
    return found


def _block_device_mapping(instance: objects.Instance) -> Mapping[str, str]:
    if instance.root_device_name is None:
        return {}
    found: Mapping[str, str] = block_device.instance_block_mapping(
        instance, instance.get_bdms()
    )
    return found


def _dedicated_cpus(
    topology: objects.InstanceNUMATopology | None,
) -> tuple[int, ...]:
    cells = topology.cells if topology else ()
    return tuple(chain.from_iterable(cell.pcpuset for cell in cells))


def _network(network_info: model.NetworkInfo) -> NetworkInfo:
    return NetworkInfo(
        interfaces=tuple(map(_interface, network_info)),
        floating_ips=tuple(
            ip["address"] for ip in network_info.floating_ips()
        ),
    )


def _interface(vif: model.VIF) -> Interface:
    network = vif["network"]
    # Where DHCP hands the MTU out, the drive is silent on it.
    dhcp = any(subnet.get_meta("dhcp_server") for subnet in network["subnets"])
    return Interface(
        type=vif["type"] if vif["type"] in INTERFACE_TYPES else "phy",
        id=vif["devname"] or None,
        vif_id=vif["id"],
        mac=vif["address"],
        mtu=None if dhcp else network.get_meta("mtu"),
        network_id=network["id"],
        subnets=tuple(
            _subnet(subnet, ip)
            # IPv4 first, as nova tells them.
            for subnet in sorted(
                network["subnets"], key=lambda subnet: subnet["version"]
            )
            for ip in subnet["ips"]
        ),
    )


def _subnet(subnet: model.Subnet, ip: model.FixedIP) -> Subnet:
    kind = f"ipv{subnet['version']}"
    if subnet.get_meta("ipv6_address_mode"):
        kind += f"_{subnet.get_meta('ipv6_address_mode')}"
    elif subnet.get_meta("dhcp_server") or subnet.get_meta("enable_dhcp"):
        kind += "_dhcp"
    gateway = subnet["gateway"]
    return Subnet(
        type=kind,
        cidr=subnet["cidr"],
        ip_address=ip["address"],
        gateway=gateway["address"] if gateway else None,
        dns=tuple(server["address"] for server in subnet["dns"]),
        routes=tuple(
            Route(
                destination=route["cidr"], gateway=route["gateway"]["address"]
            )
            for route in subnet["routes"]
        ),
    )


def _devices(
    device_metadata: objects.InstanceDeviceMetadata | None,
) -> tuple[Device, ...]:
    devices = device_metadata.devices if device_metadata else ()
    return tuple(map(_device, devices))


def _device(device: objects.DeviceMetadata) -> Device:
    common: dict[str, Any] = {}
    if "bus" in device:
        common["bus"] = type(device.bus).__name__[: -len("DeviceBus")].lower()
        common["address"] = _given(device.bus, "address")
    if "tags" in device:
        common["tags"] = tuple(device.tags)
    if isinstance(device, objects.NetworkInterfaceMetadata):
        return NicDevice(
            mac=device.mac,
            vlan=_given(device, "vlan"),
            vf_trusted=_given(device, "vf_trusted") or False,
            **common,
        )
    if isinstance(device, objects.DiskMetadata):
        return DiskDevice(
            serial=_given(device, "serial"),
            path=_given(device, "path"),
            **common,
        )
    return ShareDevice(share_id=device.share_id, tag=device.tag, **common)


def _given(value: Any, name: str) -> Any:
    """Return a field of a nova object, None if it was never set."""
    return getattr(value, name) if name in value else None
