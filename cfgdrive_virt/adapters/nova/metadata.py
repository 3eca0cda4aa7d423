"""Turn a nova instance into a request; nova itself renders the files."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from nova.api.metadata import base as instance_metadata

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.metadata import json_file, layout_in
from cfgdrive_virt.metadata.layout import Recalled
from cfgdrive_virt.model.request import RenderedRequest
from cfgdrive_virt.model.tree import MetadataTree

LOG = logging.getLogger(__name__)

#: The image properties that influence a drive.
_PROPERTIES = (
    "hw_architecture",
    "hw_cdrom_bus",
    "hw_disk_bus",
    "hw_machine_type",
    "img_config_drive",
    "os_distro",
)

#: The key in vendor_data2.json whose value comes from a file on the host
#: instead of from a vendor data service.
_STATIC = "static"


def request_of(
    instance: Any,
    image_meta: Any = None,
    files: Mapping[str, bytes] | None = None,
) -> RenderedRequest:
    """Return the request for an instance's drive.

    :param image_meta: default: the instance's own
    :param files: without them the request can only be planned
    """
    properties = (image_meta or instance.image_meta).properties
    found = {name: properties.get(name) for name in _PROPERTIES}
    return RenderedRequest(
        uuid=instance.uuid,
        files=files or {},
        image_properties={
            name: str(value)
            for name, value in found.items()
            if value is not None
        },
        config_drive=bool(instance.config_drive),
        launched=instance.launched_at is not None,
    )


def rendered(
    instance: Any,
    network_info: Any,
    *,
    injected_files: Iterable[tuple[str, bytes]] | None,
    admin_pass: str | None,
    known: Recalled,
) -> RenderedRequest:
    """Return the request, with the files that nova's own driver would write.

    :param known: values that nova has only when it creates an instance, as
        read from the existing drive.  They are left out if they leave no room
        for the others, or readers would refuse them: a guest may have written
        them, and must not keep its host from a new drive
    """
    arguments = (instance, network_info, injected_files, admin_pass)
    files = _files(*arguments, known)
    if known != Recalled() and not _fits(files):
        LOG.warning(
            "What only the config drive of instance %s says is not taken"
            " over: it leaves no room for what nova says, or readers would"
            " refuse it",
            instance.uuid,
        )
        files = _files(*arguments, Recalled())
    return request_of(instance, files=files)


def _fits(files: Mapping[str, bytes]) -> bool:
    try:
        tree = MetadataTree(files)
    except ImageError:
        return False
    return not json_file.excess(tree) and not layout_in(files).refused(tree)


def _files(
    instance: Any,
    network_info: Any,
    injected_files: Iterable[tuple[str, bytes]] | None,
    admin_pass: str | None,
    known: Recalled,
) -> dict[str, bytes]:
    if not injected_files:
        injected_files = [
            (file.path, file.content) for file in known.injected_files
        ]
    admin_pass = admin_pass or known.admin_pass
    instance_md = instance_metadata.InstanceMetadata(
        instance,
        content=injected_files,
        extra_md={"admin_pass": admin_pass} if admin_pass else {},
        network_info=network_info,
    )
    files = {
        path: data.encode() if isinstance(data, str) else data
        for path, data in instance_md.metadata_for_config_drive()
    }
    return _with_vendor_data(files, known)


def _with_vendor_data(
    files: dict[str, bytes], known: Recalled
) -> dict[str, bytes]:
    """Keep the old answer of a vendor data service that gives none now.

    nova writes an empty answer for a service that fails, unless
    vendordata_dynamic_failure_fatal is set.
    """
    if not known.vendor_data2:
        return files
    for path, data in files.items():
        if path.endswith("/vendor_data2.json"):
            document = json.loads(data)
            kept = {
                target: known.vendor_data2[target]
                for target, answer in document.items()
                if target != _STATIC
                and not answer
                and known.vendor_data2.get(target)
            }
            if kept:
                files[path] = json.dumps(document | kept).encode()
    return files
