"""The ``openstack/`` tree: a directory for every version, and ``latest``.

Versions and keys are nova's (nova/api/metadata/base.py, release 34.0.0).
cloud-init reads the newest version that it knows; cloudbase-init and Ignition
read only ``latest``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.metadata.openstack import network_data, public_keys
from cfgdrive_virt.model.request import (
    ConfigDriveRequest,
    Device,
    DiskDevice,
    NicDevice,
)

FOLSOM = "2012-08-10"
GRIZZLY = "2013-04-04"
HAVANA = "2013-10-17"
LIBERTY = "2015-10-15"
NEWTON_ONE = "2016-06-30"
NEWTON_TWO = "2016-10-06"
OCATA = "2017-02-22"
ROCKY = "2018-08-27"
VICTORIA = "2020-10-14"
EPOXY = "2025-04-04"

#: Oldest first. They are dates, so the newer of two is greater.
VERSIONS = (
    FOLSOM, GRIZZLY, HAVANA, LIBERTY, NEWTON_ONE, NEWTON_TWO, OCATA, ROCKY,
    VICTORIA, EPOXY,
)  # fmt: skip


def files(
    request: ConfigDriveRequest,
    hostname: str,
    random_seed: bytes,
    vendor_data: Any,
    vendor_data2: Mapping[str, Any],
    *,
    one_address: bool,
) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file below ``openstack/``.

    There is no network_data.json if the request has no network: cloud-init
    takes one without links for a configuration without any network, and asks
    DHCP only if there is no file.

    :param one_address: as for :func:`network_data.document`
    """
    contents = [file.content for file in request.injected_files]
    if request.network_config is not None:
        contents.insert(0, request.network_config)
    for number, content in enumerate(contents):
        yield f"openstack/content/{number:04}", content
    vendor_data_json = json_file.encode(vendor_data)
    vendor_data2_json = json_file.encode(vendor_data2)
    network_data_json = None
    if request.network is not None:
        network_data_json = json_file.encode(
            network_data.document(request.network, one_address=one_address)
        )
    seed = base64.b64encode(random_seed).decode()
    meta_data: dict[str, Any] = {}
    meta_data_json = b""
    for directory in (*VERSIONS, "latest"):
        version = EPOXY if directory == "latest" else directory
        below = f"openstack/{directory}"
        before, meta_data = (
            meta_data,
            _meta_data(request, hostname, seed, version),
        )
        # Some versions differ from the one before, and some don't.
        if meta_data != before:
            meta_data_json = json_file.encode(meta_data)
        yield f"{below}/meta_data.json", meta_data_json
        if request.user_data is not None:
            yield f"{below}/user_data", request.user_data
        if version >= HAVANA:
            yield f"{below}/vendor_data.json", vendor_data_json
        if version >= LIBERTY and network_data_json is not None:
            yield f"{below}/network_data.json", network_data_json
        if version >= NEWTON_TWO:
            yield f"{below}/vendor_data2.json", vendor_data2_json


def _meta_data(
    request: ConfigDriveRequest,
    hostname: str,
    seed: str,
    version: str,
) -> dict[str, Any]:
    meta_data: dict[str, Any] = {
        "uuid": request.instance_id or request.uuid,
        "name": request.name,
        "hostname": hostname,
        "launch_index": request.launch_index,
        "availability_zone": request.availability_zone,
    }
    if request.metadata:
        meta_data["meta"] = request.metadata
    if request.admin_pass is not None:
        meta_data["admin_pass"] = request.admin_pass
    if request.keypairs:
        meta_data |= _keys(request)
    first = 0
    if request.network_config is not None:
        first = 1
        meta_data["network_config"] = {
            "name": "network_config",
            "content_path": "/content/0000",
        }
    if request.injected_files:
        meta_data["files"] = [
            {"path": file.path, "content_path": f"/content/{number:04}"}
            for number, file in enumerate(request.injected_files, first)
        ]
    if version >= GRIZZLY:
        meta_data["random_seed"] = seed
    if version >= LIBERTY:
        meta_data["project_id"] = request.project_id
    if version >= NEWTON_ONE:
        described = [_device(device, version) for device in request.devices]
        meta_data["devices"] = [found for found in described if found]
    if version >= VICTORIA:
        meta_data["dedicated_cpus"] = request.dedicated_cpus
    return meta_data


def _keys(request: ConfigDriveRequest) -> dict[str, Any]:
    public = public_keys.of(request)
    entries = [
        {
            "name": key.name,
            "type": key.type,
            "data": public.get(key.name, key.public_key),
        }
        for key in request.keypairs
    ]
    found: dict[str, Any] = {"keys": entries}
    if public:
        found["public_keys"] = public
    return found


def _device(device: Device, version: str) -> dict[str, Any] | None:
    """Return a device's entry in a version; None if the version has none."""
    entry: dict[str, Any] = {
        "bus": device.bus or "none",
        "address": device.address or "none",
    }
    if device.tags:
        entry["tags"] = device.tags
    if isinstance(device, NicDevice):
        entry |= {"type": "nic", "mac": device.mac}
        if version >= OCATA and device.vlan is not None:
            entry["vlan"] = device.vlan
        if version >= ROCKY:
            entry["vf_trusted"] = device.vf_trusted
        # A version lists an interface only if it has more than its MAC.
        if not entry.keys() & {"tags", "vlan", "vf_trusted"}:
            return None
    elif isinstance(device, DiskDevice):
        entry |= {"type": "disk", "serial": device.serial}
        if device.path is not None:
            entry["path"] = device.path
    elif version >= EPOXY:
        entry |= {
            "type": "share",
            "share_id": device.share_id,
            "tag": device.tag,
        }
    else:
        return None
    return entry
