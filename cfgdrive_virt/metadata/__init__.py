"""A request becomes a tree of files, in a layout that readers know.

The table of layouts, and which one a request or a drive has.
"""

from __future__ import annotations

from collections.abc import Iterable

from cfgdrive_virt.metadata.layout import Layout
from cfgdrive_virt.metadata.openstack import OPENSTACK
from cfgdrive_virt.model.request import RenderedRequest, Request

__all__ = ["LAYOUTS", "layout_in", "layout_of"]

#: The first one is the default.
LAYOUTS: tuple[Layout, ...] = (OPENSTACK,)


def layout_of(request: Request) -> Layout:
    """Return the layout of a request's drive.

    For rendered files it is the layout of their paths; for any other request
    the default.
    """
    if isinstance(request, RenderedRequest):
        return layout_in(request.files)
    return LAYOUTS[0]


def layout_in(paths: Iterable[str]) -> Layout:
    """Return the layout that some files are in, by their paths.

    It is the first one that has a file of its own among them; the default
    where none has.
    """
    known = tuple(paths)
    for layout in LAYOUTS:
        if any(path.startswith(layout.own) for path in known):
            return layout
    return LAYOUTS[0]
