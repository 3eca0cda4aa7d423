"""A drive's bytes as they come from another host, in parts.

The other host may be compromised: each part is checked before it is kept, and
no more is kept than the drive has.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from cfgdrive_virt.exception import MigrationRefused
from cfgdrive_virt.model.migration import MigratingDrive
from cfgdrive_virt.model.value import show
from cfgdrive_virt.store.os_error import explained

#: Bytes of a part that is read back.
_STEP = 1024 * 1024


class Spool:
    """The bytes of one drive, in a file without a name: see :func:`spool`."""

    def __init__(self, drive: MigratingDrive, file: BinaryIO) -> None:
        self._drive = drive
        self._file = file
        self._lead = f"can't store the fetched {drive.location}"
        self._size = 0
        self._sum = hashlib.sha256()

    def fill(self, parts: object) -> None:
        """Keep all parts, and check that they are the drive.

        :raises MigrationRefused: as :meth:`add` and :meth:`check`
        :raises StoreError: as :meth:`add`
        """
        # The parts of a bytes object would be numbers.
        if not isinstance(parts, Iterable) or isinstance(parts, (bytes, str)):
            raise MigrationRefused(
                f"{self._drive.location} must be fetched as parts, an iterable"
                f" of bytes objects, not {show(parts, secret=True)}"
            )
        for part in parts:
            self.add(part)
        self.check()

    def add(self, part: object) -> None:
        """Keep the next part.

        :raises MigrationRefused: if it isn't bytes, or there is too much
        :raises StoreError: if it can't be written
        """
        if not isinstance(part, bytes) or not part:
            # Empty ones could come for ever.
            raise MigrationRefused(
                f"a part of the fetched {self._drive.location} is"
                f" {show(part, secret=True)}, not some bytes"
            )
        if self._size + len(part) > self._drive.size:
            self._refuse_size("more than")
        with explained(self._lead):
            view = memoryview(part)
            while view:
                view = view[self._file.write(view) :]
        self._size += len(part)
        self._sum.update(part)

    def check(self) -> None:
        """Refuse what isn't the source's drive.

        :raises MigrationRefused: if its size differs, or the sum of one that
            the guest can't have changed meanwhile
        """
        if self._size != self._drive.size:
            self._refuse_size("fewer than")
        # A writable drive libvirt copies once more.
        if self._drive.readonly and (
            self._sum.hexdigest() != self._drive.sha256
        ):
            raise MigrationRefused(
                f"the fetched {self._drive.location} doesn't have the source's"
                " SHA-256 sum; try again"
            )

    def parts(self) -> Iterator[bytes]:
        """Yield all that was kept.

        :raises StoreError: if it can't be read
        """
        with explained(self._lead):
            self._file.seek(0)
        while True:
            with explained(self._lead):
                part = self._file.read(_STEP)
            if not part:
                return
            yield part

    def _refuse_size(self, relation: str) -> None:
        raise MigrationRefused(
            f"the fetched {self._drive.location} has {relation} the source's"
            f" {self._drive.size:,} bytes; try again"
        )


@contextlib.contextmanager
def spool(drive: MigratingDrive, root: Path) -> Iterator[Spool]:
    """Have a file for a drive's bytes; at the end, it is gone.

    No instance's lock is held while another host is waited for, so the bytes
    can't come into the instance's directory at once.

    :param drive: its place and size have been checked
    :param root: nova's ``instances_path``
    :raises StoreError: if the file can't be created
    """
    with contextlib.ExitStack() as opened:
        with explained(f"can't create a file in {root}"):
            # It has no name, and its mode is 0600.
            file = opened.enter_context(
                tempfile.TemporaryFile(dir=root, buffering=0)
            )
        yield Spool(drive, file)
