"""What a guest gets from the files that cloud-init's renderers write.

Real code reads them where it runs without a guest: ifupdown and netplan say
what they would do.  Where it doesn't, a parser keeps to the format's manual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..arrival import ANYWHERE, Item, Items
from . import ifupdown, initscripts, keyfiles, systemd
from .files import Files, RefusedError

__all__ = ["RENDERERS", "RefusedError", "arrived"]

RENDERERS: dict[str, Callable[[Files], Iterator[Item]]] = {
    "eni": ifupdown.items,
    "netplan": systemd.netplan_items,
    "networkd": systemd.items,
    "network-manager": keyfiles.items,
    "sysconfig": initscripts.items,
}


def arrived(
    renderer: str, rendered: Files | str, names: Mapping[str, list[str]]
) -> Items:
    """Return what a guest gets from one renderer's files.

    :param rendered: the files; text if there are none, but an error
    :param names: ids of links by the names of the guest's interfaces
    """
    if isinstance(rendered, str):
        return frozenset()
    try:
        items = list(RENDERERS[renderer](rendered))
    except RefusedError:
        return frozenset()
    return frozenset(
        item._replace(link=link)
        for item in items
        for link in ([ANYWHERE] if item.link == ANYWHERE else names[item.link])
    )
