"""A drive's tree becomes what a terminal may show.

Secrets are masked, unless the user asks for them: the layout says which files
and keys hold any.  A guest may have written the tree: what is shown of it is
limited, and what is left out is described.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from cfgdrive_virt.metadata import json_file, layout_in
from cfgdrive_virt.metadata.compare import ABSENT, Difference
from cfgdrive_virt.metadata.layout import Layout
from cfgdrive_virt.model.drive import StoredDrive
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.readers import Loss

MASK = "<hidden>"
#: Bytes of a file whose content is shown.  User data has at most 49,151.
_MAX_FILE = 64 * 1024
#: Characters that are shown of all files together, and that each file counts
#: for at least: a drive has some 60 files.
_MAX_SHOWN, _MIN_SHOWN = 512 * 1024, 2048
#: Characters of a value that differs, as JSON, or of a loss, and of its key.
_MAX_VALUE, _MAX_KEY = 1000, 200


def describe(
    tree: MetadataTree, *, show_secrets: bool
) -> dict[str, dict[str, Any]]:
    """Return size, digest and content of every file, ready for JSON.

    A file has ``json`` if it is JSON, ``text`` if it is UTF-8, or neither.
    It has ``left_out``, with the reason, instead of a content that is too
    large, or would be too much with those of others.
    """
    layout = layout_in(tree.files)
    left = _MAX_SHOWN
    contents: dict[str, dict[str, Any]] = {}
    # The newest version first: if there is too much, others are left out.
    for path in sorted(
        tree.files, key=lambda path: not layout.is_newest(path)
    ):
        if left <= 0:
            rest = f"all contents have more than {_MAX_SHOWN:,} characters"
            contents[path] = {"left_out": rest}
            continue
        content = _content(layout, tree, path, show_secrets=show_secrets)
        contents[path] = content
        if content != {"text": MASK}:
            size = len(json.dumps(content, indent=2))
            left -= max(size, _MIN_SHOWN)
    return {
        path: {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **contents[path],
        }
        for path, content in tree.files.items()
    }


def difference(found: Difference, *, show_secrets: bool) -> dict[str, Any]:
    """Return a difference, ready for JSON, without a side that is absent."""
    path = found.path
    layout = layout_in([path])
    # Any part of a key such as meta.db_password may be secret.
    parts = re.split(r"\[\d+\]|\.", found.key)
    hidden = layout.is_secret(path) or any(
        layout.is_secret(path, part) for part in parts
    )
    sides = {"expected": found.expected, "found": found.found}
    return {
        "path": path,
        "key": _cut(found.key),
        **{
            name: f"({len(value):,} bytes)"
            if isinstance(value, bytes)
            else _short(
                value
                if show_secrets
                else _masked(layout, path, value, whole=hidden)
            )
            for name, value in sides.items()
            if value is not ABSENT
        },
    }


def shortened(loss: Loss) -> Loss:
    """Return a loss that has a key and an effect of a normal length."""
    effect = loss.effect
    if len(effect) > _MAX_VALUE:
        effect = f"{effect[:_MAX_VALUE]}..."
    return dataclasses.replace(loss, key=_cut(loss.key), effect=effect)


def stored(drive: StoredDrive) -> dict[str, Any]:
    """Return a drive in a store, ready for JSON.

    What is not known, as it can't be accessed, is None.
    """
    known = not drive.problem
    return {
        "location": str(drive.location),
        "instance": drive.location.uuid,
        "size": drive.size if known else None,
        "modified": _date(drive.modified) if known else None,
        "ours": drive.ours if known else None,
        "users": list(drive.users),
    }


def _date(seconds: float) -> str:
    """Return a date in ISO 8601; the seconds since 1970 if it has none."""
    try:
        moment = datetime.datetime.fromtimestamp(
            seconds, datetime.timezone.utc
        )
    except (ValueError, OverflowError, OSError):
        # Whoever owns a file may give it a date after the year 9999.
        return f"@{seconds:.0f}"
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _content(
    layout: Layout, tree: MetadataTree, path: str, *, show_secrets: bool
) -> dict[str, Any]:
    hidden = not show_secrets and layout.is_secret(path)
    is_json = path.endswith(".json")
    if hidden and not is_json:
        return {"text": MASK}
    if len(tree.files[path]) > _MAX_FILE:
        return {"left_out": f"more than {_MAX_FILE:,} bytes"}
    if not is_json:
        return _text(tree.files[path])
    if too_much := json_file.excess(tree):
        return {"left_out": too_much}
    try:
        document = json_file.document(tree, path)
    except ValueError:
        return {"error": "not valid JSON, or nested too deeply"}
    if not show_secrets:
        document = _masked(layout, path, document, whole=hidden)
    return {"json": document}


def _text(content: bytes) -> dict[str, Any]:
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {}


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_KEY else f"{text[:_MAX_KEY]}..."


def _short(value: Any) -> Any:
    """Return a JSON value, or only its size."""
    size = len(json.dumps(value))
    return value if size <= _MAX_VALUE else f"({size:,} bytes of JSON)"


def _masked(layout: Layout, path: str, value: Any, *, whole: bool) -> Any:
    """Return a JSON value with its secrets masked.

    :param whole: whether all of the value is secret
    """
    if isinstance(value, Mapping):
        return {
            key: _masked(
                layout,
                path,
                item,
                whole=whole or layout.is_secret(path, key),
            )
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_masked(layout, path, item, whole=whole) for item in value]
    return MASK if whole else value
