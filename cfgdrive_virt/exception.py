"""One tree of errors: whoever calls us catches ConfigDriveError.

A message names the field, path or option at fault and what to do about it.
It never holds a secret: see ``Problem.value``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

#: Problems that a message lists.
_MOST = 100


class ConfigDriveError(Exception):
    """Base class of all errors that cfgdrive_virt raises."""


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
        if not parent:
            return self
        joint = "" if not self.path or self.path.startswith("[") else "."
        return dataclasses.replace(self, path=f"{parent}{joint}{self.path}")


class InvalidRequest(ConfigDriveError):
    """A request or an instance file breaks rules: all of them are listed."""

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        lead = f"{source} is not valid" if source else "not valid"
        listed = [f"\n  {problem}" for problem in self.problems[:_MOST]]
        if len(self.problems) > _MOST:
            listed.append(f"\n  and {len(self.problems) - _MOST:,} more")
        lines = "".join(listed)
        super().__init__(f"{lead}:{lines}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems, self.source)


class InvalidConfiguration(ConfigDriveError):
    """An option, or a file that an option names, can't be used."""


class UnsupportedCombination(ConfigDriveError):
    """Two things that were asked for exclude each other."""


class ImageError(ConfigDriveError):
    """An image can't be made of this tree, or isn't a config drive."""


class StoreError(ConfigDriveError):
    """A drive can't be written, read or removed where it belongs."""


class DriveUnreadable(StoreError):
    """A drive can't be read by this process; libvirt may have taken it."""


class NoWholeDrive(StoreError):
    """There is no drive that could be taken as it is."""


class DriveInUse(StoreError):
    """A drive can't be removed yet: somebody has it open."""


class MigrationRefused(ConfigDriveError):
    """A live migration would lose the drive."""


class InvalidDomain(ConfigDriveError):
    """A domain's XML can't be used."""


class DomainError(ConfigDriveError):
    """libvirt refused, or the domain isn't in the state that is needed."""
