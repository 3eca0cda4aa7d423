"""An instance's drive brought up to date, of a running guest too."""

from __future__ import annotations

from collections.abc import Collection

from cfgdrive_virt.driver import operation_log, stores
from cfgdrive_virt.driver.make_ready import Drive, Medium, Upkeep, sweep
from cfgdrive_virt.driver.planner import canonical, required
from cfgdrive_virt.driver.status import examine, left_out_of
from cfgdrive_virt.metadata.openstack import secrets
from cfgdrive_virt.metadata.openstack.recall import Recalled, recalled
from cfgdrive_virt.model.request import Request
from cfgdrive_virt.model.status import FRESH, Status
from cfgdrive_virt.settings import Settings
from cfgdrive_virt.store.lock import locked


class Renewal(Upkeep):
    """The hooks that nova has no name for."""

    def status(self, request: Request) -> Status:
        """Tell how it stands with an instance's drive.

        :raises StoreError: if it can't be looked at
        """
        settings = self.settings
        store = stores.store_of(settings)
        return self._look(settings, store, request.uuid, request)

    def recall(self, uuid: str) -> Recalled:
        """Return what a service knows once, from the drive that is there.

        For one that renders the files itself: see
        :class:`~cfgdrive_virt.RenderedRequest`.  Nothing of a drive that is
        missing, damaged, or can't be read.
        """
        uuid = canonical(uuid)
        settings = self.settings
        for store in stores.stores_of(settings):
            data = self._reads(settings, store, uuid)
            found = examine(store.location(uuid), data, settings)
            if found.contents is not None:
                return recalled(uuid, found.contents.tree)
        return Recalled()

    def refresh(
        self, request: Request, medium: Medium | None = None
    ) -> Drive | None:
        """Bring an instance's drive up to date, of a running guest too.

        Its format stays; so does its random_seed, where the request has
        none.  A guest that runs gets the new one by ``medium``; if that
        fails, the old one is put back.

        :param medium: None if no guest has the drive
        :raises ConfigDriveError: if it couldn't be done
        """
        with operation_log.operation("refresh", request.uuid) as entry:
            settings = self.settings
            requirement = required(settings, request)
            if not requirement:
                entry.outcome, entry.reason = "no drive", requirement.reason
                return None
            store = stores.store_of(settings)
            location = store.location(request.uuid)
            with locked(settings.instances_path, request.uuid):
                found = self._look(
                    settings, store, request.uuid, request, medium
                )
                entry.reason = str(found)
                if found.state == FRESH:
                    sweep(store, request.uuid)
                    if medium:
                        medium.give()
                    entry.outcome = f"left alone {location}"
                    return Drive(location, built=False)
                image_format = (
                    found.contents.format
                    if found.contents
                    else self._decide(settings, request).format
                )
                image = self._renewed(
                    settings, request, found, image_format, same_guest=True
                )
                self._exchange(settings, store, request.uuid, image, medium)
                sweep(store, request.uuid)
            entry.outcome = f"rewrote {location}"
        return Drive(location, built=True)

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
        :raises NoWholeDrive: if it is damaged or missing
        :raises StoreError: if it can't be written, or somebody has open what
            a writer that was killed left of it
        """
        uuid = canonical(uuid)
        with operation_log.operation("forget_secrets", uuid) as entry:
            settings = self.settings
            wanted = (
                set(settings.one_shot_secrets)
                if names is None
                else secrets.named(names)
            )
            store = stores.store_of(settings)
            with locked(settings.instances_path, uuid):
                contents = self._whole(settings, store, uuid, medium)
                known = set(left_out_of(contents))
                location = store.location(uuid)
                # What a killed writer left may have them, too.
                for one in (store, stores.rescue_store_of(settings)):
                    one.sweep(uuid, thorough=True)
                self._forget_kept(settings, uuid, wanted)
                if wanted <= known:
                    if medium:
                        medium.give()
                    entry.outcome = f"left alone {location}"
                    return Drive(location, built=False)
                image = self._image(
                    settings,
                    uuid,
                    secrets.tree_without(contents.tree, wanted),
                    contents.format,
                    known | wanted,
                )
                self._exchange(settings, store, uuid, image, medium)
            entry.outcome = f"rewrote {location}"
            entry.reason = f"without {', '.join(sorted(wanted))}"
        return Drive(location, built=True)

    def _forget_kept(
        self, settings: Settings, uuid: str, wanted: Collection[str]
    ) -> None:
        """Take secrets off the drive that is kept for a resize's revert."""
        kept = stores.resize_store_of(settings)
        if kept is None or not kept.exists(uuid):
            return
        found = self._look(settings, kept, uuid).contents
        if found is None or set(wanted) <= set(left_out_of(found)):
            return
        image = self._image(
            settings,
            uuid,
            secrets.tree_without(found.tree, wanted),
            found.format,
            {*left_out_of(found), *wanted},
        )
        kept.write(uuid, image.data)
