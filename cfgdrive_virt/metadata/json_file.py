"""JSON files: a value becomes bytes, and back.

The same value gives the same bytes.  A guest may have written what is read:
the number of bytes and values of all JSON files of a tree is bounded before
the first one is parsed (:func:`excess`), equal files are parsed once
(:func:`document`), and numbers have few digits.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import Any

from cfgdrive_virt.model import json_text, rules
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show

#: Bytes of a tree's JSON files, equal ones counted once.  Most is metadata:
#: by nova's default quota 128 items, of 255 characters for key and value,
#: each up to 12 bytes in JSON.  That is 783,360 bytes in each of the ten
#: versions that differ.
MAX_BYTES = 8 * 1024 * 1024
#: Values in them.  Each but the first follows one of four characters, so
#: those are counted, also where they are text.  A normal drive has some
#: hundred; metadata and 1,000 injected files in each version, 80,000.
MAX_VALUES = 200_000
#: Digits of a number: rules.json_value allows 603.
_MAX_DIGITS = 1000

_BEFORE_VALUES = (b"[", b"{", b",", b":")
#: What is said of a file that :func:`document` refuses.
INVALID = "must be valid JSON"

NOT_UTF8 = "must be JSON in UTF-8, without a byte order mark"

_INVALID = object()
_ENCODER = json.JSONEncoder(sort_keys=True)


def encode(value: Any) -> bytes:
    """Return JSON in ASCII, keys sorted."""
    return _ENCODER.encode(value).encode("ascii")


def load(content: bytes) -> Any:
    """Return the value of a JSON file, as Python's parser gives it.

    Its size is not checked: that is for files that no guest has written.

    :raises ValueError: if it is not valid JSON.  The error may hold the
        content: do not chain it
    """
    return json_text.load(content, max_digits=_MAX_DIGITS)


def document(tree: MetadataTree, path: str) -> Any:
    """Return the value of a JSON file, frozen, and checked as a request's.

    Equal files of a tree are parsed once.

    :raises ValueError: if there is no such file, if it is not valid JSON, if
        :func:`rules.json_value` refuses its value, or if the tree has too
        much JSON: see :func:`excess`
    """
    if excess(tree):
        raise ValueError("must not be one of so many, or so large")
    content = tree.files.get(path, b"")
    if content not in tree.cache:
        try:
            tree.cache[content] = rules.json_value(load(content))
        except ValueError:
            # Without its text, which may hold the content.
            tree.cache[content] = _INVALID
    if tree.cache[content] is _INVALID:
        raise ValueError(INVALID if _is_utf8(content) else NOT_UTF8)
    return tree.cache[content]


def is_read_leniently(content: bytes) -> bool:
    """Tell whether readers take a file that :func:`document` refuses.

    Python's parser, and so cloud-init and nova, knows NaN, numbers of any
    size, lone surrogates and deeply nested values.  Only for files that a
    service wrote.
    """
    try:
        json.loads(content.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _is_utf8(content: bytes) -> bool:
    """Tell whether a file is text in UTF-8, without a byte order mark."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    # In UTF-16 and UTF-32, ASCII has zeros.
    return not content.startswith(codecs.BOM_UTF8) and b"\0" not in content


def excess(tree: MetadataTree) -> str:
    """Return what is too much in a tree's JSON files; empty if nothing is."""
    if excess not in tree.cache:
        tree.cache[excess] = _excess(tree.files)
    found: str = tree.cache[excess]
    return found


def values_in(content: bytes) -> int:
    """Return how many values a JSON file has at most."""
    return 1 + sum(map(content.count, _BEFORE_VALUES))


def _excess(files: Mapping[str, bytes]) -> str:
    documents = [
        content for path, content in files.items() if path.endswith(".json")
    ]
    # A value takes a byte at least: most trees need not be counted.
    if sum(map(len, documents)) <= MAX_VALUES:
        return ""
    size = values = 0
    counted: set[bytes] = set()
    for path, content in files.items():
        # A large file first by its size: it takes time to compare it.
        if not path.endswith(".json") or (
            len(content) <= MAX_BYTES and content in counted
        ):
            continue
        size += len(content)
        if size > MAX_BYTES:
            return (
                f"its JSON files have more than {MAX_BYTES:,} bytes, with"
                f" {show(path)} of {len(content):,} bytes; make metadata or"
                " vendor data smaller"
            )
        counted.add(content)
        values += values_in(content)
        if values > MAX_VALUES:
            return (
                f"its JSON files have more than {MAX_VALUES:,} values, or"
                f" commas and colons in text, with {show(path)} of"
                f" {len(content):,} bytes; make metadata or vendor data"
                " smaller"
            )
    return ""
