"""What the two hosts of a live migration send each other about a drive.

An input is JSON.  ``/instances`` in it stands for the directory that the
driver has its drives in.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from cfgdrive_virt.exception import ConfigDriveError, MigrationRefused
from cfgdrive_virt.model.drive import ISO9660
from cfgdrive_virt.model.migration import (
    DestinationCheck,
    MigratingDrive,
    sum_of,
)
from fuzz import corpus, documents, mutate, scratch
from fuzz.limits import Limits
from fuzz.target import Target, Violation

_STANDS_FOR = "/instances"
_PLACE = f"{_STANDS_FOR}/{corpus.UUID}/disk.config"
_KINDS = (DestinationCheck, MigratingDrive)
_OTHER = "00000000-0000-4000-8000-00000000000a"
_ITS_DRIVE = b"another instance's drive"
_DOMAIN = (
    f"<domain><uuid>{corpus.UUID}</uuid><devices><disk type='file'"
    " device='cdrom'><source file='%s'/><target dev='sda'/><readonly/></disk>"
    "</devices></domain>"
)
_VALUES = (
    _PLACE, f"{_STANDS_FOR}/{_OTHER}/disk.config", _STANDS_FOR,
    f"{_STANDS_FOR}/{corpus.UUID}/../{_OTHER}/disk.config", f"{_PLACE}/",
    f"{_PLACE}\0", f"{_STANDS_FOR}/{_OTHER}", _OTHER, corpus.UUID,
    corpus.UUID.upper(), corpus.UUID.replace("-", ""), "rbd:vms/x",
    "../../" + _OTHER, "disk.config", "0" * 64, "f" * 8, "/etc/passwd",
    "x" * 4096, "x" * 4097, "", True, False, None, 0, 1, -1, 2**63 - 1, 2**64,
)  # fmt: skip

#: Characters of a note that is given to the hooks, too.
_LONGEST = 100_000


class Notes(Target):
    """JSON of the values that hosts exchange, and the hooks that take it."""

    name = "notes"
    limits = Limits(memory=16 << 20)

    def corpus(self) -> list[bytes]:
        """Return a note of each kind."""
        drive = corpus.image(corpus.trees()[3], ISO9660)
        check = DestinationCheck(
            corpus.UUID, (_PLACE,), corpus.SHARE, "0123456789abcdef"
        )
        known = MigratingDrive(
            corpus.UUID,
            _PLACE,
            shared=False,
            readonly=True,
            size=len(drive),
            sha256=sum_of(drive),
            inode=99,
        )
        shared = MigratingDrive(
            corpus.UUID, _PLACE, shared=True, readonly=True
        )
        return [one.to_json().encode() for one in (check, known, shared)]

    def mutate(
        self, data: bytes, chance: Random, pool: Sequence[bytes]
    ) -> bytes:
        """Change the document, its text, or both."""
        kind = chance.random()
        if kind < 0.85:
            data = _changed(data, chance, pool)
        if kind > 0.75 and data:
            some = bytearray(data)
            all_of = (*mutate.IN_PLACE, *mutate.OF_SIZE)
            mutate.mutate(some, chance, pool, all_of)
            data = bytes(some)
        return data

    def run(self, data: bytes) -> str:
        """Parse a note as each kind, and give it to the hooks."""
        text = data.decode("utf-8", "replace").replace(
            _STANDS_FOR, str(scratch.root())
        )
        kinds: list[str] = []
        errors: list[ConfigDriveError] = []
        for kind in _KINDS:
            try:
                _send_again(kind.from_json(text))
                kinds.append(kind.__name__)
            except MigrationRefused as error:
                errors.append(error)
        if kinds or self.sampled(data, 4):
            kinds += _hooks(text, errors)
        if not kinds:
            raise errors[len(data) % len(errors)]
        return " ".join(kinds)

    def close(self) -> None:
        """Remove the driver's directory."""
        scratch.remove()


def _changed(data: bytes, chance: Random, pool: Sequence[bytes]) -> bytes:
    """Change the document, if it is one."""
    try:
        document = json.loads(data)
        others = [json.loads(one) for one in pool[:3]]
    except (ValueError, RecursionError):
        return data
    if isinstance(document, dict) and document and chance.random() < 0.6:
        for _ in range(chance.choice((1, 1, 2, 3))):
            name = chance.choice(list(document))
            document[name] = chance.choice(_VALUES)
    else:
        document = documents.change(document, chance, others)
    return documents.encode(document, chance)


def _send_again(note: DestinationCheck | MigratingDrive) -> None:
    """Send a note that was accepted, in both ways."""
    kind = type(note)
    if kind.from_json(note.to_json()) != note:
        raise Violation("sent again, it is another one")
    again = pickle.loads(pickle.dumps(note))  # noqa: S301
    if kind.of(note.uuid, again) != note:
        raise Violation("pickled, it is another one")


def _hooks(text: str, errors: list[ConfigDriveError]) -> Iterator[str]:
    """Give notes to the hooks; yield the names of those that take them.

    The notes are as they were unpickled, which checks nothing.
    """
    if len(text) > _LONGEST:
        # Parsed here, it would take the memory that the product may not.
        return
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    driver = scratch.driver()
    whole = corpus.image(corpus.trees()[3], ISO9660)
    scratch.put(corpus.UUID, whole)
    other = scratch.put(_OTHER, _ITS_DRIVE)
    domain = _DOMAIN % driver.location(corpus.UUID)
    check = _unchecked(DestinationCheck, document)
    drive = _unchecked(MigratingDrive, document)
    calls: tuple[Callable[[], object], ...] = (
        lambda: driver.check_can_live_migrate_source(
            corpus.UUID, check, domain, block_migration=False
        ),
        lambda: driver.cleanup_live_migration_destination_check(
            corpus.UUID, check
        ),
        lambda: driver.read_migrating(corpus.UUID, drive),
        lambda: driver.must_fetch(corpus.UUID, drive),
        lambda: driver.pre_live_migration(
            corpus.UUID, drive, lambda: [whole[:5000], whole[5000:]]
        ),
        lambda: driver.post_live_migration_at_destination(corpus.UUID, drive),
        lambda: driver.rollback_live_migration_at_destination(
            corpus.UUID, drive
        ),
        lambda: driver.post_live_migration(corpus.UUID, drive),
    )
    for number, call in enumerate(calls):
        try:
            call()
        except ConfigDriveError as error:
            errors.append(error)
        else:
            yield str(number)
        with contextlib.suppress(FileNotFoundError):
            if other.read_bytes() == _ITS_DRIVE:
                continue
        raise Violation(f"hook {number} changed another instance's drive")


def _unchecked(kind: type, document: dict[str, Any]) -> Any:
    made: Any = object.__new__(kind)
    for field in dataclasses.fields(kind):
        if field.name in document:
            object.__setattr__(made, field.name, document[field.name])
    return made
