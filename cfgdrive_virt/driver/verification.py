"""Is this a whole drive, and does it match a request?"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

from cfgdrive_virt import image
from cfgdrive_virt.driver import build
from cfgdrive_virt.exception import ImageError, Problem
from cfgdrive_virt.metadata import (
    json_file,
    layout_in,
    layout_of,
    secrets,
)
from cfgdrive_virt.metadata.compare import Difference
from cfgdrive_virt.model.drive import Contents, Location
from cfgdrive_virt.model.request import ConfigDriveRequest, Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.status import DAMAGED, FRESH, MISSING, STALE, Status
from cfgdrive_virt.model.value import show

#: Details of a status, and characters of one: a guest may have written them.
_MAX_DETAILS, _LONGEST = 1000, 200


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """What is wrong with a drive, and how it differs from a request."""

    problems: tuple[Problem, ...] = ()
    differences: tuple[Difference, ...] = ()

    def __bool__(self) -> bool:
        return not (self.problems or self.differences)


def verify(
    contents: Contents,
    settings: Settings,
    request: Request | None = None,
) -> Verification:
    """Return what is wrong with a drive, and how it differs from a request.

    A random_seed and device addresses that the request omits are not
    compared.

    :param contents: what :func:`cfgdrive_virt.image.read` returned
    """
    layout = layout_in(contents.tree.files)
    problems = list(layout.problems(contents.tree))
    if contents.label != layout.label:
        rule = f"must be {layout.label!r}"
        problems.insert(0, Problem("label", show(contents.label), rule))
    # Without a stamp there is nothing to compare the files with.
    built = contents.stamp is None or contents.below(layout.own).is_as_built
    if not built:
        problems.append(
            Problem("files", "", "must be those that the drive was built of")
        )
    if request is None:
        return Verification(tuple(problems))
    changed = _differences(contents, settings, request)
    return Verification(tuple(problems), tuple(changed))


def examine(
    location: Location,
    data: bytes | None,
    settings: Settings,
    request: Request | None = None,
) -> Status:
    """Return the state of a drive: fresh, stale, damaged or missing.

    Fields that the request omits are not compared, files that the guest added
    are ignored, and secrets that were left out of the drive on purpose may
    have any value in the request.

    :param data: the bytes of the drive; None if there is none
    :param request: None to tell only whole drives from damaged ones
    """
    if data is None:
        return Status(location, MISSING)
    try:
        contents = image.read(data)
        layout = layout_in(contents.tree.files)
        contents = contents.below(layout.own)
    except ImageError as error:
        return Status(location, DAMAGED, (str(error),))
    # A stamp that matches rules out accidental damage.  A guest may have
    # written it: whoever uses the contents trusts nothing in them.
    as_built = (
        contents.stamp is not None
        and contents.is_as_built
        and contents.label == layout.label
    )
    if not as_built:
        for path, content in contents.tree.files.items():
            if path.endswith(".json") and len(content) > json_file.MAX_BYTES:
                too_large = [f"{path} has {len(content):,} bytes"]
                return Status(location, DAMAGED, _bounded(too_large))
        if problems := verify(contents, settings).problems:
            return Status(location, DAMAGED, _bounded(map(str, problems)))
    if request is None:
        return Status(location, FRESH, contents=contents)
    expected = as_found(request, contents)
    changed = _differences(contents, settings, expected)
    keys = map(layout_of(request).key, changed)
    details = _bounded(key for key in keys if key is not None)
    state = STALE if details else FRESH
    return Status(location, state, details, contents)


def as_found(request: Request, contents: Contents) -> Request:
    """Return a request, with what it omits taken from its drive.

    Secrets that were left out of the drive are left out of the request, too.

    :raises InvalidRequest: if a rendered request's files cannot be a drive's
    """
    if isinstance(request, ConfigDriveRequest):
        layout = layout_in(contents.tree.files)
        request = layout.recover(request, contents.tree)
    return secrets.request_without(request, contents.left_out)


def _differences(
    contents: Contents, settings: Settings, request: Request
) -> Iterable[Difference]:
    """Return how a drive differs from what a request gives."""
    tree = contents.tree
    seed = layout_in(tree.files).random_seed(tree) or b""
    expected = build.tree_of(request, settings, seed)
    # Parsing all JSON takes longer than everything else.
    if expected == tree:
        return ()
    return layout_of(request).differences(expected, tree)


def _bounded(details: Iterable[str]) -> tuple[str, ...]:
    """Return details that a log can hold: a guest may have written them."""
    lines = (ascii(line)[1:-1] for line in details)
    cut = (
        line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
        for line in lines
    )
    return tuple(itertools.islice(dict.fromkeys(cut), _MAX_DETAILS))
