"""The status of a drive: fresh, stale, damaged or missing."""

from __future__ import annotations

import dataclasses
from typing import Literal

from cfgdrive_virt.model.drive import Contents, Location

FRESH: Literal["fresh"] = "fresh"
STALE: Literal["stale"] = "stale"
DAMAGED: Literal["damaged"] = "damaged"
MISSING: Literal["missing"] = "missing"

State = Literal["fresh", "stale", "damaged", "missing"]

_MAX_DETAILS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """An existing drive, compared with the wanted one.

    :param details: of a stale drive the changed keys, never their values; of
        a damaged drive what is wrong
    :param contents: of a fresh or stale drive
    """

    location: Location
    state: State
    details: tuple[str, ...] = ()
    contents: Contents | None = dataclasses.field(default=None, repr=False)

    def __str__(self) -> str:
        if not self.details:
            return self.state
        more = len(self.details) - _MAX_DETAILS
        rest = [f"and {more} more"] if more > 0 else []
        shown = (*self.details[:_MAX_DETAILS], *rest)
        return f"{self.state}: {', '.join(shown)}"
