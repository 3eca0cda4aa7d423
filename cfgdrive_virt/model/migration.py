"""What the two hosts of a live migration send each other about a drive.

A compute service sends the values in a form of its choice: as a mapping of
strings, numbers, booleans and lists, as JSON, or in a message of its own.
Another host may be compromised, so a value is checked when it is made, and
once more by the hook that gets it: unpickling checks nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from cfgdrive_virt.exception import InvalidRequest, MigrationRefused, Problem
from cfgdrive_virt.model import json_text, rules
from cfgdrive_virt.model.value import Value, checked, show

#: Largest JSON text of a value, in characters; two long paths fit.
_MAX_JSON = 64 * 1024
#: A path's (PATH_MAX); a volume's location is shorter.
_MAX_LOCATION = 4096
#: Current place and older place: see InstanceDrives.attachable.
_MAX_LOCATIONS = 2

# Python's own Self needs 3.11.
_T = TypeVar("_T", bound="_PeerValue")
_location_text = rules.text(min_length=1, max_length=_MAX_LOCATION)


def _location(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    place: str = _location_text(value)
    if re.search(r"[\x00-\x1f\x7f-\x9f]", place):
        raise ValueError("must not contain control characters")
    return place


def _locations(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError("must be a list")
    if not 1 <= len(value) <= _MAX_LOCATIONS:
        raise ValueError(f"must have 1 to {_MAX_LOCATIONS} items")
    places: tuple[str, ...] = rules.list_of(_location)(value)
    return places


def _cluster(value: Any) -> str | None:
    if value is not None and not _matches(r"[0-9A-Fa-f-]{1,64}", value):
        raise ValueError("must be a UUID, or nothing")
    return None if value is None else str(value)


def _test_file(value: Any) -> str:
    if not _matches(r"[0-9a-f]{8,64}", value):
        raise ValueError("must be 8 to 64 hexadecimal digits")
    return str(value)


def _sha256(value: Any) -> str:
    if not _matches(r"([0-9a-f]{64})?", value):
        raise ValueError("must be 64 hexadecimal digits, or empty")
    return str(value)


def _matches(pattern: str, value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(pattern, value))


class _PeerValue(Value):
    """Base class of what one host sends to the other.

    :raises MigrationRefused: when it is made, if a field has a value that it
        can't have; the error names the field
    """

    __slots__ = ()
    uuid: str

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except InvalidRequest as error:
            listed = "; ".join(map(str, error.problems))
            raise MigrationRefused(
                f"{type(self).__name__} of a live migration is not valid:"
                f" {listed}"
            ) from None

    @classmethod
    def of(cls: type[_T], uuid: str, given: object) -> _T:  # noqa: PYI019
        """Return what a host sent, if it is of this kind and this instance's.

        A compromised host could otherwise replace or remove the drive of
        another instance.

        :param uuid: as the service has it, in its canonical form
        :raises MigrationRefused: if it isn't, or has a field that isn't valid
        """
        if not isinstance(given, cls):
            raise MigrationRefused(
                f"expected a {cls.__name__}, found {show(given, secret=True)}"
            )
        # Whatever was unpickled may lack fields.
        again = cls.from_mapping(
            {
                field.name: getattr(given, field.name)
                for field in dataclasses.fields(cls)
                if hasattr(given, field.name)
            }
        )
        if again.uuid != uuid:
            raise MigrationRefused(
                "the other host sent the config drive of instance"
                f" {again.uuid}, not of {uuid}"
            )
        return again

    @classmethod
    def from_mapping(cls: type[_T], document: object) -> _T:  # noqa: PYI019
        """Return what another host sent, from its fields by their names.

        Fields that only a newer version knows are ignored.

        :raises MigrationRefused: if one is missing or isn't valid
        """
        if not isinstance(document, Mapping):
            raise MigrationRefused(
                f"{cls.__name__} of a live migration must be a mapping, not"
                f" {show(document, secret=True)}"
            )
        fields = dataclasses.fields(cls)
        for field in fields:
            if (
                field.default is dataclasses.MISSING
                and field.name not in document
            ):
                raise MigrationRefused(
                    "the other host runs another version of cfgdrive_virt"
                    f" (its {cls.__name__} has no {field.name}); upgrade both"
                    " hosts"
                )
        return cls(
            **{
                field.name: document[field.name]
                for field in fields
                if field.name in document
            }
        )

    @classmethod
    def from_json(cls: type[_T], text: object) -> _T:  # noqa: PYI019
        """Return what another host sent, from :meth:`to_json`'s text.

        :raises MigrationRefused: as :meth:`from_mapping`, or if it isn't JSON
        """
        try:
            document = json_text.load_sent(text, _MAX_JSON)
        except ValueError as error:
            raise MigrationRefused(
                f"{cls.__name__} of a live migration {error}"
            ) from None
        return cls.from_mapping(document)

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields by their names, in types that JSON has."""
        found = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
        }

    def to_json(self) -> str:
        """Return the fields as a JSON object, in ASCII."""
        return json.dumps(self.to_mapping())


@dataclasses.dataclass(frozen=True, slots=True)
class DestinationCheck(_PeerValue):
    """Where the destination would have an instance's drive.

    :param uuid: the instance's
    :param locations: the possible locations, as strings
    :param cluster: the fsid of the Ceph cluster; None without one
    :param test_file: name of the shared storage test file below
        instances_path; if the source sees it, both hosts share storage
    """

    uuid: str = checked(rules.canonical_uuid)
    locations: tuple[str, ...] = checked(_locations)
    cluster: str | None = checked(_cluster)
    test_file: str = checked(_test_file)


@dataclasses.dataclass(frozen=True, slots=True)
class MigratingDrive(_PeerValue):
    """An instance's drive as it was when its migration began.

    :param uuid: the instance's
    :param location: the same on both hosts, as a string
    :param shared: whether both hosts share the drive: then it is neither
        transferred nor removed, and size is 0 and sha256 empty
    :param readonly: whether the guest has it read-only: libvirt copies only
        writable drives, over the transferred one
    :param size: in bytes
    :param sha256: of the bytes, in hex
    :param inode: of the source's file; only this file is removed there
    """

    uuid: str = checked(rules.canonical_uuid)
    location: str = checked(_location)
    shared: bool = checked(rules.boolean)
    readonly: bool = checked(rules.boolean)
    # Each host has a limit of its own besides: see drive_here.
    size: int = checked(rules.integer(0, (1 << 63) - 1), default=0)
    sha256: str = checked(_sha256, default="")
    inode: int = checked(rules.integer(0, (1 << 64) - 1), default=0)

    def _conflicts(self) -> Iterator[Problem]:
        if not self.shared and not self.sha256:
            yield Problem(
                "sha256", "", "must be given for a drive that isn't shared"
            )

    def is_same(self, data: bytes) -> bool:
        """Tell whether the source had these bytes."""
        return len(data) == self.size and sum_of(data) == self.sha256

    def has_arrived(self, data: bytes | None) -> bool:
        """Tell whether these bytes are the drive of a migrated guest.

        The guest may have changed a writable drive meanwhile, but not to
        zeros.
        """
        if data is None:
            return False
        if not self.shared and self.is_same(data):
            return True
        zeros = data.count(0) == len(data)
        if self.shared or zeros:
            return not zeros
        return not self.readonly and len(data) == self.size


def sum_of(data: bytes) -> str:
    """Return the SHA-256 sum of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()
