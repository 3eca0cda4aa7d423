"""JSON text that another host sent, parsed within bounds."""

from __future__ import annotations

import json
from typing import Any, NoReturn

#: Digits of the largest whole number: 2**64 - 1 has 20.
_MAX_DIGITS = 20


def load(text: object, max_length: int) -> Any:
    """Return the value of a JSON text.

    :param max_length: in characters
    :raises ValueError: if it isn't a string, is too long, or isn't JSON
        (RFC 8259) without repeated names and longer numbers than a size's
    """
    if not isinstance(text, str):
        raise ValueError("must be a string")
    if len(text) > max_length:
        raise ValueError(f"must be at most {max_length:,} characters long")
    try:
        return json.loads(
            text,
            object_pairs_hook=_mapping,
            parse_int=_integer,
            parse_constant=_refuse,
        )
    except RecursionError:
        raise ValueError("must not be nested so deeply") from None
    except json.JSONDecodeError as error:
        # Its text has the position only, and its attributes all of the text.
        raise ValueError(f"must be JSON: {error}") from None


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("must not contain a name twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"must have numbers of at most {_MAX_DIGITS} digits")
    return int(digits)


def _refuse(_: str) -> NoReturn:
    raise ValueError("must be JSON, which allows finite numbers only")
