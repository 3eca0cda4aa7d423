"""A request becomes a tree, for every kind of reader of OpenStack's layout.

Pure: the same arguments give the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from cfgdrive_virt.metadata.openstack import ec2, meta_data, recall
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.tree import MetadataTree


def build_tree(
    request: ConfigDriveRequest,
    *,
    random_seed: bytes,
    vendor_data: Any = None,
    vendor_data_static: bool = True,
    dhcp_domain: str = "",
    skip_versions: Collection[str] = (),
    one_address: bool = False,
) -> MetadataTree:
    """Return all files of a request's drive.

    The arguments are the fields of :class:`metadata.layout.Additions`.  All
    versions hold the same random_seed, so that what they share is stored
    once.

    :raises InvalidRequest: if the injected files are too many, or too large
    """
    recall.check_injected(request.injected_files)
    hostname = request.hostname
    if dhcp_domain:
        hostname = f"{hostname}.{dhcp_domain}"
    if request.vendor_data is not None:
        vendor_data = request.vendor_data
    static = {} if vendor_data is None else vendor_data
    vendor_data2 = {"static": static} if vendor_data_static else {}
    vendor_data2.update(
        (target, value)
        for target, value in request.vendor_data2.items()
        if target not in vendor_data2
    )
    files = dict(ec2.files(request, hostname, skip_versions))
    files.update(
        meta_data.files(
            request,
            hostname,
            random_seed,
            static,
            vendor_data2,
            one_address=one_address,
        )
    )
    return MetadataTree(files)
