"""One tree of errors: whoever calls us catches ConfigDriveError.

A message names the field, path or option at fault and what to do about it.
It never holds a secret: see ``Problem.value``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable


class ConfigDriveError(Exception):
    """Be the base of every error that cfgdrive_virt raises on purpose."""


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a value.

    :param path: where it stands, such as ``network.interfaces[0].mac``
    :param value: the value, ready to print; for a secret what it is, never
        what it says; empty where the rule says it all
    :param rule: what it has to be: "must ..."
    """

    path: str
    value: str
    rule: str

    def __str__(self) -> str:
        found = f", not {self.value}" if self.value else ""
        return f"{self.path}: {self.rule}{found}".removeprefix(": ")

    def below(self, parent: str) -> Problem:
        """Return this problem as seen from the parent value."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return dataclasses.replace(self, path=f"{parent}{joint}{self.path}")


class InvalidRequest(ConfigDriveError):
    """A request or an instance file breaks rules: all of them are listed."""

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        lead = f"{source} is not valid" if source else "not valid"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{lead}:{lines}")


class InvalidConfiguration(ConfigDriveError):
    """An option, or a file that an option names, can't be used."""


class UnsupportedCombination(ConfigDriveError):
    """Two things that were asked for exclude each other."""


class ImageError(ConfigDriveError):
    """An image can't be made of this tree, or isn't a config drive."""


class StoreError(ConfigDriveError):
    """A drive can't be written, read or removed where it belongs."""


class DomainError(ConfigDriveError):
    """libvirt refused, or the domain isn't in the state that is needed."""
