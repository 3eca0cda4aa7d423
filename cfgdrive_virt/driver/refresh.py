"""An instance's drive brought up to date, of a running guest too."""

from __future__ import annotations

from collections.abc import Collection

from cfgdrive_virt import policy
from cfgdrive_virt.driver import build
from cfgdrive_virt.driver.host import Hooks
from cfgdrive_virt.driver.instance_drive import Drive, InstanceDrive, Medium
from cfgdrive_virt.driver.make_ready import rebuilt
from cfgdrive_virt.driver.operation_log import Operation, operation
from cfgdrive_virt.exception import NoWholeDrive
from cfgdrive_virt.metadata import layout_in, secrets
from cfgdrive_virt.metadata.layout import Recalled
from cfgdrive_virt.model.drive import Contents, DriveImage
from cfgdrive_virt.model.request import Request
from cfgdrive_virt.model.status import FRESH, Status
from cfgdrive_virt.model.value import checked_uuid


class Refresh(Hooks):
    """The hooks that nova has no name for."""

    def status(self, request: Request) -> Status:
        """Compare an instance's drive with its request.

        :raises StoreError: if it can't be looked at
        """
        drives = self._host.drives_of(request.uuid, self._host.settings)
        return drives.current.examine(request)

    def recall(self, uuid: str) -> Recalled:
        """Return what a service knows once, from the drive that is there.

        For a service that renders the files itself: see
        :class:`~cfgdrive_virt.RenderedRequest`.  Empty if the drive is
        missing, damaged, or can't be read.
        """
        uuid = checked_uuid(uuid)
        drives = self._host.drives_of(uuid, self._host.settings)
        for drive in drives.attachable:
            found = drive.judge(drive.read_if_readable())
            if found.contents is not None:
                tree = found.contents.tree
                return layout_in(tree.files).recall(uuid, tree)
        return Recalled()

    def refresh(
        self, request: Request, medium: Medium | None = None
    ) -> Drive | None:
        """Bring an instance's drive up to date, of a running guest too.

        Its format stays; so does its random_seed, where the request has
        none.  A running guest gets the new one by ``medium``; if that fails,
        the old one is put back.

        :param medium: None if no guest has the drive
        :raises ConfigDriveError: if it couldn't be done
        """
        with operation(self._host, "refresh", request.uuid) as op:
            settings = op.settings
            required = policy.required(settings, request)
            if not required:
                op.outcome, op.reason = "no drive", required.reason
                return None
            drive = op.drives.current
            with op.drive_lock():
                found = drive.examine(request, medium)
                op.reason = str(found)
                if found.state == FRESH:
                    drive.sweep()
                    return _leave_alone(op, drive, medium)
                image_format = (
                    found.contents.format
                    if found.contents
                    else self._host.decide(settings, request).format
                )
                image = rebuilt(
                    op,
                    request,
                    found,
                    image_format,
                    settings.one_shot_secrets,
                )
                drive.exchange(image.data, medium)
                drive.sweep()
            op.outcome = f"rewrote {drive.location}"
        return Drive(drive.location, built=True)

    def forget_secrets(
        self,
        uuid: str,
        medium: Medium | None = None,
        *,
        names: Collection[str] | None = None,
    ) -> Drive:
        """Take secrets off an instance's drive, once the instance is up.

        :param medium: as for :meth:`refresh`
        :param names: ``admin_pass``, ``user_data``; by default what
            ``[cfgdrive_virt] one_shot_secrets`` says
        :raises NoWholeDrive: if it is damaged or missing; or if the one that
            is set aside for a resize's revert is damaged, after the current
            one was rewritten
        :raises StoreError: if it can't be written, or if what a killed
            writer left of it is still open somewhere
        """
        with operation(self._host, "forget_secrets", uuid) as op:
            forgotten = (
                set(op.settings.one_shot_secrets)
                if names is None
                else secrets.named(names)
            )
            drive = op.drives.current
            with op.drive_lock():
                contents = drive.contents(medium)
                # What a killed writer left may have them, too.
                for place in (drive, op.drives.rescue):
                    place.sweep_thoroughly()
                if forgotten <= set(contents.left_out):
                    done = _leave_alone(op, drive, medium)
                else:
                    image = _without(op, contents, forgotten)
                    drive.exchange(image.data, medium)
                    done = Drive(drive.location, built=True)
                    op.outcome = f"rewrote {drive.location}"
                    op.reason = f"without {', '.join(sorted(forgotten))}"
                _forget_aside(op, forgotten)
        return done


def _leave_alone(
    op: Operation, drive: InstanceDrive, medium: Medium | None
) -> Drive:
    if medium:
        # A call that was killed may have taken it out of the guest.
        medium.give()
    return op.left_alone(drive)


def _forget_aside(op: Operation, forgotten: set[str]) -> None:
    """Take secrets off the drive that is set aside for a resize's revert.

    :raises NoWholeDrive: if it is damaged: what it holds is not known
    """
    aside = op.drives.for_revert
    if aside is None or not aside.exists():
        return
    found = aside.examine()
    if found.contents is None:
        raise NoWholeDrive(
            f"{found.location}, set aside for a resize's revert, is {found},"
            " and may still hold the secrets; confirm or revert the resize"
        )
    if not forgotten <= set(found.contents.left_out):
        aside.write(_without(op, found.contents, forgotten).data)


def _without(
    op: Operation, contents: Contents, forgotten: Collection[str]
) -> DriveImage:
    """Return the image of what a drive holds, without some secrets."""
    tree = contents.tree
    return build.image_of(
        layout_in(tree.files).without(tree, forgotten),
        contents.format,
        op.settings,
        uuid=op.uuid,
        timestamp=op.host.timestamp,
        without={*contents.left_out, *forgotten},
    )
