"""Have a drive in place that matches a request.

A hook decides on the drive (:func:`decide_on`), takes the instance's lock, and
calls one of three: :func:`keep_or_build` looks first, :func:`replace` doesn't,
and :func:`require_whole` has no request to build from.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection

from cfgdrive_virt import policy
from cfgdrive_virt.driver.instance_drive import Drive, InstanceDrive
from cfgdrive_virt.driver.operation_log import Operation
from cfgdrive_virt.driver.verification import as_found
from cfgdrive_virt.exception import DriveUnreadable, ImageError
from cfgdrive_virt.libvirt_xml.domain import Domain
from cfgdrive_virt.metadata import secrets
from cfgdrive_virt.model.decision import Decision, Verdict
from cfgdrive_virt.model.drive import DriveImage
from cfgdrive_virt.model.machine import Machine
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


def decide_on(
    op: Operation,
    request: Request,
    machine: Machine | None,
    domain_xml: str | bytes | None,
) -> Wanted | None:
    """Decide on an instance's drive; None if it gets none.

    :param machine: None for the one that the request asks for
    :param domain_xml: the domain as libvirt defined it
    """
    settings = op.settings
    required = policy.required(settings, request)
    if not required:
        op.outcome, op.reason = "no drive", required.reason
        return None
    decision = op.host.decide(settings, request, machine)
    if domain_xml is not None and isinstance(request, ConfigDriveRequest):
        devices = Domain(domain_xml).locate(request.devices)
        request = dataclasses.replace(request, devices=devices)
    for warning in decision.warnings:
        LOG.warning("Config drive of instance %s: %s", op.uuid, warning)
    return Wanted(request, required, decision)


def keep_or_build(
    op: Operation, wanted: Wanted, forgotten: Collection[str] = ()
) -> Drive:
    """Leave a drive alone that matches the request; build any other.

    :param forgotten: names of secrets to leave out if there is no whole
        drive, which would say what it was built without
    """
    drive = op.drives.current
    try:
        found = drive.examine(wanted.request)
    except DriveUnreadable as error:
        # A new one would lack what only this one still says.
        return _leave_unread(op, drive, error)
    if found.state == DAMAGED:
        LOG.warning("Config drive %s is %s", drive.location, found)
    if (
        found.state == FRESH
        and found.contents is not None
        and found.contents.format == wanted.decision.format
    ):
        drive.sweep()
        return op.left_alone(drive)
    image = rebuilt(
        op, wanted.request, found, wanted.decision.format, forgotten
    )
    return _write(op, drive, wanted, image, str(found))


def replace(op: Operation, drive: InstanceDrive, wanted: Wanted) -> Drive:
    """Build a drive from the request alone, whatever is in its place."""
    image = op.host.image_of(
        op.settings, wanted.request, wanted.decision.format
    )
    return _write(op, drive, wanted, image, "replaced")


def require_whole(op: Operation) -> Drive:
    """Check that there is a whole drive; without a request none can be built.

    :raises NoWholeDrive: if it is missing or damaged
    """
    drive = op.drives.current
    try:
        drive.contents()
    except DriveUnreadable as error:
        return _leave_unread(op, drive, error)
    drive.sweep()
    return op.left_alone(drive)


def rebuilt(
    op: Operation,
    request: Request,
    found: Status,
    image_format: str,
    forgotten: Collection[str],
) -> DriveImage:
    """Return the image that replaces what was found.

    It keeps what the request leaves open, and stays without the secrets that
    the drive was built without.

    :param forgotten: as for :func:`keep_or_build`
    """
    without = forgotten if found.contents is None else found.contents.left_out
    if found.contents is not None:
        try:
            return op.host.image_of(
                op.settings,
                as_found(request, found.contents),
                image_format,
                without,
            )
        except ImageError as error:
            # A guest may have written so much that there is no room for what
            # the request says.  It must not keep its host from a new drive.
            LOG.warning(
                "%s; what only the drive %s says is not taken over",
                error,
                found.location,
            )
    bare = secrets.request_without(request, without)
    return op.host.image_of(op.settings, bare, image_format, without)


def _leave_unread(
    op: Operation, drive: InstanceDrive, error: DriveUnreadable
) -> Drive:
    """Leave a drive alone that can't be read."""
    LOG.warning("%s; the drive stays as it is, unchecked", error)
    drive.sweep()
    return op.left_alone(drive, unread=True)


def _write(
    op: Operation,
    drive: InstanceDrive,
    wanted: Wanted,
    image: DriveImage,
    why: str,
) -> Drive:
    drive.write(image.data)
    drive.sweep()
    op.outcome = (
        f"built {drive.location} ({image.format}, {len(image.data):,} bytes)"
    )
    op.reason = "; ".join(
        (why, wanted.required.reason, wanted.decision.reason)
    )
    return Drive(drive.location, built=True)
