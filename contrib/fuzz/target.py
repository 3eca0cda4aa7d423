"""What a target is: a corpus, a mutator, and the rules for every input."""

from __future__ import annotations

import abc
import base64
import zlib
from collections.abc import Sequence
from random import Random

from fuzz.limits import Limits

#: What the corpus has for secrets.  It is no name of a field, so that a
#: misspelt one isn't shown, and has no character that formats escape.
SECRET = "Hid+den=Pa55.word"  # noqa: S105
_CODED = base64.b64encode(SECRET.encode()).decode().rstrip("=")[:-2]


class Violation(Exception):
    """A target breaks a rule that it must keep."""


class Target(abc.ABC):
    """Base class of the targets.

    :cvar name: on the command line
    """

    name: str
    limits = Limits()
    #: Whether to check all that is checked for few inputs only.
    thorough = False

    @abc.abstractmethod
    def corpus(self) -> list[bytes]:
        """Return whole inputs to start from."""

    @abc.abstractmethod
    def mutate(
        self, data: bytes, chance: Random, pool: Sequence[bytes]
    ) -> bytes:
        """Return another input.

        :param pool: what to combine it with
        """

    @abc.abstractmethod
    def run(self, data: bytes) -> str:
        """Feed an input to the product.

        Return what it did, in words that are the same for similar inputs.

        :raises ConfigDriveError: if the product refuses the input
        :raises Violation: if it breaks a rule
        """

    def close(self) -> None:
        """Remove what the target has made outside of this process."""
        return

    def sampled(self, data: bytes, each: int) -> bool:
        """Tell whether this is one of the inputs to check more of.

        :param each: one of so many inputs is
        """
        return self.thorough or not zlib.crc32(data) % each

    def leak(self, text: str, data: bytes) -> str | None:
        """Return the secret that an error's text shows; None for none.

        :param data: the input, which may say that it isn't secret
        """
        del data
        return secret_in(text)


def secret_in(text: str) -> str | None:
    """Return the secret that a text shows, in plain or in base64."""
    return next((one for one in (SECRET, _CODED) if one in text), None)
