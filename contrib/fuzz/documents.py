"""Mutations of documents: JSON values as trees, and their text."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Container, Iterator, Sequence
from random import Random
from typing import Any

from fuzz import mutate

_TEXTS = (
    "", " ", "\0", "a\nb", "\r\n", "\x1b[31m", "\x7f", "\u2028", "\u202e",
    "\ud800", "\U0010ffff", "\ufeff", "e\u0301", "true", "none", "0", "-1",
    "..", "/", "../../etc/passwd", "/content/0000", "/content/9999",
    "/content/0000/", "/content/٠٠٠٠", "/latest/user_data", "=", "====",
    "{}", "[]", "%s%n", "{0}", "fa:16:3e:00:00:01", "192.0.2.1/33", "::",
    "2001:db8::%eth0", "x" * 64, "x" * 256, "QUJD", "QUJ",
    "00000000-0000-4000-8000-00000000000a", "é" * 5000, "A" * 70_000,
)  # fmt: skip
_NUMBERS = (
    0, 1, -1, 2, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32, 2**53 + 1,
    2**63 - 1, 2**63, -(2**63), 2**64, 2**1999, 2**2000, 2**2001, -(2**2001),
    10**4200, 0.0, -0.0, 0.1, 1e308, 5e-324, -1e308,
)  # fmt: skip

#: Text that json.dumps doesn't write.
_RAW = (
    "NaN", "Infinity", "-Infinity", "1e999", "-0", "1E+2", "00", "0x1", "1.",
    "9" * 4299, "9" * 4301, "-" + "9" * 20_000, "1" + "0" * 5000 + "e-5000",
    "'a'", '"\\ud800"', '"\\u0000"', '"\t"', '"\\x41"', "None", "undefined",
    '{"a": 1, "a": 2}', '{"uuid": 1, "uuid": 2}', "// c\n1", "1,", ",", ":",
    "\ufeff1", '"',
)  # fmt: skip
_ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be")

#: Containers on the way to a node, and its key there.
_Place = tuple[Any, Any]


def some_value(chance: Random) -> Any:
    """Return a value that few expect."""
    kind = chance.randrange(8)
    if kind < 3:
        return chance.choice(_TEXTS)
    if kind == 3:
        return chance.choice(_NUMBERS)
    if kind == 4:
        return chance.choice((None, True, False))
    if kind == 5:
        return chance.choice(([], {}, [[]], [{}], {"": {}}, [None], {"a": 1}))
    if kind == 6:
        return _nested(
            chance.choice((2, 10, 60, 63, 64, 65, 100, 300)), chance
        )
    return [chance.choice(_TEXTS[:-4])] * chance.choice((1, 2, 3, 65))


def change(
    document: Any,
    chance: Random,
    others: Sequence[Any] = (),
    values: Callable[[Random], Any] = some_value,
) -> Any:
    """Return a document with some nodes changed.

    :param others: documents to take nodes from
    :param values: makes a value to put in
    """
    root = [copy.deepcopy(document)]
    for _ in range(1 + int(chance.random() ** 3 * 6)):
        _change_one(root, chance, others, values)
    return root[0]


def _change_one(
    root: list[Any],
    chance: Random,
    others: Sequence[Any],
    values: Callable[[Random], Any],
) -> None:
    places = list(_places(root))
    above, key = chance.choice(places)
    kind = chance.randrange(11)
    if kind < 4:
        above[key] = values(chance)
    elif kind == 4 and above is not root:
        del above[key]
    elif kind == 5:
        beside, there = chance.choice(places)
        above[key] = copy.deepcopy(beside[there])
    elif kind == 6 and isinstance(above, dict):
        _rename(above, key, chance, places)
    elif kind == 7:
        above[key] = chance.choice(([above[key]], {"a": above[key]}))
    elif kind == 8 and others:
        found = list(_places([chance.choice(others)]))
        taken, there = chance.choice(found)
        above[key] = copy.deepcopy(taken[there])
    else:
        _change_inside(above, key, chance, values)


def _change_inside(
    above: Any, key: Any, chance: Random, values: Callable[[Random], Any]
) -> None:
    """Change a part of a text, a list or a mapping."""
    node = above[key]
    if isinstance(node, str):
        above[key] = _text(node, chance)
    elif isinstance(node, list):
        _repeat(node, chance)
    elif isinstance(node, dict):
        node[chance.choice(_TEXTS)] = values(chance)


def _rename(
    above: dict[Any, Any], key: Any, chance: Random, places: list[_Place]
) -> None:
    known = [other for _, other in places if isinstance(other, str)]
    name = chance.choice(known or [""])
    if chance.random() < 0.4:
        name = _text(key if isinstance(key, str) else name, chance)
    above[name] = above.pop(key)


def _repeat(items: list[Any], chance: Random) -> None:
    if items:
        times = chance.choice((*[1] * 8, 2, 10, 100, 1000))
        items += [chance.choice(items)] * min(times, 20_000 // len(items))


def _text(text: str, chance: Random) -> str:
    at = chance.randrange(len(text) + 1)
    kind = chance.randrange(5)
    if kind == 0:
        return text[:at] + chance.choice(_TEXTS) + text[at:]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        return text[at:] + text[:at]
    if kind == 3:
        return text.swapcase()
    return text[:at] + chr(chance.choice((0, 9, 32, 47, 46, 160, 0xD800)))


def _places(root: list[Any]) -> list[_Place]:
    """Return the places of all nodes, of large documents some."""
    found: list[_Place] = []
    pending: list[Any] = [root]
    while pending and len(found) < 2000:
        above = pending.pop()
        for key in _keys(above):
            found.append((above, key))
            if isinstance(above[key], (dict, list)):
                pending.append(above[key])
    return found


def _keys(above: Any) -> Sequence[Any]:
    if isinstance(above, dict):
        return list(above)[:200]
    return range(min(len(above), 200)) if isinstance(above, list) else ()


def _nested(depth: int, chance: Random) -> Any:
    in_lists = chance.random() < 0.5
    value: Any = chance.choice((1, "x", [], {}))
    for _ in range(depth):
        value = [value] if in_lists else {"a": value}
    return value


def texts(document: Any, left_out: Container[str]) -> Iterator[str]:
    """Yield all keys and texts, but not those below some keys."""
    pending = [document]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            for key, value in found.items():
                yield str(key)
                if key not in left_out:
                    pending.append(value)
        elif isinstance(found, list):
            pending += found
        elif isinstance(found, str):
            yield found


def encode(document: Any, chance: Random) -> bytes:
    """Return JSON, now and then such as json.dumps doesn't write."""
    kind = chance.randrange(16)
    text = json.dumps(
        document,
        ensure_ascii=kind < 12,
        sort_keys=False,
        indent=chance.choice((None, None, 1)),
    )
    if kind == 0:
        text = _with_raw(text, chance)
    elif kind == 1:
        depth = chance.choice((*[500] * 8, 3000, 100_000))
        pair = chance.choice(("[]", ('{"a":', "}")))
        text = pair[0] * depth + "1" + pair[1] * chance.choice((depth, 0))
    elif kind == 2:
        size = 1 << int(8 + chance.random() ** 6 * 10)
        text = chance.choice((text + " " * size, "[" + "{}," * size + "1]"))
    if kind == 3:
        encoding = chance.choice(_ENCODINGS)
        return text.encode(encoding, "surrogatepass")
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if kind == 4 and data:
        some = (*mutate.IN_PLACE, *mutate.OF_SIZE)
        mutate.mutate(data, chance, [bytes(data)], some)
    return bytes(data)


def _with_raw(text: str, chance: Random) -> str:
    """Put text that may be no JSON in the place of a value."""
    starts = [at for at, char in enumerate(text) if char in ":,["]
    if not starts:
        return chance.choice(_RAW)
    at = chance.choice(starts) + 1
    ends = [text.find(char, at) for char in ",]}"]
    end = min((end for end in ends if end >= 0), default=len(text))
    return text[:at] + chance.choice(_RAW) + text[end:]
