"""JSON files: a value becomes bytes, and back.

The same value gives the same bytes.  A guest may have written what is read:
its size and its depth are bounded.
"""

from __future__ import annotations

import json
from typing import Any

from cfgdrive_virt.model import rules

#: Largest JSON file that is parsed, in bytes; ours have some thousands.
MAX_BYTES = 4 * 1024 * 1024


def encode(value: Any) -> bytes:
    """Return JSON in ASCII, keys sorted."""
    return json.dumps(value, sort_keys=True).encode("ascii")


def load(content: bytes, max_bytes: int | None = MAX_BYTES) -> Any:
    """Return the value of a JSON file, as Python's parser gives it.

    :param max_bytes: largest size in bytes; None for files without a limit
    :raises ValueError: if it is too large, or not valid JSON.  The error
        may hold the content: do not chain it
    """
    if max_bytes is not None and len(content) > max_bytes:
        raise ValueError(f"must be at most {max_bytes:,} bytes")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("must not be nested so deeply") from None


def load_frozen(content: bytes, max_bytes: int | None = MAX_BYTES) -> Any:
    """Return the value of a JSON file, frozen, and checked as a request's.

    :param max_bytes: as for :func:`load`
    :raises ValueError: as :func:`load`, or if :func:`rules.json_value`
        refuses the value
    """
    return rules.json_value(load(content, max_bytes))
