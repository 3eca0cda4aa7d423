"""What would be built for an instance, and why; nothing is changed by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from contextlib import AbstractContextManager

from cfgdrive_virt import policy
from cfgdrive_virt.driver import build, stores
from cfgdrive_virt.driver.host import Hooks
from cfgdrive_virt.libvirt_xml.disk import controller_xml, disk_xml
from cfgdrive_virt.model.decision import Decision, Verdict
from cfgdrive_virt.model.drive import DriveImage, Location
from cfgdrive_virt.model.machine import Machine
from cfgdrive_virt.model.request import Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import checked_uuid
from cfgdrive_virt.readers import Content, Loss, Reader, likely

#: Who loses what the drive leaves out.
_EVERY = "every reader"


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is done for an instance, and why.

    If no drive is required, the rest is None.

    :param disk_xml: the ``<disk>`` for the domain's ``<devices>``
    :param controller_xml: a ``<controller>`` that the domain needs beside it;
        None if it has one, or if libvirt adds the right one
    """

    required: Verdict
    decision: Decision | None = None
    location: Location | None = None
    disk_xml: str | None = None
    controller_xml: str | None = None


class Planner(Hooks):
    """Answer what a service asks before it calls the other hooks."""

    @property
    def settings(self) -> Settings:
        """Return what the options say now.

        :raises InvalidConfiguration: if one has an invalid value
        """
        return self._host.settings

    def machine(self, request: Request) -> Machine:
        """Return the machine that image properties and options ask for."""
        return policy.machine(self.settings, request, self._host.architecture)

    def required_by(self, request: Request) -> Verdict:
        """Tell whether an instance gets a config drive, and why.

        It does if the request asks for one, if its image has
        img_config_drive=mandatory, or if force_config_drive is set and the
        instance hasn't been launched before.  Store the answer as
        config_drive of the instance's later requests: force_config_drive may
        change.
        """
        return policy.required(self.settings, request)

    def plan(
        self,
        request: Request,
        machine: Machine | None = None,
        *,
        rescue: bool = False,
    ) -> Plan:
        """Return what ``spawn`` would do, and the disk's XML.

        A service puts ``disk_xml``, and ``controller_xml`` if there is one,
        into the domain that it defines.

        :param machine: the machine of that domain, and what is on its buses;
            by default what :meth:`machine` returns, with nothing on them
        :param rescue: plan the drive that ``rescue`` builds
        :raises UnsupportedCombination: if settings exclude each other
        :raises StoreError: if the Ceph cluster must be asked for its
            monitors, and doesn't answer
        """
        settings = self.settings
        required = policy.required(settings, request)
        if not required:
            return Plan(required)
        decision = self._host.decide(settings, request, machine)
        drives = self._host.drives_of(request.uuid, settings)
        location = (drives.rescue if rescue else drives.current).location
        xml = disk_xml(
            location,
            decision,
            cache=stores.cache_mode(settings),
            discard=settings.discard,
            ceph=stores.ceph_access(settings),
        )
        controller = decision.controller
        return Plan(
            required,
            decision,
            location,
            xml,
            None if controller is None else controller_xml(controller),
        )

    def decide(
        self, request: Request, machine: Machine | None = None
    ) -> Decision:
        """Return how a drive would be built and attached, and why.

        :param machine: as for :meth:`plan`
        :raises UnsupportedCombination: if settings exclude each other
        """
        return self._host.decide(self.settings, request, machine)

    def tree(self, request: Request) -> MetadataTree:
        """Return the files that an instance's drive would hold.

        For a service that serves them in another way.  A request without
        random_seed gets a new one each time.

        :raises InvalidConfiguration: if the static vendor data is unusable
        """
        return self._host.tree_of(self.settings, request)

    def losses(
        self, request: Request, readers: Collection[Reader] = ()
    ) -> tuple[Loss, ...]:
        """Return what guests' readers refuse or lose of an instance's drive.

        First comes what the request has and the drive leaves out, as a loss
        of every reader.  No drive is built, and none needs to be required.
        Hooks don't look for losses: to parse the files takes a sixth of the
        time of a spawn.

        :param readers: of ``cfgdrive_virt.readers.READERS``; by default those
            that the image's properties suggest
        :raises ConfigDriveError: as :meth:`tree` and :meth:`decide`, or if
            there is too much JSON for a drive
        """
        settings = self.settings
        image_format = self._host.decide(settings, request).format
        tree = self._host.tree_of(settings, request)
        build.check_json(tree)
        content = Content(tree, image_format)
        losses = [
            Loss("request", key, f"not on the drive: {why}", reader=_EVERY)
            for key, why in build.left_out(request, settings)
        ]
        for reader in readers or likely(request.image_properties):
            losses += reader.losses(content)
        return tuple(losses)

    def build(
        self, request: Request, image_format: str | None = None
    ) -> DriveImage:
        """Return the image of an instance's drive, without storing it.

        The same request, random_seed, timestamp and options give the same
        bytes.

        :param image_format: ``iso9660`` or ``vfat``; by default what
            :meth:`plan` decides on
        :raises ImageError: if it would be larger than ``[cfgdrive_virt]
            max_drive_size``
        """
        settings = self.settings
        if image_format is None:
            image_format = self._host.decide(settings, request).format
        return self._host.image_of(settings, request, image_format)

    def location(self, uuid: str) -> Location:
        """Return where an instance's drive is, or would be.

        :raises InvalidRequest: if that isn't a UUID
        """
        drives = self._host.drives_of(checked_uuid(uuid), self.settings)
        return drives.current.location

    def exists(self, uuid: str) -> bool:
        """Tell whether an instance has a drive, whole or not.

        :raises StoreError: if something else is in its place
        """
        drives = self._host.drives_of(checked_uuid(uuid), self.settings)
        return drives.current.exists()

    def locked(self, uuid: str) -> AbstractContextManager[None]:
        """Hold an instance's ``domain`` lock, for as long as the context.

        A service that works on the instance's domain, and calls the hooks
        meanwhile, keeps others on this host from doing the same.

        :raises StoreError: on entry, if the lock file can't be used, or the
            lock isn't free in time
        """
        return stores.lock_of(self.settings, checked_uuid(uuid), "domain")
