"""What the two hosts of a live migration send each other about a drive."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from random import Random

from cfgdrive_virt.exception import MigrationRefused
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from fuzz import corpus, documents, mutate
from fuzz.target import Target, Violation

_CHECK = DestinationCheck(
    corpus.UUID,
    (f"/instances/{corpus.UUID}/disk.config", f"rbd:vms/{corpus.UUID}_x"),
    corpus.SHARE,
    "0123456789abcdef",
)
_DRIVE = MigratingDrive(
    corpus.UUID,
    f"/instances/{corpus.UUID}/disk.config",
    shared=False,
    readonly=True,
    size=4096,
    sha256="0123456789abcdef" * 4,
    inode=99,
)
_KINDS = (DestinationCheck, MigratingDrive)


class Notes(Target):
    """JSON of the values that hosts exchange."""

    name = "notes"

    def corpus(self) -> list[bytes]:
        """Return a note of each kind."""
        return [_CHECK.to_json().encode(), _DRIVE.to_json().encode()]

    def mutate(
        self, data: bytes, chance: Random, pool: Sequence[bytes]
    ) -> bytes:
        """Change the document, its text, or both."""
        kind = chance.random()
        if kind < 0.8:
            try:
                document = json.loads(data)
                others = [json.loads(one) for one in pool[:2]]
                document = documents.change(document, chance, others)
                data = documents.encode(document, chance)
            except (ValueError, RecursionError):
                kind = 1
        if kind > 0.7 and data:
            some = bytearray(data)
            all_of = (*mutate.IN_PLACE, *mutate.OF_SIZE)
            mutate.mutate(some, chance, pool, all_of)
            data = bytes(some)
        return data

    def run(self, data: bytes) -> str:
        """Parse a note as each kind; what is accepted is sent again."""
        kinds = []
        errors = []
        for kind in _KINDS:
            try:
                note = kind.from_json(data.decode("utf-8", "surrogatepass"))
                kind.of(note.uuid, pickle.loads(pickle.dumps(note)))  # noqa: S301
            except UnicodeDecodeError:
                return "not text"
            except MigrationRefused as error:
                errors.append(error)
                continue
            kinds.append(kind.__name__)
            if kind.from_json(note.to_json()) != note:
                raise Violation("sent again, it is another one")
        if not kinds:
            raise errors[len(data) % len(errors)]
        return " ".join(kinds)
