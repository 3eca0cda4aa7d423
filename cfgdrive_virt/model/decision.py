"""The input and output of the policy."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """A yes or no with its reason; its truth value is the answer."""

    answer: bool
    reason: str

    def __bool__(self) -> bool:
        return self.answer


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """The known properties of the machine that gets the drive.

    :param architecture: as libvirt and ``uname -m`` name it
    :param machine_type: as libvirt names it; None: QEMU's default
    :param targets: target device names that are in use
    """

    architecture: str
    machine_type: str | None = None
    targets: frozenset[str] = frozenset()

    @property
    def description(self) -> str:
        """Return the machine in words."""
        name = self.machine_type or "the default machine"
        return f"{name} on {self.architecture}"


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """How a drive is built and attached, and why.

    :param warnings: what the operator should know about it
    """

    format: str
    device: Literal["cdrom", "disk"]
    bus: str
    target: str
    readonly: bool
    reason: str
    warnings: tuple[str, ...] = ()
