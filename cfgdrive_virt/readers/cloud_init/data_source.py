"""The data source ConfigDrive: which files it refuses the drive for."""

from __future__ import annotations

import base64
import codecs
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.model import json_text
from cfgdrive_virt.readers.cloud_init.common import directory
from cfgdrive_virt.readers.reader import Content, Demand, Loss

_IGNORED = "cloud-init does not use the drive"
#: Python's own limit.
_MAX_DIGITS = 4300
_ROOTS = {
    "meta_data.json": (dict,),
    "vendor_data.json": (dict, list, str),
    "vendor_data2.json": (dict, list, str),
    "network_data.json": (dict, list, str),
}
_EC2 = "ec2/latest/meta-data.json"


def _no_meta_data(content: Content) -> Iterator[Loss]:
    parent = directory(content)
    if not content.has(f"{parent}/meta_data.json"):
        yield _refused(f"{parent}/meta_data.json", "", "it is missing")


def _no_json(content: Content) -> Iterator[Loss]:
    parent = directory(content)
    roots = {f"{parent}/{name}": root for name, root in _ROOTS.items()}
    for path, types in (roots | {_EC2: (dict,)}).items():
        if problem := _problem(content, path, types):
            yield _refused(path, "", problem)


def _problem(content: Content, path: str, types: tuple[type[Any], ...]) -> str:
    raw = content.tree.files.get(path)
    if raw is None or json_file.excess(content.tree):
        return ""
    try:
        # json.loads would detect UTF-16, or a byte order mark, in bytes.
        value = json_text.load(raw.decode(), max_digits=_MAX_DIGITS)
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except ValueError:
        bom = raw.startswith(codecs.BOM_UTF8)
        return "it has a byte order mark" if bom else "it is not valid JSON"
    return "" if isinstance(value, types) else "its value has the wrong type"


def _bad_values(content: Content) -> Iterator[Loss]:
    path, found = _meta_data(content)
    if "uuid" not in found:
        yield _refused(path, "uuid", "it is missing")
    if "random_seed" in found and not _is_base64(found["random_seed"]):
        yield _refused(path, "random_seed", "it is not base64")
    if not isinstance(found.get("meta", {}), Mapping):
        yield _refused(path, "meta", "it is not an object")


def _bad_files(content: Content) -> Iterator[Loss]:
    path, found = _meta_data(content)
    files = found.get("files", ())
    if not isinstance(files, tuple):
        yield _refused(path, "files", "it is not a list")
        files = ()
    for number, entry in enumerate(files):
        key = f"files[{number}]"
        if not isinstance(entry, Mapping):
            yield _refused(path, key, "it is not an object")
        elif "path" in entry and _target(content, entry) is None:
            yield _refused(path, f"{key}.content_path", "it names no file")
        elif isinstance(entry.get("path"), (Mapping, tuple)):
            yield _refused(path, f"{key}.path", "it is not text")
    if template := found.get("network_config"):
        raw = _target(content, template)
        key = "network_config.content_path"
        if raw is None:
            yield _refused(path, key, "it names no file")
        elif not _is_utf8(raw):
            yield _refused(path, key, "the file is not UTF-8")


def _meta_data(content: Content) -> tuple[str, Mapping[str, Any]]:
    """Return path and value of meta_data.json; uuid only if that is none."""
    path = f"{directory(content)}/meta_data.json"
    found = content.document(path)
    return path, found if isinstance(found, Mapping) else {"uuid": ""}


def _refused(path: str, key: str, problem: str) -> Loss:
    return Loss(path, key, f"{problem}; {_IGNORED}", refused=True)


def _is_base64(value: Any) -> bool:
    try:
        base64.b64decode(value)
    except (TypeError, ValueError):
        return False
    return True


def _target(content: Content, entry: Any) -> bytes | None:
    """Return the file that an entry's content_path names."""
    path = entry.get("content_path") if isinstance(entry, Mapping) else None
    if not isinstance(path, str) or not path.strip("/"):
        return None
    joined = posixpath.normpath(f"openstack/{path.lstrip('/')}")
    return content.tree.files.get(joined)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _disabled(content: Content) -> Iterator[Loss]:
    path, found = _meta_data(content)
    meta = found.get("meta")
    if isinstance(meta, Mapping) and meta.get("dsmode") == "disabled":
        yield _refused(path, "meta.dsmode", "it is disabled")


def _no_vendor_data(content: Content) -> Iterator[Loss]:
    for name in ("vendor_data.json", "vendor_data2.json"):
        path = f"{directory(content)}/{name}"
        found = content.document(path)
        value = found.get("cloud-init") if isinstance(found, Mapping) else None
        if value and not isinstance(value, (str, tuple)):
            yield Loss(
                path,
                "cloud-init",
                "it is neither text nor a list, so cloud-init ignores it",
            )


DEMANDS = (
    Demand(
        "the newest version directory that cloud-init knows has"
        " meta_data.json",
        "cloudinit/sources/helpers/openstack.py, _find_working_version,"
        " read_v2",
        _no_meta_data,
    ),
    Demand(
        "meta_data.json and the EC2 metadata are objects, vendor data and"
        " network data objects, lists or text, in JSON of UTF-8 without a"
        " byte order mark",
        "cloudinit/util.py, load_json; sources/helpers/openstack.py, read_v2,"
        " _read_ec2_metadata",
        _no_json,
    ),
    Demand(
        "meta_data.json has uuid; random_seed is base64, and meta an object",
        "cloudinit/sources/helpers/openstack.py, read_v2",
        _bad_values,
    ),
    Demand(
        "files and network_config in meta_data.json name files of the drive",
        "cloudinit/sources/helpers/openstack.py, read_v2, _read_content_path",
        _bad_files,
    ),
    Demand(
        "meta.dsmode is not disabled",
        "cloudinit/sources/DataSourceConfigDrive.py, _get_data",
        _disabled,
    ),
    Demand(
        "cloud-init in vendor data is text or a list",
        "cloudinit/sources/__init__.py, convert_vendordata",
        _no_vendor_data,
    ),
)
