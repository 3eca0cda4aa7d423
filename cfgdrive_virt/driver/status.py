"""Is a drive still what a request, and the settings, would make?"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

from cfgdrive_virt import image
from cfgdrive_virt.driver.verification import differences, verify
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.metadata.openstack import check, recall, secrets
from cfgdrive_virt.model.drive import LABEL, Contents, Location
from cfgdrive_virt.model.request import Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.status import DAMAGED, FRESH, MISSING, STALE, Status

#: Of what a guest wrote no more is told.
_MOST_DETAILS, _LONGEST = 1000, 200
#: Bytes of a JSON file that others may have written, and that is looked into.
_MOST_JSON = 4 * 1024 * 1024


def examine(
    location: Location,
    data: bytes | None,
    settings: Settings,
    request: Request | None = None,
) -> Status:
    """Tell how it stands with a drive.

    What the request leaves open (see metadata.recall) may be any, and what
    the guest added beside our files counts for nothing.  Of secrets that were
    left out of the drive on purpose the request may have any.

    :param data: of the drive; None if there is none
    :param request: None to tell whole drives from damaged ones only
    """
    if data is None:
        return Status(location, MISSING)
    try:
        found = image.read(data)
        found = dataclasses.replace(found, tree=found.tree.own)
    except ImageError as error:
        return Status(location, DAMAGED, (str(error),))
    # What was once written, by us, needs no closer look.
    known = (
        found.stamp is not None and found.is_as_built and found.label == LABEL
    )
    if not known:
        for path, content in found.tree.files.items():
            if path.endswith(".json") and len(content) > _MOST_JSON:
                too_large = [f"{path} has {len(content):,} bytes"]
                return Status(location, DAMAGED, _bounded(too_large))
        if problems := verify(found, settings).problems:
            return Status(location, DAMAGED, _bounded(map(str, problems)))
    if request is None:
        return Status(location, FRESH, contents=found)
    expected = as_found(request, found)
    changed = differences(found, settings, expected)
    details = _bounded(_keys(changed))
    state = STALE if details else FRESH
    return Status(location, state, details, found)


def as_found(request: Request, found: Contents) -> Request:
    """Return a request with what it leaves open as a drive has it.

    Secrets that were left out of the drive are left out here.
    """
    known = recall.completed(request, found.tree)
    return secrets.request_without(known, found.left_out)


def _bounded(details: Iterable[str]) -> tuple[str, ...]:
    """Return what is told of a drive: its guest may have written that."""
    lines = (ascii(line)[1:-1] for line in details)
    cut = (
        line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
        for line in lines
    )
    return tuple(itertools.islice(dict.fromkeys(cut), _MOST_DETAILS))


def _keys(changed: Iterable[check.Difference]) -> Iterator[str]:
    """Yield what differs, once for all of its versions.

    Such as ``meta.role`` of openstack's meta_data.json, or ``user_data``.
    """
    for difference in changed:
        # Nova's has another one in each version.
        if difference.key == "random_seed":
            continue
        top, _, path = difference.path.partition("/")
        version, _, name = path.partition("/")
        if version == "content":
            name = path
        if top == "ec2":
            name = f"ec2 {name}"
        yield f"{name} {difference.key}" if difference.key else name
