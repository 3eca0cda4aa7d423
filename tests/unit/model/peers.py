"""What a compromised host may send in place of a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def nested(depth: int) -> Any:
    """Return a list in a list and so on."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


WRONG: dict[str, Any] = {
    "None": None,
    "True": True,
    "float": 1.0,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "huge int": 1 << 20_000,
    "int": 7,
    "negative": -1,
    "bytes": b"x" * 32,
    "empty list": [],
    "list": ["x", "x", "x"],
    "list of numbers": [1],
    "dict": {"uuid": 1},
    "deep list": nested(100_000),
    "lone surrogate": "\ud800",
    "1 MiB": "a" * (1 << 20),
    "control characters": "a\x1b[31m\x00\x85",
    "line end": "abcdef01\n",
    "empty": "",
    "object": object(),
}

#: What is right for a field.
RIGHT = {
    "cluster": {"None"},
    "shared": {"True"},
    "readonly": {"True"},
    "size": {"int"},
    "inode": {"int"},
}


def wrong_for(field: str) -> Iterator[str]:
    """Yield the names of what is wrong for a field."""
    for name in WRONG:
        if name not in RIGHT.get(field, ()):
            yield name
