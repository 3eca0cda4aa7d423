"""How JSON is written to a drive: the same value gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def encode(value: Any) -> bytes:
    """Return JSON in ASCII, keys sorted."""
    return json.dumps(value, sort_keys=True, default=_plain).encode("ascii")


def _plain(value: Any) -> Any:
    # The request holds its mappings read-only, which json doesn't know.
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
