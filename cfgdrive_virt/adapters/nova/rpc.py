"""Send notes and drives from one nova-compute to another.

A note on the drive travels in nova's own LibvirtLiveMigrateData, in a field
that nova empties at the destination.  It also shows each host whether the
other one runs this driver.  The drive's bytes travel over nova's message bus,
which has carried the secrets in them before: no host needs access to another
host's files or libvirtd.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from collections.abc import Callable
from typing import Any

import oslo_messaging as messaging
from nova import exception, objects, rpc
from nova.virt.configdrive import CONFIGDRIVESIZE_BYTES

from cfgdrive_virt.exception import MigrationRefused
from cfgdrive_virt.model.drive import NAME
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive

_TOPIC = "cfgdrive_virt"
_VERSION = "1.0"
#: Bytes of a drive per message; brokers limit messages to some MiB.
_STEP = 4 * 1024 * 1024

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
            connection_info_json=json.dumps(
                dataclasses.asdict(note) if note else {}
            ),
        )
    ]


def take_note(migrate_data: Any) -> tuple[bool, Note]:
    """Remove the other host's note from nova's migration data.

    Return whether there was one, i.e. whether that host runs this driver, and
    the note.

    :raises MigrationRefused: if the note lacks what this version needs
    """
    if "bdms" not in migrate_data:
        return False, None
    notes = [note for note in migrate_data.bdms if note.serial == _TOPIC]
    migrate_data.bdms = [
        note for note in migrate_data.bdms if note not in notes
    ]
    if not notes:
        return False, None
    kind = _KINDS.get(notes[0].type)
    if kind is None:
        return True, None
    fields = json.loads(notes[0].connection_info_json)
    if kind is DestinationCheck:
        fields["locations"] = tuple(fields["locations"])
    # A newer version may add fields.
    known = {field.name for field in dataclasses.fields(kind)}
    try:
        note = kind(**{name: fields[name] for name in fields.keys() & known})
    except TypeError as error:
        raise MigrationRefused(
            "the other host runs another version of cfgdrive_virt; upgrade"
            " both hosts"
        ) from error
    return True, note


def has_iso(disk_info: str | None) -> bool:
    """Tell whether nova's list of disks has a drive that libvirt won't copy.

    :param disk_info: JSON from a source that runs nova's own driver; None if
        there is nothing to copy
    """
    return any(
        str(disk["path"]).rpartition("/")[2] == NAME
        # nova's VFAT drives are writable, and always have this size.
        and disk["virt_disk_size"] != CONFIGDRIVESIZE_BYTES
        for disk in json.loads(disk_info or "[]")
    )


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
        """Return a part of a drive from an offset on, zlib in base64."""
        # Read all of it each time: few drives have more than one part.
        drive = self._read_drive(context, instance_uuid)
        part = drive[offset : offset + _STEP]
        return base64.b64encode(zlib.compress(part, 1)).decode()


def serve(host: str, endpoint: Endpoint) -> Any:
    """Start the RPC server that drives are fetched from, and return it."""
    server = rpc.get_server(
        messaging.Target(topic=_TOPIC, server=host), [endpoint]
    )
    server.start()
    return server


def fetch(context: Any, host: str, drive: MigratingDrive) -> bytes:
    """Fetch the bytes of a drive from another host.

    :raises MigrationRefused: if that fails
    """
    client = rpc.get_client(
        messaging.Target(topic=_TOPIC, version=_VERSION)
    ).prepare(server=host)
    parts = []
    try:
        for offset in range(0, drive.size, _STEP):
            coded = client.call(
                context, "read", instance_uuid=drive.uuid, offset=offset
            )
            part = zlib.decompressobj()
            parts.append(part.decompress(base64.b64decode(coded), _STEP))
    except (
        messaging.MessagingException,
        exception.NovaException,
        zlib.error,
        ValueError,
    ) as error:
        raise MigrationRefused(
            f"can't fetch {drive.location} from {host}: {error}"
        ) from error
    return b"".join(parts)
