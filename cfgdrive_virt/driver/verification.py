"""Is this a whole drive, and does it say the same as that request?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from cfgdrive_virt.driver import build
from cfgdrive_virt.exception import Problem
from cfgdrive_virt.metadata.openstack import check
from cfgdrive_virt.model.drive import LABEL, Contents
from cfgdrive_virt.model.request import Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.value import show


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """What is wrong with a drive, and what it says otherwise; or nothing."""

    problems: tuple[Problem, ...] = ()
    differences: tuple[check.Difference, ...] = ()

    def __bool__(self) -> bool:
        return not (self.problems or self.differences)


def verify(
    found: Contents,
    settings: Settings,
    request: Request | None = None,
) -> Verification:
    """Tell whether a drive is whole, and says the same as a request.

    A random_seed, and devices' addresses, that the request leaves open may
    be any.

    :param found: what :func:`cfgdrive_virt.image.read` returned
    """
    problems = list(check.problems(found.tree))
    if found.label != LABEL:
        rule = f"must be {LABEL!r}"
        problems.insert(0, Problem("label", show(found.label), rule))
    if not found.is_as_built:
        problems.append(Problem("files", "", "must be those it was built of"))
    if request is None:
        return Verification(tuple(problems))
    changed = differences(found, settings, request)
    return Verification(tuple(problems), tuple(changed))


def differences(
    found: Contents, settings: Settings, request: Request
) -> Iterable[check.Difference]:
    """Return what a drive says otherwise than a request."""
    seed = check.random_seed(found.tree) or b""
    expected = build.tree_of(request, settings, seed)
    # To look into all JSON takes longer than all else.
    if expected == found.tree:
        return ()
    return check.differences(expected, found.tree)
