"""A drive's tree becomes what may be shown of it, or files in a directory.

Secrets are masked unless asked for: passwords, keys, seeds, user data and
injected files wholly, and every value of vendor data (tenants' agents get
their credentials there).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.model.tree import MetadataTree

MASK = "<hidden>"

_SECRET_KEYS = frozenset(
    {
        "admin_pass",
        "data",
        "keys",
        "openssh-key",
        "password",
        "public_keys",
        "random_seed",
    }
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
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.touch(mode=0o600)
            target.write_bytes(content)
        staging.rename(directory)
    except OSError as error:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        raise StoreError(
            f"can't extract to {directory}: {error.strerror}"
        ) from error


def printable(text: str) -> str:
    """Return a text that can't steer a terminal."""
    return "".join(
        char
        if char.isprintable() or char == "\n"
        else char.encode("unicode-escape").decode()
        for char in text
    )


def _content(
    path: str, content: bytes, *, show_secrets: bool
) -> dict[str, Any]:
    if path.endswith(".json"):
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            return {"error": "not valid JSON"}
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
            key: _masked(item, whole=whole or key in _SECRET_KEYS)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item, whole=whole) for item in value]
    return MASK if whole else value
