"""What the hooks are made of: look at a drive, make it ready, exchange it.

    request -> tree -> image -> store -> location

All of it under the instance's ``drive`` lock, and told in the journal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from typing import Protocol

from cfgdrive_virt.driver import operation_log, stores
from cfgdrive_virt.driver.planner import Planner, canonical, required
from cfgdrive_virt.driver.status import as_found, examine, left_out_of
from cfgdrive_virt.exception import (
    ConfigDriveError,
    DriveInUse,
    DriveUnreadable,
    NoWholeDrive,
    StoreError,
)
from cfgdrive_virt.libvirt_xml.domain import Domain
from cfgdrive_virt.metadata.openstack import secrets
from cfgdrive_virt.model.decision import Machine
from cfgdrive_virt.model.drive import Contents, DriveImage, Location
from cfgdrive_virt.model.request import ConfigDriveRequest, Request
from cfgdrive_virt.model.status import DAMAGED, FRESH, MISSING, Status
from cfgdrive_virt.settings import Settings
from cfgdrive_virt.store.lock import locked

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Drive:
    """A drive that is in place.

    :param built: False if it was there before and has been left alone
    """

    location: Location
    built: bool


class First(Protocol):
    """What is done before anything is looked at."""

    def __call__(self, settings: Settings, uuid: str, *, whole: bool) -> None:
        """Do it; fail if something isn't whole that has to be."""


class Medium(Protocol):
    """The drive in a running guest's hands.  Either may be done twice."""

    def take(self) -> None:
        """Take it out; nothing has changed if that fails."""

    def give(self) -> None:
        """Put in what is in the drive's place now."""


class Upkeep(Planner):
    """Work on one instance's drive."""

    def _make_ready(
        self,
        operation: str,
        instance: Request | str,
        machine: Machine | None,
        domain_xml: str | bytes | None,
        *,
        same_guest: bool = True,
        anew: bool = False,
        store_of: Callable[[Settings], stores.Store] = stores.store_of,
        first: First | None = None,
    ) -> Drive | None:
        """Have a drive in place that says what a request says.

        :param instance: the request, or the UUID where there is none: then
            the drive has to be whole
        :param same_guest: whether the guest may have been up, and needs its
            one-shot secrets no more
        :param anew: make it anew, whatever is there
        :param first: what is done before anything is looked at
        """
        if isinstance(instance, str):
            return self._take_as_it_is(operation, canonical(instance), first)
        request, uuid = instance, instance.uuid
        with operation_log.operation(operation, uuid) as entry:
            settings = self.settings
            requirement = required(settings, request)
            if not requirement:
                entry.outcome, entry.reason = "no drive", requirement.reason
                return None
            decision = self._decide(settings, request, machine)
            if domain_xml is not None and isinstance(
                request, ConfigDriveRequest
            ):
                devices = Domain(domain_xml).locate(request.devices)
                request = dataclasses.replace(request, devices=devices)
            for warning in decision.warnings:
                LOG.warning("Config drive of instance %s: %s", uuid, warning)
            store = store_of(settings)
            location = store.location(uuid)
            with locked(settings.instances_path, uuid):
                if same_guest:
                    self._bring_in(settings, uuid, first, whole=False)
                found = Status(location, MISSING)
                try:
                    if not anew:
                        found = self._look(settings, store, uuid, request)
                except DriveUnreadable as error:
                    # To make it anew could lose what only it still says.
                    LOG.warning("%s; it is left alone", error)
                    sweep(store, uuid)
                    entry.outcome = f"left alone {location}, unread"
                    return Drive(location, built=False)
                if found.state == DAMAGED:
                    LOG.warning("Config drive %s is %s", location, found)
                same_format = (
                    found.contents is not None
                    and found.contents.format == decision.format
                )
                if found.state == FRESH and same_format:
                    sweep(store, uuid)
                    entry.outcome = f"left alone {location}"
                    return Drive(location, built=False)
                image = self._renewed(
                    settings,
                    request,
                    found,
                    decision.format,
                    same_guest=same_guest,
                )
                store.write(uuid, image.data)
                sweep(store, uuid)
            entry.outcome = _built(location, image)
            entry.reason = "; ".join(
                (
                    "made anew" if anew else str(found),
                    requirement.reason,
                    decision.reason,
                )
            )
        return Drive(location, built=True)

    def _take_as_it_is(
        self,
        operation: str,
        uuid: str,
        first: First | None,
    ) -> Drive:
        with operation_log.operation(operation, uuid) as entry:
            settings = self.settings
            store = stores.store_of(settings)
            with locked(settings.instances_path, uuid):
                self._bring_in(settings, uuid, first, whole=True)
                location = store.location(uuid)
                entry.outcome = f"left alone {location}"
                try:
                    self._whole(settings, store, uuid)
                except DriveUnreadable as error:
                    LOG.warning("%s; it is left alone", error)
                    entry.outcome += ", unread"
                sweep(store, uuid)
        return Drive(location, built=False)

    def _bring_in(
        self,
        settings: Settings,
        uuid: str,
        first: First | None,
        *,
        whole: bool,
    ) -> None:
        """Move a drive to its place that is somewhere else.

        That of a resize, as a hook does first; and one that nova once left in
        a file, where drives are kept in Ceph.
        """
        if first:
            first(settings, uuid, whole=whole)
        store, *older = stores.stores_of(settings)
        for other in older:
            if store.exists(uuid):
                return
            data = self._reads(settings, other, uuid)
            found = examine(other.location(uuid), data, settings)
            if data is not None and found.state == FRESH:
                store.write(uuid, data)
                other.delete(uuid)

    def _look(
        self,
        settings: Settings,
        store: stores.Store,
        uuid: str,
        request: Request | None = None,
        medium: Medium | None = None,
    ) -> Status:
        """Tell how it stands with a drive.

        :param medium: by which a guest has it
        """
        try:
            data = self._read(settings, store, uuid)
        except DriveUnreadable:
            if medium is None:
                raise
            # A call that was killed may have taken it: libvirt reads what a
            # guest has.
            medium.give()
            data = self._read(settings, store, uuid)
        return examine(store.location(uuid), data, settings, request)

    def _whole(
        self,
        settings: Settings,
        store: stores.Store,
        uuid: str,
        medium: Medium | None = None,
    ) -> Contents:
        """Return what a drive holds.

        :raises NoWholeDrive: if there is none, or it is damaged
        """
        found = self._look(settings, store, uuid, medium=medium)
        if found.contents is None:
            raise NoWholeDrive(
                f"config drive {found.location} is {found}; it can be made"
                " anew only from the instance's request: give that, not the"
                " UUID alone"
            )
        return found.contents

    def _renewed(
        self,
        settings: Settings,
        request: Request,
        found: Status,
        image_format: str,
        *,
        same_guest: bool,
    ) -> DriveImage:
        """Return the image that takes the place of what was found."""
        if found.contents is None:
            without = settings.one_shot_secrets if same_guest else ()
            known = secrets.request_without(request, without)
        else:
            without = left_out_of(found.contents)
            known = as_found(request, found.contents)
        return self._build(settings, known, image_format, without)

    def _exchange(
        self,
        settings: Settings,
        store: stores.Store,
        uuid: str,
        image: DriveImage,
        medium: Medium | None,
    ) -> None:
        """Write a drive that a guest may have, or leave all as it was."""
        if medium is None:
            store.write(uuid, image.data)
            return
        old = self._read(settings, store, uuid)
        try:
            medium.take()
            store.write(uuid, image.data)
            medium.give()
        except BaseException as error:
            self._put_back(settings, store, uuid, old, medium, error)
            raise

    def _put_back(
        self,
        settings: Settings,
        store: stores.Store,
        uuid: str,
        old: bytes | None,
        medium: Medium,
        error: BaseException,
    ) -> None:
        """Undo an exchange, as far as it can be.

        :raises StoreError: if it can't be, saying what is left
        """
        left = []
        try:
            if old is None:
                store.delete(uuid)
            elif self._reads(settings, store, uuid) != old:
                store.write(uuid, old)
        except ConfigDriveError as problem:
            left.append(f"the drive may be the new one ({problem})")
        try:
            medium.give()
        except Exception as problem:
            left.append(f"the guest has none now ({problem})")
        if left:
            raise StoreError(
                f"{error}; {', and '.join(left)}: refresh it again"
            ) from error

    def _reads(
        self, settings: Settings, store: stores.Store, uuid: str
    ) -> bytes | None:
        """Return what a drive holds; None also if nobody can read it."""
        try:
            return self._read(settings, store, uuid)
        except DriveUnreadable:
            return None

    def _remove(
        self,
        settings: Settings,
        store: stores.Store,
        uuid: str,
        *,
        retry: bool = True,
    ) -> bool:
        """Remove a drive; tell whether there was one.

        :param retry: in Ceph, try one that somebody has open again, as nova
            does
        """
        retries = settings.rbd_destroy_retries if retry else 0
        for left in range(retries, -1, -1):
            try:
                with locked(settings.instances_path, uuid):
                    return store.delete(uuid)
            except DriveInUse as error:
                if not left:
                    raise
                LOG.info("%s; trying again, %d times at most", error, left)
                self._sleep(settings.rbd_destroy_interval)
        raise AssertionError("a loop that runs at least once")


def sweep(store: stores.Store, uuid: str) -> None:
    """Remove what killed writers left, if nobody has it open."""
    with contextlib.suppress(StoreError):
        store.sweep(uuid, thorough=False)


def refuse_users(store: stores.Store, uuid: str) -> None:
    """Refuse a drive that somebody has open."""
    location = store.location(uuid)
    # Of what libvirt has taken and not given back nobody can tell.
    with contextlib.suppress(DriveUnreadable):
        if users := store.look(location).users:
            raise StoreError(f"{location} is in use by {', '.join(users)}")


def _built(location: Location, image: DriveImage) -> str:
    return f"built {location} ({image.format}, {len(image.data):,} bytes)"
