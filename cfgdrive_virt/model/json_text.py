"""JSON text that a guest or another host wrote, parsed within bounds."""

from __future__ import annotations

import json
from typing import Any, NoReturn

#: Digits of the largest whole number that hosts send: 2**64 - 1 has 20.
_SENT_DIGITS = 20


def load(text: str | bytes, *, max_digits: int, **options: Any) -> Any:
    """Return the value of a JSON text, whose size the caller has checked.

    :param text: bytes are UTF-8 without a byte order mark
    :param max_digits: of a number; Python refuses some thousands, slowly
    :param options: more of json.loads'
    :raises ValueError: if it isn't JSON (RFC 8259).  The error may hold the
        text: do not chain it
    """
    if isinstance(text, bytes):
        # Python's parser also takes UTF-16, UTF-32 and a byte order mark;
        # those of guests, and Python's own given a string, don't.
        text = text.decode()

    def short(digits: str) -> str:
        if len(digits) > max_digits:
            raise ValueError(
                f"must have numbers of at most {max_digits:,} digits"
            )
        return digits

    try:
        return json.loads(
            text,
            parse_int=lambda digits: int(short(digits)),
            parse_float=lambda digits: float(short(digits)),
            parse_constant=_refuse,
            **options,
        )
    except RecursionError:
        raise ValueError("must not be nested so deeply") from None


def load_sent(text: object, max_length: int) -> Any:
    """Return the value of a JSON text that another host sent.

    :param max_length: in characters
    :raises ValueError: if it isn't a string, is too long, isn't JSON, has a
        name twice or a longer number than a size; it holds none of the text
    """
    if not isinstance(text, str):
        raise ValueError("must be a string")
    if len(text) > max_length:
        raise ValueError(f"must be at most {max_length:,} characters long")
    try:
        return load(text, max_digits=_SENT_DIGITS, object_pairs_hook=_mapping)
    except json.JSONDecodeError as error:
        # Its text has the position only, and its attributes all of the text.
        raise ValueError(f"must be JSON: {error}") from None


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("must not contain a name twice")
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError("must be JSON, which allows finite numbers only")
