"""The instance that is measured: as a request, and as nova has it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

import oracle
from nova import objects
from nova.virt import netutils

from bench import ROOT
from cfgdrive_virt import (
    ConfigDriveRequest,
    DiskDevice,
    NicDevice,
)
from cfgdrive_virt.adapters.cli import instance_file
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model.request import Device
from cfgdrive_virt.model.tree import MetadataTree


@dataclasses.dataclass(frozen=True, slots=True)
class Instance:
    """An instance, and the files that all its drives hold."""

    request: ConfigDriveRequest
    tree: MetadataTree

    @property
    def uuid(self) -> str:
        """The instance's UUID."""
        return self.request.uuid

    @property
    def network_data(self) -> Any:
        """What our drive says of the network."""
        return json.loads(
            self.tree.files["openstack/latest/network_data.json"]
        )

    @property
    def vendor_data(self) -> Any:
        """What our drive holds for each provider of vendor data."""
        return json.loads(
            self.tree.files["openstack/latest/vendor_data2.json"]
        )


def sample() -> ConfigDriveRequest:
    """Return the sample instance's request."""
    path = ROOT / "etc" / "instance.sample.yaml"
    return instance_file.load(path.read_bytes(), path.name)


def instance_of(request: ConfigDriveRequest) -> Instance:
    """Return the instance of a request, with the versions that nova writes."""
    tree = build_tree(
        request,
        random_seed=os.urandom(512),
        skip_versions=oracle.CONF.api.config_drive_skip_versions.split(),
    )
    return Instance(request, tree)


def as_spawned(instance: Instance) -> oracle.Spawn:
    """Return the instance as nova spawns it."""
    request = instance.request
    vendor_data = instance.vendor_data
    key = request.keypairs[0]
    return oracle.Spawn(
        instance={
            "uuid": request.uuid,
            "display_name": request.name,
            "hostname": request.hostname,
            "project_id": request.project_id,
            "availability_zone": request.availability_zone,
            "metadata": dict(request.metadata),
            "user_data": base64.b64encode(request.user_data or b"").decode(),
            "key_name": key.name,
            "key_data": key.public_key,
            "keypairs": objects.KeyPairList(
                objects=[
                    objects.KeyPair(
                        name=key.name, type=key.type, public_key=key.public_key
                    )
                ]
            ),
            "device_metadata": objects.InstanceDeviceMetadata(
                devices=list(map(_nova_device, request.devices))
            ),
        },
        files=tuple(
            (file.path, file.content) for file in request.injected_files
        ),
        admin_pass=request.admin_pass,
        security_groups=request.security_groups,
        api={"vendordata_providers": ["StaticJSON", "DynamicJSON"]},
        static=vendor_data.pop("static"),
        dynamic=vendor_data,
    )


@contextlib.contextmanager
def network_known(instance: Instance) -> Iterator[None]:
    """Make nova describe the network as our drive does, for a while.

    Nova's own data model has no bonds.
    """
    with mock.patch.object(
        netutils, "get_network_metadata", return_value=instance.network_data
    ):
        yield


def _nova_device(device: Device) -> objects.DeviceMetadata:
    if isinstance(device, NicDevice):
        return objects.NetworkInterfaceMetadata(
            mac=device.mac,
            tags=list(device.tags),
            vlan=device.vlan,
            vf_trusted=device.vf_trusted,
        )
    if isinstance(device, DiskDevice):
        return objects.DiskMetadata(
            serial=device.serial, tags=list(device.tags)
        )
    return objects.ShareMetadata(share_id=device.share_id, tag=device.tag)
