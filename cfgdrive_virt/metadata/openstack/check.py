"""Do readers accept a drive, and which differences matter?

What is checked is what cloud-init's DataSourceConfigDrive and its peers
refuse a drive for.  What only some of them lose is in ``readers``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.exception import Problem
from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.metadata.compare import Difference
from cfgdrive_virt.metadata.openstack.meta_data import VERSIONS
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show

#: Cloudbase-init and Ignition read no other version.
META_DATA = "openstack/latest/meta_data.json"

#: What cloud-init's read_v2 takes an object in, and what anything but a
#: number, a boolean or null.
_OBJECTS = ("meta_data.json", "meta-data.json", "network_data.json")
_VENDOR_DATA = ("vendor_data.json", "vendor_data2.json")

#: libvirt sets these at spawn, where the request leaves them open.
_UNKNOWN = "none"
_LEARNT = re.compile(r"devices\[[0-9]+\]\.(bus|address)")


def problems(tree: MetadataTree) -> Iterator[Problem]:
    """Yield the reasons for which readers would refuse a drive."""
    # cloud-init looks into the newest version that it knows and finds, and
    # nowhere else: into each one, as its releases know others.
    found = {
        path.split("/")[1]
        for path in tree.files
        if path.startswith("openstack/")
    }
    for version in sorted({"latest", *found.intersection(VERSIONS)}):
        path = f"openstack/{version}/meta_data.json"
        if path not in tree.files:
            yield Problem(path, "", "must be there")
    checked: set[tuple[bytes, str]] = set()
    for path, content in tree.files.items():
        name = path.rpartition("/")[2]
        # Files that are equal have equal problems: of many, one is enough.
        if not name.endswith(".json") or (content, name) in checked:
            continue
        checked.add((content, name))
        try:
            document = json_file.document(tree, path)
        except ValueError as error:
            yield Problem(path, show(content, secret=True), str(error))
            continue
        if name in _OBJECTS and not isinstance(document, Mapping):
            yield Problem(path, "", "must be a JSON object")
        elif name in _VENDOR_DATA and not isinstance(
            document, (Mapping, tuple, str)
        ):
            rule = "must be a JSON object, a list or a string"
            yield Problem(path, "", rule)
        elif name == "meta_data.json":
            for problem in _meta_data_problems(document, tree):
                yield problem.below(path)


def is_learnt(difference: Difference) -> bool:
    """Tell whether the request omits a bus or address that the drive has."""
    learnt = _LEARNT.fullmatch(difference.key)
    return learnt is not None and difference.expected == _UNKNOWN


def key(difference: Difference) -> str | None:
    """Return the name of a difference, the same one in all versions.

    Such as ``meta_data.json meta.role``, or ``user_data``.  None for
    random_seed: nova renders another one each time, in each version.
    """
    if difference.key == "random_seed":
        return None
    top, _, path = difference.path.partition("/")
    version, _, name = path.partition("/")
    if version == "content":
        name = path
    if top == "ec2":
        name = f"ec2 {name}"
    return f"{name} {difference.key}" if difference.key else name


def random_seed(tree: MetadataTree) -> bytes | None:
    """Return the seed that a drive holds; None if it holds none."""
    try:
        document = json_file.document(tree, META_DATA)
    except ValueError:
        return None
    seed = (
        document.get("random_seed") if isinstance(document, Mapping) else None
    )
    return _decoded(seed)


def _meta_data_problems(
    document: Mapping[str, Any], tree: MetadataTree
) -> Iterator[Problem]:
    uuid = document.get("uuid")
    # cloud-init takes any value for the instance's name, such as a number.
    if uuid is None or uuid == "":
        yield Problem("uuid", show(uuid), "must be the instance's UUID")
    if "random_seed" in document and _decoded(document["random_seed"]) is None:
        yield Problem("random_seed", "", "must be valid base64")
    if not isinstance(document.get("meta", {}), Mapping):
        yield Problem("meta", "", "must be a JSON object")
    files = document.get("files", ())
    named = []
    if isinstance(files, tuple):
        named += [(f"files[{n}]", file) for n, file in enumerate(files)]
    else:
        yield Problem("files", "", "must be a list")
    if document.get("network_config"):
        named.append(("network_config", document["network_config"]))
    for name, entry in named:
        path = (
            entry.get("content_path") if isinstance(entry, Mapping) else None
        )
        if f"openstack{path}" not in tree.files:
            rule = "must name a file below openstack"
            yield Problem(f"{name}.content_path", show(path), rule)


def _decoded(text: Any) -> bytes | None:
    try:
        # As readers do it: line ends between the digits are skipped.
        return base64.b64decode(text)
    except (binascii.Error, TypeError, ValueError):
        return None
