"""The ``ec2/`` tree: the files of EC2's metadata service.

Older releases of Afterburn require it. ``[api] config_drive_skip_versions``
leaves versions out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.metadata.openstack import public_keys
from cfgdrive_virt.model.network import NetworkInfo
from cfgdrive_virt.model.request import ConfigDriveRequest

#: Oldest first. "1.0" sorts before the dates, so the newer of two is greater.
VERSIONS = (
    "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10",
    "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04",
)  # fmt: skip

#: EC2's own names for the first devices, if the request has none.
_BLOCK_DEVICES = {
    "ami": "sda1", "ephemeral0": "sda2", "root": "/dev/sda1", "swap": "sda3",
}  # fmt: skip


def files(
    request: ConfigDriveRequest,
    hostname: str,
    skip_versions: Collection[str],
) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file below ``ec2/``."""
    for directory in (*VERSIONS, "latest"):
        if directory in skip_versions:
            continue
        version = VERSIONS[-1] if directory == "latest" else directory
        meta_data = _meta_data(request, hostname, version)
        yield f"ec2/{directory}/meta-data.json", json_file.encode(meta_data)
        if request.user_data is not None:
            yield f"ec2/{directory}/user-data", request.user_data


def _meta_data(
    request: ConfigDriveRequest, hostname: str, version: str
) -> dict[str, Any]:
    ids = request.ec2
    short = request.uuid[:8]
    meta_data: dict[str, Any] = {
        "ami-id": ids.ami_id or "ami-00000000",
        "ami-launch-index": request.launch_index,
        # As in nova: there is no manifest, but readers require the key.
        "ami-manifest-path": "FIXME",
        "instance-id": ids.instance_id or f"i-{short}",
        "hostname": hostname,
        "local-ipv4": _first_ipv4(request),
        "reservation-id": ids.reservation_id or f"r-{short}",
        "security-groups": request.security_groups,
    }
    if public := public_keys.of(request):
        meta_data["public-keys"] = {
            str(number): {"openssh-key": key}
            for number, key in enumerate(public.values())
        }
    if version >= "2007-01-19":
        floating_ips = request.network.floating_ips if request.network else ()
        meta_data["local-hostname"] = hostname
        meta_data["public-hostname"] = hostname
        meta_data["public-ipv4"] = floating_ips[0] if floating_ips else ""
    if version >= "2007-08-29":
        meta_data["instance-type"] = request.flavor
    if version >= "2007-12-15":
        meta_data["block-device-mapping"] = (
            request.block_device_mapping or _BLOCK_DEVICES
        )
        if ids.kernel_id:
            meta_data["kernel-id"] = ids.kernel_id
        if ids.ramdisk_id:
            meta_data["ramdisk-id"] = ids.ramdisk_id
    if version >= "2008-02-01":
        meta_data["placement"] = {
            "availability-zone": request.availability_zone
        }
    if version >= "2008-09-01":
        meta_data["instance-action"] = "none"
    return meta_data


def _first_ipv4(request: ConfigDriveRequest) -> str | None:
    network = request.network or NetworkInfo()
    for _, link in network.links():
        for subnet in link.subnets:
            if subnet.version == 4 and subnet.ip_address is not None:
                return subnet.ip_address
    return None
