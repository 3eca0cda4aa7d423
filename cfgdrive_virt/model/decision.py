"""The output of the policy."""

from __future__ import annotations

import dataclasses
from typing import Literal

from cfgdrive_virt.model.machine import Controller


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """A yes or no with its reason; its truth value is the answer."""

    answer: bool
    reason: str

    def __bool__(self) -> bool:
        return self.answer


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """How a drive is built and attached, and why.

    :param controller: what the machine has to get for it; None: nothing
    :param warnings: what the operator should know about it
    """

    format: str
    device: Literal["cdrom", "disk"]
    bus: str
    target: str
    readonly: bool
    reason: str
    controller: Controller | None = None
    warnings: tuple[str, ...] = ()
