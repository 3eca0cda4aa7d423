"""Have a drive in place that says what a request says.

    decide -> look -> keep the drive, or build another -> write it

The hooks call these steps in this order, all but the first under the
instance's ``drive`` lock.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection

from cfgdrive_virt import policy
from cfgdrive_virt.driver import build
from cfgdrive_virt.driver.instance_drive import Drive, InstanceDrive
from cfgdrive_virt.driver.operation_log import Operation
from cfgdrive_virt.driver.planner import decide
from cfgdrive_virt.driver.status import as_found
from cfgdrive_virt.exception import DriveUnreadable
from cfgdrive_virt.libvirt_xml.domain import Domain
from cfgdrive_virt.metadata.openstack import secrets
from cfgdrive_virt.model.decision import Decision, Machine, Verdict
from cfgdrive_virt.model.drive import DriveImage
from cfgdrive_virt.model.request import ConfigDriveRequest, Request
from cfgdrive_virt.model.status import DAMAGED, FRESH, Status

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """The drive that an instance is to have.

    :param request: with the addresses that the domain gives its devices
    """

    request: Request
    required: Verdict
    decision: Decision


def wanted(
    operation: Operation,
    request: Request,
    machine: Machine | None,
    domain_xml: str | bytes | None,
) -> Wanted | None:
    """Decide on an instance's drive; None if it gets none.

    :param machine: None for the one that the request asks for
    :param domain_xml: the domain as libvirt defined it
    """
    settings = operation.settings
    required = policy.required(settings, request)
    if not required:
        operation.outcome, operation.reason = "no drive", required.reason
        return None
    decision = decide(operation.host, settings, request, machine)
    if domain_xml is not None and isinstance(request, ConfigDriveRequest):
        devices = Domain(domain_xml).locate(request.devices)
        request = dataclasses.replace(request, devices=devices)
    for warning in decision.warnings:
        LOG.warning("Config drive of instance %s: %s", operation.uuid, warning)
    return Wanted(request, required, decision)


def keep_or_build(
    operation: Operation, drive: Wanted, forgotten: Collection[str] = ()
) -> Drive:
    """Leave a drive alone that says what the request says; build any other.

    :param forgotten: names of secrets that are left out if no drive is left
        that says which ones the guest has
    """
    place = operation.drives.current
    location = place.location
    try:
        found = place.examine(drive.request)
    except DriveUnreadable as error:
        # Another one would lack what only this one still says.
        return leave_unread(operation, place, error)
    if found.state == DAMAGED:
        LOG.warning("Config drive %s is %s", location, found)
    if (
        found.state == FRESH
        and found.contents is not None
        and found.contents.format == drive.decision.format
    ):
        place.sweep()
        operation.outcome = f"left alone {location}"
        return Drive(location, built=False)
    image = rebuilt(
        operation, drive.request, found, drive.decision.format, forgotten
    )
    return _write(operation, place, drive, image, str(found))


def replace(
    operation: Operation, place: InstanceDrive, drive: Wanted
) -> Drive:
    """Build a drive from the request alone, whatever is in its place."""
    image = _image(operation, drive.request, drive.decision.format)
    return _write(operation, place, drive, image, "replaced")


def keep(operation: Operation) -> Drive:
    """Make sure of a drive that can't be rebuilt, as there is no request.

    :raises NoWholeDrive: if it is missing or damaged
    """
    place = operation.drives.current
    try:
        place.contents()
    except DriveUnreadable as error:
        return leave_unread(operation, place, error)
    place.sweep()
    operation.outcome = f"left alone {place.location}"
    return Drive(place.location, built=False)


def rebuilt(
    operation: Operation,
    request: Request,
    found: Status,
    image_format: str,
    forgotten: Collection[str],
) -> DriveImage:
    """Return the image that replaces what was found.

    What the request leaves open is as in the drive that was found, and
    secrets that it is without stay out.

    :param forgotten: as for :func:`keep_or_build`
    """
    if found.contents is None:
        without = forgotten
        request = secrets.request_without(request, without)
    else:
        without = found.contents.left_out
        request = as_found(request, found.contents)
    return _image(operation, request, image_format, without)


def leave_unread(
    operation: Operation, place: InstanceDrive, error: DriveUnreadable
) -> Drive:
    """Leave a drive alone that can't be read."""
    LOG.warning("%s; leaving it alone", error)
    place.sweep()
    operation.outcome = f"left alone {place.location}, unread"
    return Drive(place.location, built=False)


def _image(
    operation: Operation,
    request: Request,
    image_format: str,
    without: Collection[str] = (),
) -> DriveImage:
    host, settings = operation.host, operation.settings
    return build.image_of(
        host.tree_of(request, settings),
        image_format,
        settings,
        uuid=request.uuid,
        timestamp=host.timestamp,
        without=without,
    )


def _write(
    operation: Operation,
    place: InstanceDrive,
    drive: Wanted,
    image: DriveImage,
    found: str,
) -> Drive:
    place.write(image.data)
    place.sweep()
    operation.outcome = (
        f"built {place.location} ({image.format}, {len(image.data):,} bytes)"
    )
    operation.reason = "; ".join(
        (found, drive.required.reason, drive.decision.reason)
    )
    return Drive(place.location, built=True)
