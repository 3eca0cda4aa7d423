"""Send notes and drives from one nova-compute to another.

A note on the drive travels in nova's own LibvirtLiveMigrateData, in a field
that nova empties at the destination.  It also shows each host whether the
other one runs this driver.  The drive's bytes travel over nova's message bus,
which has carried the secrets in them before: no host needs access to another
host's files or libvirtd.

The other host may be compromised: what it sends is parsed here within bounds,
into values that are checked, or refused.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import oslo_messaging as messaging
from nova import exception, objects, rpc
from nova.virt.configdrive import CONFIGDRIVESIZE_BYTES

from cfgdrive_virt.exception import MigrationRefused
from cfgdrive_virt.model import json_text, rules
from cfgdrive_virt.model.drive import NAME
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from cfgdrive_virt.model.value import show

_TOPIC = "cfgdrive_virt"
_VERSION = "1.0"
#: Bytes of a drive per message; brokers limit messages to some MiB.
_STEP = 4 * 1024 * 1024
#: What zlib and base64 make of a part at most: zlib stores what it can't
#: compress, with some bytes per block.
_LONGEST_PART = (_STEP + _STEP // 256 + 1024) * 4 // 3
#: Offsets in the largest drive that any host allows are smaller.
_FARTHEST = 1 << 32
#: Largest list of disks, in characters of JSON; nova's has some hundreds for
#: each disk.
_LONGEST_LIST = 1024 * 1024
#: Characters of another host's error that are repeated.
_LONGEST_ERROR = 300

_KINDS = {kind.__name__: kind for kind in (DestinationCheck, MigratingDrive)}
_NOTHING = "NoDrive"

#: What one host notes for the other; None where there is no drive.
Note = DestinationCheck | MigratingDrive | None


def add_note(migrate_data: Any, note: Note) -> None:
    """Add a note for the other host to nova's migration data."""
    migrate_data.bdms = [
        objects.LibvirtLiveMigrateBDMInfo(
            serial=_TOPIC,
            type=type(note).__name__ if note else _NOTHING,
            connection_info_json=note.to_json() if note else "{}",
        )
    ]


def take_note(migrate_data: Any) -> tuple[bool, Note]:
    """Remove the other host's note from nova's migration data.

    Return whether there was one, i.e. whether that host runs this driver, and
    the note.

    :raises MigrationRefused: if the note isn't valid, or lacks what this
        version needs
    """
    if "bdms" not in migrate_data:
        return False, None
    # The other host may have left out any field.
    notes: list[Any] = []
    others: list[Any] = []
    for note in migrate_data.bdms:
        ours = "serial" in note and note.serial == _TOPIC
        (notes if ours else others).append(note)
    migrate_data.bdms = others
    if not notes:
        return False, None
    name = notes[0].type if "type" in notes[0] else None
    if name == _NOTHING:
        return True, None
    if name not in _KINDS or len(notes) > 1:
        raise MigrationRefused(
            "the other host runs another version of cfgdrive_virt (it sent"
            f" {len(notes)} notes, the first one a {show(name)}); upgrade both"
            " hosts"
        )
    with_text = "connection_info_json" in notes[0]
    text = notes[0].connection_info_json if with_text else None
    return True, _KINDS[name].from_json(text)


def has_iso(disk_info: object) -> bool:
    """Tell whether nova's list of disks has a drive that libvirt won't copy.

    :param disk_info: JSON from a source that runs nova's own driver; None if
        there is nothing to copy
    :raises MigrationRefused: if it isn't such a list
    """
    if disk_info is None or disk_info == "":
        return False
    try:
        disks = json_text.load_sent(disk_info, _LONGEST_LIST)
        # As nova's own tests have it.
        if disks == {}:
            return False
        return any(map(_is_iso, rules.list_of(_disk)(disks)))
    except ValueError as error:
        raise MigrationRefused(
            f"the list of disks that the other host sent {error}"
        ) from None


def _disk(value: Any) -> tuple[str, Any]:
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str):
        raise ValueError("must be a mapping with a path")
    return path.rpartition("/")[2], value.get("virt_disk_size")


def _is_iso(disk: tuple[str, Any]) -> bool:
    name, size = disk
    if name != NAME:
        return False
    # nova's VFAT drives are writable, and always have this size.
    return bool(rules.integer(0, _FARTHEST)(size) != CONFIGDRIVESIZE_BYTES)


class Endpoint:
    """The RPC methods by which a destination fetches a drive from here.

    :param read_drive: returns the bytes of an instance's drive; refuses
        instances that are not migrating
    """

    target = messaging.Target(version=_VERSION)

    def __init__(self, read_drive: Callable[[Any, str], bytes]) -> None:
        self._read_drive = read_drive

    @messaging.expected_exceptions(exception.MigrationPreCheckError)
    def read(self, context: Any, instance_uuid: str, offset: int) -> str:
        """Return a part of a drive from an offset on, zlib in base64.

        :raises MigrationPreCheckError: if the instance isn't migrating, or
            an argument isn't valid
        """
        try:
            uuid = rules.canonical_uuid(instance_uuid)
            start = rules.integer(0, _FARTHEST)(offset)
        except ValueError as error:
            raise exception.MigrationPreCheckError(
                reason="the request for a part of a config drive is not"
                f" valid: it {error}"
            ) from None
        # Read all of it each time: few drives have more than one part.
        part = self._read_drive(context, uuid)[start : start + _STEP]
        return base64.b64encode(zlib.compress(part, 1)).decode()


def serve(host: str, endpoint: Endpoint) -> Any:
    """Start the RPC server that drives are fetched from, and return it."""
    server = rpc.get_server(
        messaging.Target(topic=_TOPIC, server=host), [endpoint]
    )
    server.start()
    return server


def fetch(context: Any, host: str, drive: MigratingDrive) -> Iterator[bytes]:
    """Fetch the bytes of a drive from another host, in parts.

    :param drive: its size has been checked
    :raises MigrationRefused: if that fails, or a part isn't as long as it
        should be
    """
    client = rpc.get_client(
        messaging.Target(topic=_TOPIC, version=_VERSION)
    ).prepare(server=host)
    for offset in range(0, drive.size, _STEP):
        try:
            coded = client.call(
                context, "read", instance_uuid=drive.uuid, offset=offset
            )
            part = _decoded(coded, min(_STEP, drive.size - offset))
        # oslo.messaging raises whatever error of Python's the other host
        # names.
        except Exception as error:
            told = ascii(str(error))[1:-1][:_LONGEST_ERROR]
            raise MigrationRefused(
                f"can't fetch {drive.location} from {host}: {told}"
            ) from error
        yield part


def _decoded(coded: object, size: int) -> bytes:
    """Return the bytes of a part.

    :param size: how many there have to be
    :raises ValueError: if there are more or fewer, or it can't be decoded
    :raises zlib.error: likewise
    """
    if not isinstance(coded, str) or len(coded) > _LONGEST_PART:
        raise ValueError(f"a part is {show(coded, secret=True)}")
    inflate = zlib.decompressobj()
    # One more, to find out that there are more.
    part = inflate.decompress(base64.b64decode(coded, validate=True), size + 1)
    if len(part) != size or not inflate.eof or inflate.unused_data:
        raise ValueError(f"a part doesn't have {size:,} bytes")
    return part
