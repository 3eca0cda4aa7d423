"""How JSON is written to a drive: the same value gives the same bytes."""

from __future__ import annotations

import json
from typing import Any


def encode(value: Any) -> bytes:
    """Return JSON in ASCII, keys sorted."""
    return json.dumps(value, sort_keys=True).encode("ascii")
