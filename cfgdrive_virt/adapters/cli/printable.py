"""Text that is not trusted becomes one that a terminal may show."""

from __future__ import annotations


def printable(text: str, *, lines: bool = False) -> str:
    """Escape the characters of a text that could control a terminal.

    :param lines: whether to keep line breaks
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or (lines and char == "\n")
        else char.encode("unicode-escape").decode()
        for char in text
    )
