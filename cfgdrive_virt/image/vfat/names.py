"""Names of one directory become entries: long names, and their 8.3 aliases.

Names are stored exactly, or refused: names that VFAT can't store, names that
Windows can't open, and two names in a directory that differ only in case for
some reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image.vfat.format import (
    FORBIDDEN,
    LONG_BYTES,
    LONG_ENTRY,
    LONG_LAST,
    LONG_NAME,
    MAX_PATH_UNITS,
    checksum,
    units,
)
from cfgdrive_virt.model.value import show

_MAX_UNITS = 255
#: U+FFFF pads a long name's last entry; some readers (7z) end a name there.
_NOT_KEPT = re.compile(f"{FORBIDDEN.pattern}|\uffff")
#: fatgen103, "Name limits and character sets", but without spaces, as in
#: Linux and Windows.
_SHORT = re.compile(
    r"[A-Z0-9!#$%&'()@^_`{}~-]{1,8}(\.[A-Z0-9!#$%&'()@^_`{}~-]{1,3})?"
)
_NOT_SHORT = re.compile(r"[^A-Z0-9!#$%&'()@^_`{}~-]")
#: Source: Windows' documentation, "Naming Files, Paths, and Namespaces".
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?",
    re.ASCII | re.IGNORECASE,
)


def entries(
    directory: str, names: Sequence[str]
) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield each name with its long entries and its short name of 11 bytes.

    :param directory: their directory's path, empty for the root
    :raises ImageError: if a name is refused, or two conflict
    """
    _check(directory, names)
    # Linux and Windows find a file by either name: an alias must not be the
    # name of another file.
    taken = {name.upper() for name in names}
    tails: dict[tuple[str, str], int] = {}
    for name in names:
        plain = name.isascii() and _SHORT.fullmatch(name.upper())
        alias = name.upper() if plain else _alias(name, taken, tails)
        base, _, extension = alias.partition(".")
        short = f"{base:8}{extension:3}".encode("ascii")
        yield name, b"" if alias == name else _long(name, short), short


def check_path(path: str) -> None:
    """Raise ImageError if a path is too long for readers."""
    if units(path) > MAX_PATH_UNITS:
        raise ImageError(
            f"{show(path)} can't be a path on VFAT: it has {units(path):,}"
            f" UTF-16 units, more than {MAX_PATH_UNITS}; make it shorter"
        )


def _check(directory: str, names: Sequence[str]) -> None:
    """Raise ImageError if a name is refused, or two conflict."""
    seen: dict[str, str] = {}
    for name in names:
        if rule := _broken_rule(name):
            raise ImageError(
                f"{show(name)} in {_place(directory)} can't be a name on VFAT:"
                f" {rule}; choose another one"
            )
        other = seen.setdefault(_folded(name), name)
        if other != name:
            raise ImageError(
                f"{show(other)} and {show(name)} in {_place(directory)} are"
                " the same name on VFAT, which ignores case; rename one"
            )


def _broken_rule(name: str) -> str:
    if found := _NOT_KEPT.search(name):
        return f"it must not contain {show(found[0])}"
    if name.endswith((".", " ")):
        return "it must not end with a dot or a space"
    # By fatgen103, readers ignore it; Linux and mtools don't.
    if name.startswith(" "):
        return "it must not begin with a space"
    if units(name) > _MAX_UNITS:
        return f"it must have at most {_MAX_UNITS} UTF-16 units"
    if _DEVICE.fullmatch(name):
        return "it must not be the name of a device on Windows"
    return ""


def _folded(name: str) -> str:
    """Return a key that is equal for names that are equal to some reader.

    Two mappings, because Unicode's uppercasing and case folding differ; and
    glibc's towlower maps U+0130, which both leave distinct, to i.
    """
    return name.replace("İ", "i").upper().casefold()


def _place(directory: str) -> str:
    return show(directory) if directory else "the root"


def _alias(
    name: str, taken: set[str], tails: dict[tuple[str, str], int]
) -> str:
    """Return a unique short name that ends with a number.

    :param taken: the names that it must not be
    :param tails: the next number by the parts before and after it: each number
        is tried once, so that similar names cost no more than others
    """
    base, dot, extension = name.rpartition(".")
    if not base.strip(". "):
        base, dot, extension = name, "", ""
    base, extension = (
        _NOT_SHORT.sub("_", re.sub("[. ]", "", part).upper())
        for part in (base, extension)
    )
    ending = dot + extension[:3]
    digits = 1
    while True:
        stem = f"{base[: 7 - digits]}~"
        key = (f"{stem}{digits}", ending)
        number = tails.get(key, 10 ** (digits - 1))
        if number == 10**digits:
            digits += 1
            continue
        tails[key] = number + 1
        alias = f"{stem}{number}{ending}"
        if alias not in taken:
            return alias


def _long(name: str, short: bytes) -> bytes:
    """Return the entries of a long name, its last part first."""
    text = name.encode("utf-16-le")
    count = -(-len(text) // LONG_BYTES)
    if len(text) % LONG_BYTES:
        text = (text + b"\0\0").ljust(count * LONG_BYTES, b"\xff")
    total = checksum(short)
    made = []
    for number in range(count, 0, -1):
        part = text[(number - 1) * LONG_BYTES : number * LONG_BYTES]
        last = LONG_LAST if number == count else 0
        made.append(
            LONG_ENTRY.pack(
                *(number | last, part[:10], LONG_NAME, 0, total),
                *(part[10:22], 0, part[22:]),
            )
        )
    return b"".join(made)
