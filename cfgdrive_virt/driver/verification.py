"""Is this a whole drive, does it match a request, and do readers take it?"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

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
from cfgdrive_virt.metadata.layout import Layout
from cfgdrive_virt.model.drive import Contents, Location
from cfgdrive_virt.model.request import ConfigDriveRequest, Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.status import DAMAGED, FRESH, MISSING, STALE, Status
from cfgdrive_virt.model.value import show
from cfgdrive_virt.readers import Content, Loss, Reader

#: Problems of a drive, differences and losses that are listed, how many more
#: are counted, and characters of a status' details: a guest may have written
#: them.
_MAX_LISTED, _MAX_COUNTED, _LONGEST = 1000, 100_000, 200

_Found = TypeVar("_Found", Problem, Difference)


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """What is wrong with a drive, and how it differs from a request.

    Of each kind, the first 1,000 are listed.

    :param losses: what readers refuse, then what they lose
    :param more: how many are left out, as far as they were counted
    """

    problems: tuple[Problem, ...] = ()
    differences: tuple[Difference, ...] = ()
    losses: tuple[Loss, ...] = ()
    more: int = 0

    @property
    def refused_by(self) -> tuple[str, ...]:
        """Return the names of the readers that refuse the drive or a file."""
        names = (loss.reader for loss in self.losses if loss.refused)
        return tuple(dict.fromkeys(names))

    def __bool__(self) -> bool:
        return not (self.problems or self.differences or self.refused_by)


def verify(
    contents: Contents,
    settings: Settings,
    request: Request | None = None,
    readers: Collection[Reader] = (),
    size: int | None = None,
) -> Verification:
    """Return what is wrong with a drive, and how it differs from a request.

    A random_seed and device addresses that the request omits are not
    compared.

    :param contents: what :func:`cfgdrive_virt.image.read` returned
    :param readers: those whose losses are listed
    :param size: of the image in bytes, if it is known
    """
    layout = layout_in(contents.tree.files)
    own = contents.below(layout.own)
    found = _problems(own, layout, built=own.is_as_built)
    problems, more = _limited(found)
    losses, lost = _losses(Content(own.tree, own.format, size), readers)
    if request is None:
        return Verification(problems, (), losses, more + lost)
    changed = iter(_differences(contents, settings, request))
    differences, others = _limited(changed)
    return Verification(problems, differences, losses, more + lost + others)


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
    # written it: whoever uses the contents trusts nothing in them, and how
    # much of them is parsed is limited.
    built = contents.is_as_built
    if (
        contents.stamp is None
        or not built
        or contents.label != layout.label
        or json_file.excess(contents.tree)
    ):
        problems = _problems(contents, layout, built=built)
        if details := _bounded(map(str, problems)):
            return Status(location, DAMAGED, details)
    if request is None:
        return Status(location, FRESH, contents=contents)
    expected = as_found(request, contents)
    changed = _differences(contents, settings, expected)
    keys = map(layout_of(request).key, changed)
    details = _bounded(key for key in keys if key is not None)
    state = STALE if details else FRESH
    return Status(location, state, details, contents)


def _problems(
    contents: Contents, layout: Layout, *, built: bool
) -> Iterator[Problem]:
    """Yield what is wrong with a drive.

    :param contents: the files below the layout's own paths
    :param built: whether they are those that the drive was built of
    """
    if contents.label != layout.label:
        rule = f"must be {layout.label!r}"
        yield Problem("label", show(contents.label), rule)
    if too_much := json_file.excess(contents.tree):
        yield Problem("files", "", f"must be fewer or smaller: {too_much}")
    else:
        yield from layout.problems(contents.tree)
    if not built:
        rule = "must be those that the drive was built of"
        yield Problem("files", "", rule)


def _limited(found: Iterator[_Found]) -> tuple[tuple[_Found, ...], int]:
    """Return the items to list, and how many more there are."""
    listed = tuple(itertools.islice(found, _MAX_LISTED))
    return listed, sum(1 for _ in itertools.islice(found, _MAX_COUNTED))


def _losses(
    content: Content, readers: Collection[Reader]
) -> tuple[tuple[Loss, ...], int]:
    """Return the losses to list, and how many more there are."""
    if json_file.excess(content.tree):
        # Its files aren't parsed: nothing is known of what they say.
        return (), 0
    refused: list[Loss] = []
    others: list[Loss] = []
    count = 0
    for reader in readers:
        for loss in itertools.islice(reader.losses(content), _MAX_COUNTED):
            count += 1
            kind = refused if loss.refused else others
            if len(kind) < _MAX_LISTED:
                kind.append(loss)
    listed = (refused + others)[:_MAX_LISTED]
    return tuple(listed), count - len(listed)


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
    layout = layout_of(request)
    if expected == tree:
        # A guest may have written another label.
        if contents.label == layout.label:
            image.remember(contents)
        return ()
    return layout.differences(expected, tree)


def _bounded(details: Iterable[str]) -> tuple[str, ...]:
    """Return details that a log can hold: a guest may have written them."""
    # Limited before equal ones are left out: a guest's file may give any
    # number of them, in each version the same.
    some = itertools.islice(details, _MAX_LISTED)
    lines = (ascii(line)[1:-1] for line in some)
    cut = (
        line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
        for line in lines
    )
    return tuple(dict.fromkeys(cut))
