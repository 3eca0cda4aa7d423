"""A drive's tree becomes what a terminal may show.

Secrets are masked, unless the user asks for them: the layout says which files
and keys hold any.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from cfgdrive_virt.metadata import json_file, layout_in
from cfgdrive_virt.metadata.compare import ABSENT, Difference
from cfgdrive_virt.metadata.layout import Layout
from cfgdrive_virt.model.drive import StoredDrive
from cfgdrive_virt.model.tree import MetadataTree

MASK = "<hidden>"


def describe(
    tree: MetadataTree, *, show_secrets: bool
) -> dict[str, dict[str, Any]]:
    """Return size, digest and content of every file, ready for JSON.

    A file has ``json`` if it is JSON, ``text`` if it is UTF-8, or neither.
    """
    layout = layout_in(tree.files)
    return {
        path: {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **_content(layout, path, content, show_secrets=show_secrets),
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
        "key": found.key,
        **{
            name: f"({len(value):,} bytes)"
            if isinstance(value, bytes)
            else value
            if show_secrets
            else _masked(layout, path, value, whole=hidden)
            for name, value in sides.items()
            if value is not ABSENT
        },
    }


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
    layout: Layout, path: str, content: bytes, *, show_secrets: bool
) -> dict[str, Any]:
    hidden = not show_secrets and layout.is_secret(path)
    if path.endswith(".json"):
        try:
            document = json_file.load_frozen(content, max_bytes=None)
        except ValueError:
            return {"error": "not valid JSON, or nested too deeply"}
        if not show_secrets:
            document = _masked(layout, path, document, whole=hidden)
        return {"json": document}
    if hidden:
        return {"text": MASK}
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {}


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
