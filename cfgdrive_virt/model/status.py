"""How it stands with a drive: fresh, stale, damaged or missing."""

from __future__ import annotations

import dataclasses
from typing import Literal

from cfgdrive_virt.model.drive import Contents, Location

FRESH: Literal["fresh"] = "fresh"
STALE: Literal["stale"] = "stale"
DAMAGED: Literal["damaged"] = "damaged"
MISSING: Literal["missing"] = "missing"

State = Literal["fresh", "stale", "damaged", "missing"]

_MOST = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """What is in a drive's place, beside what should be.

    :param details: of a stale drive what has changed, by key, never by value;
        of a damaged one what is wrong
    :param contents: what a fresh or stale drive holds
    """

    location: Location
    state: State
    details: tuple[str, ...] = ()
    contents: Contents | None = dataclasses.field(default=None, repr=False)

    def __str__(self) -> str:
        if not self.details:
            return self.state
        more = len(self.details) - _MOST
        rest = [f"and {more} more"] if more > 0 else []
        return f"{self.state}: {', '.join((*self.details[:_MOST], *rest))}"
