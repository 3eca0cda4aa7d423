"""What two trees do not share, by file and by key of a JSON file."""

from __future__ import annotations

import dataclasses
import enum
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.model.tree import MetadataTree


class Absent(enum.Enum):
    """The side of a difference that does not have the file or the key."""

    ABSENT = "nothing"


ABSENT = Absent.ABSENT


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """A file, or a value in a JSON file, that two trees do not share.

    :param path: the path of the file
    :param key: the key of the value, such as ``meta.role``; empty for the
        whole file
    :param expected: bytes of a whole file, or a JSON value, or ABSENT
    :param found: as expected
    """

    path: str
    key: str
    expected: Any = dataclasses.field(repr=False)
    found: Any = dataclasses.field(repr=False)


def differences(
    expected: MetadataTree, found: MetadataTree
) -> Iterator[Difference]:
    """Yield what two trees do not share, in the order of their paths.

    :param found: the tree that a guest may have written.  If it has too much
        JSON (:func:`json_file.excess`), its files are not parsed
    """
    for path in sorted({*expected.files, *found.files}):
        ours = expected.files.get(path, ABSENT)
        theirs = found.files.get(path, ABSENT)
        if ours == theirs:
            continue
        both = ABSENT not in (ours, theirs)
        if not both or not path.endswith(".json"):
            yield Difference(path, "", ours, theirs)
            continue
        try:
            documents = [
                json_file.document(tree, path) for tree in (expected, found)
            ]
        except ValueError:
            yield Difference(path, "", ours, theirs)
            continue
        for key, one, other in _unlike("", *documents):
            yield Difference(path, key, one, other)


def _unlike(key: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the keys at which two JSON values differ, and both sides."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted({*one, *other}):
            below = f"{key}.{name}" if key else name
            sides = one.get(name, ABSENT), other.get(name, ABSENT)
            yield from _unlike(below, *sides)
    elif isinstance(one, tuple) and isinstance(other, tuple):
        pairs = itertools.zip_longest(one, other, fillvalue=ABSENT)
        for number, sides in enumerate(pairs):
            yield from _unlike(f"{key}[{number}]", *sides)
    # To Python, but not to JSON, True equals 1.
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield key, one, other
