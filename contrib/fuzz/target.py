"""What a target is: a corpus, a mutator, and the rules for every input."""

from __future__ import annotations

import abc
import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

_MIB = 1 << 20

#: What the corpus has for secrets.  It is no name of a field, so that a
#: misspelt one isn't shown, and has no character that formats escape.
SECRET = "Hid+den=Pa55.word"  # noqa: S105
_CODED = base64.b64encode(SECRET.encode()).decode().rstrip("=")[:-2]


class Violation(Exception):
    """A target breaks a rule that it must keep."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an input may cost.

    :param seconds: of CPU, for at most 1 MiB; more in proportion for larger
    :param memory: bytes for an input of any size
    :param factor: bytes for each byte of an input
    :param text: characters of an error
    """

    seconds: float = 2.0
    memory: int = 4 * _MIB
    factor: int = 8
    text: int = 4096

    def seconds_for(self, size: int) -> float:
        """Return the limit of CPU time for an input of a size."""
        return self.seconds * max(1.0, size / _MIB)

    def memory_for(self, size: int) -> int:
        """Return the limit of memory for an input of a size."""
        return self.memory + self.factor * size


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
