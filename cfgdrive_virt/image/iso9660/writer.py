"""A tree becomes an ISO9660 image with Rock Ridge and Joliet.

Linux reads the names of Rock Ridge, Windows those of Joliet.  Both store names
exactly, so a tree with names that Joliet can't store is refused.  (Some
readers change Joliet's names: 7z drops a trailing dot, libarchive composes
accents.  A config drive's own names are not affected.)  Equal contents are
stored once.  Only this module imports pycdlib; the reader doesn't use it,
because hostile images make it take unlimited time and memory.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Collection

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import stamp
from cfgdrive_virt.image.iso9660.reader import (
    DIRECTORIES,
    MAX_SHARED,
)
from cfgdrive_virt.image.iso9660.template import (
    TEMPLATES,
    Dates,
    Places,
    Template,
    shape_of,
)
from cfgdrive_virt.model.drive import BUILDER, ISO9660, DriveImage
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show

#: Joliet's limit is 64 UTF-16 units, but pycdlib counts bytes of UTF-8.
_NAME_BYTES = 64
_JOLIET_FORBIDDEN = re.compile(r"[\x00-\x1f*/:;?\\]")
#: ECMA-119 counts years from 1900 in one byte.
LAST_TIMESTAMP = 5_869_583_999  # 2155-12-31 23:59:59 UTC


def build(
    tree: MetadataTree,
    *,
    label: str,
    timestamp: int,
    without: Collection[str] = (),
) -> DriveImage:
    """Return the image of a tree.

    :param label: the volume label, by which readers find the drive: ASCII
    :param timestamp: for all dates, in seconds since 1970 (UTC)
    :param without: names of the secrets that were left out of the tree
    :raises ImageError: if a name can't be stored exactly
    """
    if not 0 <= timestamp <= LAST_TIMESTAMP:
        raise ImageError(
            f"timestamp must be 0 to {LAST_TIMESTAMP}, not {timestamp}"
        )
    shape, contents = shape_of(tree, label)
    line, dates = stamp.encode(tree, without), Dates.of(timestamp)
    _check_shared(tree)
    if template := TEMPLATES.get(shape):
        return DriveImage(ISO9660, template.image(contents, dates, line))
    out = _mastered(tree, label)
    # In place: a drive may be large.
    with out.getbuffer() as data:
        places = Places.of(data)
        TEMPLATES.keep(Template.of(shape, data, places, contents))
        places.set_dates(data, dates)
        start = stamp.OFFSETS[ISO9660]
        data[start : start + len(line)] = line
    return DriveImage(ISO9660, out.getvalue())


def remember(tree: MetadataTree, label: str) -> None:
    """Make the reading and building of drives of this shape fast.

    It is done at most once for a shape, and not at all if there are enough
    shapes: to master a drive takes longer than to read it.
    """
    shape, _ = shape_of(tree, label)
    if not TEMPLATES.is_full and not TEMPLATES.knows(shape):
        # A tree that was read may be more than what is built.
        with contextlib.suppress(ImageError):
            build(tree, label=label, timestamp=0)


def _check_shared(tree: MetadataTree) -> None:
    """Refuse more shared content than the reader reads."""
    found: set[bytes] = set()
    shared = 0
    for path, content in tree.files.items():
        if content in found:
            shared += len(content)
            if shared > MAX_SHARED:
                raise ImageError(
                    f"{show(path)} shares content with another file; all that"
                    f" do may have {MAX_SHARED:,} bytes, use fewer or smaller"
                    " ones"
                )
        found.add(content)


def _mastered(tree: MetadataTree, label: str) -> io.BytesIO:
    """Return what pycdlib makes of a tree.

    :raises ImageError: if a name can't be stored exactly
    """
    iso = pycdlib.PyCdlib()
    out = io.BytesIO()
    try:
        iso.new(
            interchange_level=3,
            joliet=3,
            rock_ridge="1.09",
            vol_ident=label,
            sys_ident="LINUX",
            pub_ident_str=BUILDER.decode(),
            app_ident_str=BUILDER.decode(),
        )
        _add_all(iso, tree)
        iso.write_fp(out)
    except PyCdlibException as error:
        raise ImageError(
            f"can't build an ISO9660 image of this tree: {error}"
        ) from error
    return out


def _add_all(iso: pycdlib.PyCdlib, tree: MetadataTree) -> None:
    """Add directories and files; pycdlib computes the layout later."""
    iso_paths = {"": ""}
    taken: set[str] = set()
    stored: dict[bytes, str] = {}
    for path, content in tree.files.items():
        parts = path.split("/")
        if len(parts) > DIRECTORIES + 1:
            raise ImageError(
                f"{show(path)} is nested {len(parts) - 1} directories deep;"
                f" ISO9660 allows {DIRECTORIES}"
            )
        parent = ""
        for name in parts[:-1]:
            _check_name(path, name)
            below = f"{parent}/{name}".lstrip("/")
            if below not in iso_paths:
                iso_paths[below] = _iso_path(iso_paths[parent], name, taken)
                iso.add_directory(
                    iso_paths[below], rr_name=name, joliet_path=f"/{below}"
                )
            parent = below
        _check_name(path, parts[-1])
        iso_path = _iso_path(iso_paths[parent], parts[-1], taken) + ".;1"
        if content in stored:
            iso.add_hard_link(
                iso_old_path=stored[content],
                iso_new_path=iso_path,
                rr_name=parts[-1],
            )
            iso.add_hard_link(
                iso_old_path=stored[content], joliet_new_path=f"/{path}"
            )
        else:
            iso.add_fp(
                io.BytesIO(content),
                len(content),
                iso_path,
                rr_name=parts[-1],
                joliet_path=f"/{path}",
            )
            stored[content] = iso_path


def _check_name(path: str, name: str) -> None:
    """Refuse a name that Joliet can't store (its specification, 2.2.4)."""
    length = len(name.encode())
    if length > _NAME_BYTES:
        raise ImageError(
            f"{show(path)}: the name {show(name)} is {length} bytes long in"
            f" UTF-8; ISO9660 drives allow {_NAME_BYTES}"
        )
    if found := _JOLIET_FORBIDDEN.search(name):
        raise ImageError(
            f"{show(path)}: the name {show(name)} contains {show(found[0])},"
            " which Joliet forbids"
        )


def _iso_path(parent: str, name: str, taken: set[str]) -> str:
    """Return an ISO9660 path, for readers without long names."""
    plain = re.sub(r"[^A-Z0-9_]", "_", name.upper())[:24]
    path = f"{parent}/{plain}"
    number = 0
    while path in taken:
        number += 1
        path = f"{parent}/{plain}{number}"
    taken.add(path)
    return path
