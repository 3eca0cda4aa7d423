"""A drive's tree becomes what may be shown of it, or files in a directory.

Secrets are masked unless asked for: passwords, keys, seeds, user data and
injected files wholly, and every value of vendor data (tenants' agents get
their credentials there).
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.metadata.openstack.check import ABSENT, Difference
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.drive import StoredDrive
from cfgdrive_virt.model.tree import MetadataTree

MASK = "<hidden>"

#: Keys whose values are secret, whatever the case of their letters.
_SECRET = re.compile(
    r"(?i)pass|secret|token|^data$|^keys$|^openssh-key$|^public_keys$|^random_seed$"
)


def describe(
    tree: MetadataTree, *, show_secrets: bool
) -> dict[str, dict[str, Any]]:
    """Return size, digest and content of every file, ready for JSON.

    A file has ``json`` if it is JSON, ``text`` if it is UTF-8, or neither.
    """
    return {
        path: {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **_content(path, content, show_secrets=show_secrets),
        }
        for path, content in tree.files.items()
    }


def difference(found: Difference, *, show_secrets: bool) -> dict[str, Any]:
    """Return a difference, ready for JSON; a side without it is left out."""
    name = found.path.rpartition("/")[2]
    hidden = not show_secrets and (
        name.startswith("vendor_data")
        # Of a key such as meta.db_password any part may tell.
        or any(map(_SECRET.search, re.split(r"\[\d+\]|\.", found.key)))
    )
    sides = {"expected": found.expected, "found": found.found}
    return {
        "path": found.path,
        "key": found.key,
        **{
            name: f"({len(value):,} bytes)"
            if isinstance(value, bytes)
            else value
            if show_secrets
            else _masked(value, whole=hidden)
            for name, value in sides.items()
            if value is not ABSENT
        },
    }


def stored(drive: StoredDrive) -> dict[str, Any]:
    """Return what is known of a drive in a store, ready for JSON."""
    moment = datetime.datetime.fromtimestamp(
        drive.modified, datetime.timezone.utc
    )
    return {
        "location": str(drive.location),
        "instance": drive.location.uuid,
        "size": drive.size,
        "modified": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "ours": drive.ours,
        "users": list(drive.users),
    }


def extract(tree: MetadataTree, directory: Path) -> None:
    """Write a tree to a new directory, for its owner's eyes only.

    :raises StoreError: if the directory is there already, or can't be
        written; nothing is left behind
    """
    if os.path.lexists(directory):
        raise StoreError(f"{directory} is there already; name a new one")
    staging = None
    try:
        staging = Path(
            tempfile.mkdtemp(
                prefix=f".{directory.name}.", dir=directory.parent
            )
        )
        for path, content in tree.files.items():
            target = staging / path
            for parent in reversed(target.relative_to(staging).parents):
                (staging / parent).mkdir(mode=0o700, exist_ok=True)
            target.touch(mode=0o600)
            target.write_bytes(content)
        staging.rename(directory)
    except BaseException as error:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise StoreError(
            f"can't extract to {directory}: {error.strerror}"
        ) from error


def _content(
    path: str, content: bytes, *, show_secrets: bool
) -> dict[str, Any]:
    if path.endswith(".json"):
        try:
            document = rules.json_value(json.loads(content))
        except (ValueError, RecursionError):
            return {"error": "not valid JSON, or nested too deeply"}
        if not show_secrets:
            whole = path.rpartition("/")[2].startswith("vendor_data")
            document = _masked(document, whole=whole)
        return {"json": document}
    if not show_secrets:
        return {"text": MASK}
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {}


def _masked(value: Any, *, whole: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _masked(item, whole=whole or bool(_SECRET.search(key)))
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_masked(item, whole=whole) for item in value]
    return MASK if whole else value
