"""Do a reader's losses say what was lost, and nothing else?"""

from __future__ import annotations

from cfgdrive_virt.readers.common import NETWORK_DATA
from cfgdrive_virt.readers.reader import Content, Reader

from .arrival import Items, but_bonds, missing


def differences(
    reader: Reader, content: Content, arrived: Items, *, stopped: bool
) -> list[str]:
    """Return where a reader's losses and what arrived are at odds.

    :param stopped: whether the reader has given up: that is a loss too
    """
    lost = {
        key: gone
        for key, items in but_bonds(content.network(NETWORK_DATA)).items()
        if (gone := missing(items, arrived))
    }
    losses = [
        loss for loss in reader.losses(content) if loss.path == NETWORK_DATA
    ]
    # What a loss is of; a file that is refused is all of it.
    places = ["" if loss.refused else loss.key for loss in losses]
    silent = [
        f"{key} is lost without a warning: {sorted(gone)}"
        for key, gone in lost.items()
        if not any(_is_in(key, place) for place in places)
    ]
    return silent + [
        f"warned of, and not lost: {loss}"
        for loss, place in zip(losses, places, strict=True)
        if not (loss.refused and stopped)
        and not any(_is_in(key, place) for key in lost)
    ]


def _is_in(key: str, place: str) -> bool:
    return place in ("", key) or key.startswith(f"{place}.")
