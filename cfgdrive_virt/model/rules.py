"""Rules on the values of fields; each returns the value to keep.

If a value breaks the rule, the rule raises ValueError with a message that
begins with "must".
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

Rule = Callable[[Any], Any]

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


#: Readers parse JSON recursively, with a limited stack.
_JSON_DEPTH = 64
#: About 600 digits; Python refuses to print much longer integers.
_JSON_BITS = 2000


class FrozenDict(dict[str, Any]):
    """An immutable dict; it can be hashed and pickled."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this mapping can't be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


def text(
    *, max_length: int = 65_535, min_length: int = 0, one_line: bool = False
) -> Rule:
    """Accept Unicode text; the lengths are in characters."""

    def rule(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string (in YAML, put it in quotes)")
        if not min_length <= len(value) <= max_length:
            raise ValueError(
                f"must be {min_length} to {max_length:,} characters long"
            )
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(
                "must be Unicode text, without lone surrogates"
            ) from None
        if one_line and any(char in value for char in "\r\n\0"):
            raise ValueError("must be a single line")
        return value

    return rule


_any_text = text(max_length=1 << 30)


def one_of(*choices: str) -> Rule:
    """Accept one of these words."""

    def rule(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return rule


def integer(minimum: int, maximum: int) -> Rule:
    """Accept a whole number in a range, ends included."""

    def rule(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be a whole number")
        if not minimum <= value <= maximum:
            raise ValueError(f"must be {minimum:,} to {maximum:,}")
        return value

    return rule


def boolean(value: Any) -> bool:
    """Accept true or false, but no string for them."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def canonical_uuid(value: Any) -> str:
    """Accept a UUID with hyphens (RFC 9562), as libvirt and nova write it."""
    try:
        canonical = str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        canonical = ""
    if not canonical or canonical != str(value).lower():
        raise ValueError(
            "must be a UUID such as 83679162-1378-4288-a2d4-70e13ec132aa"
        )
    return canonical


def hostname(value: Any) -> str:
    """Accept a host name, bare or fully qualified (RFC 1123, and ``_``)."""
    name = text(min_length=1, max_length=253)(value)
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(
            "must be a host name: letters, digits, '-', '_' and '.',"
            " no label over 63 characters"
        )
    return str(name)


def interface_name(value: Any) -> str:
    """Accept a name that Linux can give a network interface."""
    if not isinstance(value, str) or not _INTERFACE.fullmatch(value):
        raise ValueError(
            "must be an interface's name: 1 to 15 letters, digits, '-', '_'"
            " and '.', the first one a letter or digit"
        )
    return value


def mac(value: Any) -> str:
    """Accept a MAC address; return it in lower case."""
    if not isinstance(value, str) or not _MAC.fullmatch(value.lower()):
        raise ValueError(
            "must be a MAC address in quotes, such as 'fa:16:3e:00:00:01'"
        )
    return value.lower()


def ip_address(value: Any) -> str:
    """Accept an IPv4 or IPv6 address; return its canonical form."""
    try:
        if not isinstance(value, str) or "%" in value:
            raise ValueError
        address = ipaddress.ip_address(value)
        # Python's versions differ in how they print it.
        mapped = getattr(address, "ipv4_mapped", None)
        return f"::ffff:{mapped}" if mapped else str(address)
    except ValueError:
        raise ValueError("must be an IP address") from None


def ipv4_address(value: Any) -> str:
    """Accept an IPv4 address."""
    address: str = ip_address(value)
    if ":" in address:
        raise ValueError("must be an IPv4 address")
    return address


def cidr(value: Any) -> str:
    """Accept a network such as 192.0.2.0/24; host bits are cleared."""
    try:
        if not isinstance(value, str) or "/" not in value or "%" in value:
            raise ValueError
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError(
            "must be a network such as 192.0.2.0/24 or 2001:db8::/64"
        ) from None


def content(value: Any) -> bytes:
    """Accept bytes, a string (encoded in UTF-8) or ``{base64: ...}``."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return str(_any_text(value)).encode()
    if isinstance(value, Mapping) and list(value) == ["base64"]:
        coded = value["base64"]
        try:
            if not isinstance(coded, (str, bytes)):
                raise ValueError
            if isinstance(coded, str):
                coded = "".join(coded.split())
            return base64.b64decode(coded, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("must be valid base64") from None
    raise ValueError("must be a string or {base64: ...}")


def utf8(value: Any) -> bytes:
    """Accept content that is valid UTF-8."""
    raw = content(value)
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise ValueError("must be text in UTF-8") from None
    return raw


def path(value: Any) -> str:
    """Accept the path of a file in a guest: any characters but NUL."""
    name: str = text(min_length=1, max_length=4096)(value)
    if "\0" in name:
        raise ValueError("must not contain a NUL character")
    return name


def user_data(value: Any) -> bytes | None:
    """Accept user data with nova's limit: 65,535 bytes in base64.

    Empty user data becomes None.
    """
    raw = content(value)
    coded = 4 * math.ceil(len(raw) / 3)
    if coded > 65_535:
        raise ValueError(
            f"must be at most 65,535 bytes in base64 (it is {coded:,})"
        )
    return raw or None


def json_value(value: Any) -> Any:
    """Accept a JSON value (RFC 8259); return it frozen."""
    return _frozen(value, _JSON_DEPTH)


def vendor_data(value: Any) -> Any:
    """Accept what cloud-init accepts: an object, a list or a string."""
    if not isinstance(value, (Mapping, list, tuple, str)):
        raise ValueError("must be a mapping, a list or a string")
    return json_value(value)


def json_object(value: Any) -> Any:
    """Accept a JSON object."""
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping")
    return json_value(value)


def mapping_of_text(value: Any) -> Any:
    """Accept a mapping of strings to strings, as in instance metadata."""
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping")
    for key, item in value.items():
        try:
            text(min_length=1)(key), text()(item)
        except ValueError as error:
            name = ascii(key)[:60] if isinstance(key, str) else "a key"
            raise ValueError(
                f"must map strings to strings: {name} {error}"
            ) from None
    return FrozenDict(value)


def list_of(rule: Rule) -> Rule:
    """Accept a list whose items obey a rule; return a tuple."""

    def all_of(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise ValueError("must be a list")
        kept = []
        for index, item in enumerate(value):
            try:
                kept.append(rule(item))
            except ValueError as error:
                raise ValueError(f"item {index} {error}") from None
        return tuple(kept)

    return all_of


def unique(*attributes: str) -> Rule:
    """Accept values if each of these attributes is unique among them."""

    def rule(values: tuple[Any, ...]) -> tuple[Any, ...]:
        for attribute in attributes:
            seen = [
                found
                for value in values
                if (found := getattr(value, attribute, None)) is not None
            ]
            if len(seen) != len(set(seen)):
                raise ValueError(
                    f"must not contain the same {attribute} twice"
                )
        return values

    return rule


def _frozen(value: Any, depth: int) -> Any:
    # A guest may have written 100,000 values: the frequent types come first,
    # and Mapping, an abstract class, whose check is slow, last.
    if depth == 0:
        raise ValueError(f"must be nested at most {_JSON_DEPTH} levels deep")
    if isinstance(value, str):
        return value if value.isascii() else _any_text(value)
    if value is None or isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return tuple([_frozen(item, depth - 1) for item in value])
    if isinstance(value, (dict, Mapping)):
        kept = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError("must be JSON: keys must be strings")
            kept[_frozen(key, depth)] = _frozen(item, depth - 1)
        return FrozenDict(kept)
    raise ValueError(
        "must be JSON: strings, numbers, booleans, lists and mappings"
    )


def _number(value: float | None) -> float | None:
    """Accept a number, a boolean or nothing."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be JSON, which allows finite numbers only")
    if isinstance(value, int) and value.bit_length() > _JSON_BITS:
        raise ValueError(f"must have integers of at most {_JSON_BITS:,} bits")
    return value
