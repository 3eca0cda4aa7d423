"""What a drive that is there says of what a request leaves open.

A service knows some things only when it makes an instance: the password and
the injected files, the seed, the addresses that libvirt gave its devices.
What a drive says may have been written by its guest: it is taken only if a
request could have said so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from cfgdrive_virt.exception import InvalidRequest
from cfgdrive_virt.metadata.openstack.check import random_seed
from cfgdrive_virt.model.request import (
    ConfigDriveRequest,
    Device,
    InjectedFile,
    NicDevice,
    RenderedRequest,
    Request,
    ShareDevice,
)
from cfgdrive_virt.model.tree import MetadataTree

_META_DATA = "openstack/latest/meta_data.json"
_VENDOR_DATA2 = "openstack/latest/vendor_data2.json"

#: Bytes of either that are looked into; ours have some thousands.
_MOST_BYTES = 4 * 1024 * 1024

_Told = Mapping[str, Any]
_Known = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Recalled:
    """What only an instance's drive still says.

    :param vendor_data2: target to JSON
    """

    admin_pass: str | None = dataclasses.field(default=None, repr=False)
    injected_files: tuple[InjectedFile, ...] = ()
    vendor_data2: Mapping[str, Any] = dataclasses.field(
        default_factory=dict, repr=False
    )


def recalled(uuid: str, tree: MetadataTree) -> Recalled:
    """Return what a drive says of what is known only once."""
    anybody = ConfigDriveRequest(uuid=uuid, name=uuid, hostname="unknown")
    told = _completed(anybody, tree)
    return Recalled(
        told.admin_pass, told.injected_files, _object(tree, _VENDOR_DATA2)
    )


def completed(request: Request, tree: MetadataTree) -> Request:
    """Return a request with what it leaves open as a drive says it.

    That is random_seed, admin_pass and injected_files, and bus and address of
    devices.  A rendered one leaves nothing open.
    """
    if isinstance(request, RenderedRequest):
        return request
    return _completed(request, tree)


def _completed(
    request: ConfigDriveRequest, tree: MetadataTree
) -> ConfigDriveRequest:
    document = _object(tree, _META_DATA)
    for known in (_seed, _password, _files, _devices):
        # What no request could say stays open.
        with contextlib.suppress(InvalidRequest):
            request = dataclasses.replace(
                request, **known(request, document, tree)
            )
    return request


def _object(tree: MetadataTree, path: str) -> Mapping[str, Any]:
    """Return a JSON object; an empty one where there is none."""
    try:
        document = json.loads(tree.files.get(path, b"")[:_MOST_BYTES])
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, Mapping) else {}


def _seed(request: ConfigDriveRequest, _: Any, tree: MetadataTree) -> _Known:
    return {} if request.random_seed else {"random_seed": random_seed(tree)}


def _password(request: ConfigDriveRequest, document: _Told, _: Any) -> _Known:
    if request.admin_pass is not None:
        return {}
    return {"admin_pass": document.get("admin_pass")}


def _files(
    request: ConfigDriveRequest, document: _Told, tree: MetadataTree
) -> _Known:
    told = document.get("files")
    if request.injected_files or not isinstance(told, list):
        return {}
    found = {}
    for entry in told:
        path = entry.get("content_path") if isinstance(entry, dict) else None
        content = tree.files.get(f"openstack{path}")
        # As it is written, each once: else a small drive could make a large.
        if (
            content is None
            or path in found
            or not re.fullmatch(r"/content/[0-9]{4}", str(path))
        ):
            return {}
        found[path] = InjectedFile(path=entry.get("path"), content=content)
    return {"injected_files": list(found.values())}


def _devices(request: ConfigDriveRequest, document: _Told, _: Any) -> _Known:
    told = document.get("devices")
    if not isinstance(told, list):
        return {}
    known = {_key(device): device for device in told}
    return {"devices": [_located(one, known) for one in request.devices]}


def _key(told: Any) -> tuple[str, str] | None:
    """Return what a device on a drive is found by."""
    if isinstance(told, dict):
        for name in ("mac", "serial", "share_id"):
            if isinstance(told.get(name), str):
                return name, told[name]
    return None


def _located(device: Device, known: Mapping[Any, Any]) -> Device:
    if isinstance(device, NicDevice):
        told = known.get(("mac", device.mac), {})
    elif isinstance(device, ShareDevice):
        told = known.get(("share_id", device.share_id), {})
    elif device.serial is not None:
        told = known.get(("serial", device.serial), {})
    else:
        return device
    if device.bus not in (None, told.get("bus")):
        return device
    found = {
        name: told[name]
        for name in ("bus", "address")
        if getattr(device, name) is None and told.get(name, "none") != "none"
    }
    return dataclasses.replace(device, **found)
