"""Is a tree a drive that readers take, and does it say the same as another?

What is checked is what cloud-init's DataSourceConfigDrive and its peers
refuse a drive for.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import enum
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.exception import Problem
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show


class Absent(enum.Enum):
    """What is on one side only."""

    ABSENT = "nothing"


ABSENT = Absent.ABSENT

#: Of a JSON file that is looked into.
_MOST_BYTES = 4 * 1024 * 1024

#: Cloudbase-init and Ignition know no other version.
_NEEDED = "openstack/latest/meta_data.json"

#: What a request leaves open here, libvirt told at spawn.
_UNKNOWN = "none"
_LEARNT = re.compile(r"devices\[[0-9]+\]\.(bus|address)")


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """A file, or a value in a JSON file, that two trees don't share.

    :param path: the file's
    :param key: the value's, such as ``meta.role``; empty for the whole file
    :param expected: bytes for a whole file; else what JSON can say
    """

    path: str
    key: str
    expected: Any = dataclasses.field(repr=False)
    found: Any = dataclasses.field(repr=False)


def problems(tree: MetadataTree) -> Iterator[Problem]:
    """Yield what readers would refuse a drive for."""
    if _NEEDED not in tree.files:
        yield Problem(_NEEDED, "", "must be there")
    for path, content in tree.files.items():
        if not path.endswith(".json"):
            continue
        document = _parsed(content)
        if document is ABSENT:
            yield Problem(path, show(content, secret=True), "must be JSON")
        elif path.endswith("/meta_data.json"):
            for problem in _meta_data_problems(document, tree):
                yield problem.below(path)


def differences(
    expected: MetadataTree, found: MetadataTree
) -> Iterator[Difference]:
    """Yield what two trees don't share."""
    for path in sorted({*expected.files, *found.files}):
        ours = expected.files.get(path, ABSENT)
        theirs = found.files.get(path, ABSENT)
        if ours == theirs:
            continue
        documents = ABSENT, ABSENT
        if (
            path.endswith(".json")
            and not isinstance(ours, Absent)
            and not isinstance(theirs, Absent)
            # A guest may have written it.
            and len(theirs) <= max(_MOST_BYTES, len(ours))
        ):
            documents = _parsed(ours), _parsed(theirs)
        if ABSENT in documents:
            yield Difference(path, "", ours, theirs)
            continue
        for key, one, other in _unlike("", *documents):
            if one != _UNKNOWN or not _LEARNT.fullmatch(key):
                yield Difference(path, key, one, other)


def random_seed(tree: MetadataTree) -> bytes | None:
    """Return the seed that a drive brings; None if it has none."""
    document = _parsed(tree.files.get(_NEEDED, b"")[:_MOST_BYTES])
    seed = (
        document.get("random_seed") if isinstance(document, Mapping) else None
    )
    return _decoded(seed)


def _meta_data_problems(
    document: Any, tree: MetadataTree
) -> Iterator[Problem]:
    if not isinstance(document, Mapping):
        yield Problem("", "", "must be a JSON object")
        return
    uuid = document.get("uuid")
    if not isinstance(uuid, str) or not uuid:
        yield Problem("uuid", show(uuid), "must be the instance's UUID")
    if "random_seed" in document and _decoded(document["random_seed"]) is None:
        yield Problem("random_seed", "", "must be base64")
    files = document.get("files", ())
    named = [("network_config", document.get("network_config"))]
    if isinstance(files, tuple):
        named += [(f"files[{n}]", file) for n, file in enumerate(files)]
    else:
        yield Problem("files", "", "must be a list")
    for key, entry in named:
        if entry is None:
            continue
        path = (
            entry.get("content_path") if isinstance(entry, Mapping) else None
        )
        if f"openstack{path}" not in tree.files:
            rule = "must name a file below openstack"
            yield Problem(f"{key}.content_path", show(path), rule)


def _decoded(text: Any) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        return None


def _parsed(content: Any) -> Any:
    try:
        return rules.json_value(json.loads(content))
    except (ValueError, RecursionError):
        return ABSENT


def _unlike(key: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other}):
            below = f"{key}.{name}" if key else name
            sides = one.get(name, ABSENT), other.get(name, ABSENT)
            yield from _unlike(below, *sides)
    elif isinstance(one, tuple) and isinstance(other, tuple):
        pairs = itertools.zip_longest(one, other, fillvalue=ABSENT)
        for number, sides in enumerate(pairs):
            yield from _unlike(f"{key}[{number}]", *sides)
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield key, one, other
