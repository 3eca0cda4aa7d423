"""Is a drive still what a request, and the settings, would make?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from cfgdrive_virt import image
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.metadata import check, secrets
from cfgdrive_virt.model.drive import LABEL, Contents, Location
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.status import (
    DAMAGED,
    FRESH,
    MISSING,
    STALE,
    Status,
)
from cfgdrive_virt.settings import Settings
from cfgdrive_virt.verification import differences, verify


def examine(
    location: Location,
    data: bytes | None,
    settings: Settings,
    request: ConfigDriveRequest | None = None,
) -> Status:
    """Tell how it stands with a drive.

    A random_seed, and devices' addresses, that the request leaves open may be
    any, and files that the guest added count for nothing.  Of secrets that
    were left out of the drive on purpose the request may have any.

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
        found.imprint is not None
        and found.is_as_built
        and found.label == LABEL
    )
    if not known and (problems := verify(found, settings).problems):
        return Status(location, DAMAGED, tuple(map(str, problems)))
    if request is None:
        return Status(location, FRESH, contents=found)
    expected = secrets.request_without(request, left_out_of(found))
    changed = differences(found, settings, expected)
    keys = tuple(dict.fromkeys(_keys(changed)))
    return Status(location, STALE if keys else FRESH, keys, found)


def left_out_of(found: Contents) -> tuple[str, ...]:
    """Return the names of secrets that were left out of a drive."""
    return found.imprint.without if found.imprint else ()


def _keys(changed: Iterable[check.Difference]) -> Iterator[str]:
    """Yield what differs, once for all of its versions.

    Such as ``meta.role`` of openstack's meta_data.json, or ``user_data``.
    """
    for difference in changed:
        top, _, path = difference.path.partition("/")
        version, _, name = path.partition("/")
        if version == "content":
            name = path
        if top == "ec2":
            name = f"ec2 {name}"
        yield f"{name} {difference.key}" if difference.key else name
