"""The errors; callers catch the base class ConfigDriveError.

A message names the field, path or option at fault, and the remedy.  It never
contains a secret: see ``Problem.value``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

#: Maximum number of problems in a message.
_MAX_PROBLEMS = 100


class ConfigDriveError(Exception):
    """Base class of all errors that cfgdrive_virt raises."""


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a value.

    :param path: the field, such as ``network.interfaces[0].mac``
    :param value: the value, ready to print; for a secret only its type and
        length; empty if the rule is enough
    :param rule: the rule that it breaks: "must ..."
    """

    path: str
    value: str
    rule: str

    def __str__(self) -> str:
        found = f", not {self.value}" if self.value else ""
        return f"{self.path}: {self.rule}{found}".removeprefix(": ")

    def below(self, parent: str) -> Problem:
        """Return this problem with its path relative to the parent."""
        if not parent:
            return self
        joint = "" if not self.path or self.path.startswith("[") else "."
        return dataclasses.replace(self, path=f"{parent}{joint}{self.path}")


class InvalidRequest(ConfigDriveError):
    """A request or an instance file is invalid; all problems are listed."""

    def __init__(self, problems: Iterable[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        lead = f"{source} is not valid" if source else "not valid"
        listed = [
            f"\n  {problem}" for problem in self.problems[:_MAX_PROBLEMS]
        ]
        more = len(self.problems) - _MAX_PROBLEMS
        if more > 0:
            listed.append(f"\n  and {more:,} more")
        lines = "".join(listed)
        super().__init__(f"{lead}:{lines}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems, self.source)


class InvalidConfiguration(ConfigDriveError):
    """An option, or a file that an option names, is not usable."""


class UnsupportedCombination(ConfigDriveError):
    """Two requested features exclude each other."""


class ImageError(ConfigDriveError):
    """An image can't be built from a tree, or isn't a config drive."""


class StoreError(ConfigDriveError):
    """A drive can't be written, read or removed in its store."""


class DriveUnreadable(StoreError):
    """A drive isn't readable by this process: libvirt may own the file."""


class NoWholeDrive(StoreError):
    """There is no existing drive that is usable as it is."""


class DriveInUse(StoreError):
    """A drive can't be removed yet: a client has it open."""


class MigrationRefused(ConfigDriveError):
    """A live migration would lose the drive."""


class InvalidDomain(ConfigDriveError):
    """A domain's XML is invalid."""


class DomainError(ConfigDriveError):
    """libvirt refused, or the domain isn't in the required state."""
