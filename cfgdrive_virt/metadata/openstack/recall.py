"""What an existing drive says of the fields that a request omits.

A service knows some things only when it makes an instance: the password and
the injected files, the seed, the addresses that libvirt gave its devices.
The guest may have written what the drive says: it is taken only if a request
could hold it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cfgdrive_virt.exception import InvalidRequest, Problem
from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.metadata.layout import Recalled
from cfgdrive_virt.metadata.openstack.check import META_DATA, random_seed
from cfgdrive_virt.model.request import (
    ConfigDriveRequest,
    Device,
    InjectedFile,
    NicDevice,
    ShareDevice,
)
from cfgdrive_virt.model.tree import MetadataTree

_VENDOR_DATA2 = "openstack/latest/vendor_data2.json"

#: A guest may have written what is taken over, and each reboot would give
#: it a larger drive: what it says is bounded by 200 times nova's default
#: quotas, which are 5 injected files of 10,240 bytes, and 255 for a path.
#: Operators raise them, but not so far: the API accepts requests of 114,688
#: bytes by default, [oslo_middleware] max_request_body_size.
MAX_FILES = 200 * 5
MAX_CONTENT = MAX_FILES * 10_240
#: Bytes of all paths as a JSON file has them.
MAX_PATHS = MAX_FILES * 255
#: As json_file counts values, one for each path, and commas and colons in
#: them: what is taken over is in ten versions of a file, and together must
#: leave room below json_file.MAX_VALUES, or the drive could not be built.
_MAX_IN_PATHS = MAX_FILES * 5
#: Bytes as JSON; nova's API allows 255 characters.
_MAX_PASSWORD = 1024
#: Bytes as JSON of what vendor data services answered, normally some KiB,
#: and values in it.
_MAX_ANSWERS, _MAX_IN_ANSWERS = 256 * 1024, 30_000
#: libvirt's buses, and the addresses of devices on them.
_PLACE = re.compile(r"[0-9A-Za-z:._-]{1,64}")

_Document = Mapping[str, Any]
_Known = dict[str, Any]


def recall(uuid: str, tree: MetadataTree) -> Recalled:
    """Return what a service knows only when it makes an instance."""
    # It has the fields that any request omits.
    bare = ConfigDriveRequest(uuid=uuid, name=uuid, hostname="unknown")
    known = recover(bare, tree)
    answers = _object(tree, _VENDOR_DATA2)
    if not _is_short(answers):
        # What is static is the operator's, and a renderer has it.
        answers = {key: answers[key] for key in answers if key != "static"}
        answers = answers if _is_short(answers) else {}
    return Recalled(known.admin_pass, known.injected_files, answers)


def recover(
    request: ConfigDriveRequest, tree: MetadataTree
) -> ConfigDriveRequest:
    """Return a request, with what it omits taken from its drive.

    That is random_seed, admin_pass, injected_files, and the bus and address
    of devices.
    """
    document = _object(tree, META_DATA)
    found = []
    for known in (_seed, _password, _files, _devices):
        with contextlib.suppress(InvalidRequest):
            found.append(known(request, document, tree))
    try:
        # All at once: each new request checks all of its values.
        together = {name: v for one in found for name, v in one.items()}
        return dataclasses.replace(request, **together)
    except InvalidRequest:
        # A value that no request can hold is not taken.
        for one in found:
            with contextlib.suppress(InvalidRequest):
                request = dataclasses.replace(request, **one)
        return request


def check_injected(files: Sequence[InjectedFile]) -> None:
    """Refuse injected files that could not be recalled from their drive.

    :raises InvalidRequest: if they are too many, or too large
    """
    contents = sum(len(file.content) for file in files)
    paths = json_file.encode([file.path for file in files])
    for given, limit, what in (
        (len(files), MAX_FILES, "files"),
        (contents, MAX_CONTENT, "bytes of content in all"),
        (len(paths), MAX_PATHS, "bytes of paths"),
        (json_file.values_in(paths), _MAX_IN_PATHS, "commas in its paths"),
    ):
        if given > limit:
            rule = f"must have at most {limit:,} {what} (it has {given:,})"
            raise InvalidRequest([Problem("injected_files", "", rule)])


def _is_short(answers: Any) -> bool:
    encoded = json_file.encode(answers)
    return (
        len(encoded) <= _MAX_ANSWERS
        and json_file.values_in(encoded) <= _MAX_IN_ANSWERS
    )


def _object(tree: MetadataTree, path: str) -> _Document:
    """Return a JSON object; an empty one where there is none."""
    try:
        document = json_file.document(tree, path)
    except ValueError:
        return {}
    return document if isinstance(document, Mapping) else {}


def _seed(request: ConfigDriveRequest, _: Any, tree: MetadataTree) -> _Known:
    return {} if request.random_seed else {"random_seed": random_seed(tree)}


def _password(
    request: ConfigDriveRequest, document: _Document, _: Any
) -> _Known:
    found = document.get("admin_pass")
    if request.admin_pass is not None or not isinstance(found, str):
        return {}
    if len(json_file.encode(found)) > _MAX_PASSWORD:
        return {}
    return {"admin_pass": found}


def _files(
    request: ConfigDriveRequest, document: _Document, tree: MetadataTree
) -> _Known:
    entries = document.get("files")
    if request.injected_files or not isinstance(entries, tuple):
        return {}
    found: dict[str, InjectedFile] = {}
    size = 0
    for entry in entries[: MAX_FILES + 1]:
        path = (
            entry.get("content_path") if isinstance(entry, Mapping) else None
        )
        content = tree.files.get(f"openstack{path}")
        # As we write it, and each file once: otherwise a small drive could
        # make a large one.
        if (
            content is None
            or path in found
            or not re.fullmatch(r"/content/[0-9]{4}", str(path))
        ):
            return {}
        # Before it is copied.
        size += len(content)
        if size > MAX_CONTENT:
            return {}
        found[str(path)] = InjectedFile(
            path=entry.get("path"), content=content
        )
    files = list(found.values())
    check_injected(files)
    return {"injected_files": files}


def _devices(
    request: ConfigDriveRequest, document: _Document, _: Any
) -> _Known:
    entries = document.get("devices")
    if not isinstance(entries, tuple) or not request.devices:
        return {}
    known = {_key(entry): entry for entry in entries}
    return {"devices": [_located(one, known) for one in request.devices]}


def _key(entry: Any) -> tuple[str, str] | None:
    """Return what identifies a device on a drive."""
    if isinstance(entry, Mapping):
        for name in ("mac", "serial", "share_id"):
            if isinstance(entry.get(name), str):
                return name, entry[name]
    return None


def _located(device: Device, known: Mapping[Any, Any]) -> Device:
    if isinstance(device, NicDevice):
        entry = known.get(("mac", device.mac), {})
    elif isinstance(device, ShareDevice):
        entry = known.get(("share_id", device.share_id), {})
    elif device.serial is not None:
        entry = known.get(("serial", device.serial), {})
    else:
        return device
    if device.bus not in (None, entry.get("bus")):
        return device
    found = {
        name: entry[name]
        for name in ("bus", "address")
        if getattr(device, name) is None
        and entry.get(name, "none") != "none"
        and _PLACE.fullmatch(str(entry[name]))
    }
    return dataclasses.replace(device, **found) if found else device
