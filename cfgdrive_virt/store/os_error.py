"""Errors of the operating system become StoreErrors that tell what to do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from cfgdrive_virt.exception import StoreError


class MissingError(StoreError):
    """What is looked for isn't there."""


#: What to do about errors that operators meet.
_REMEDIES = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the disk quota is used up; make room",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied; check the directory's owner",
    errno.EPERM: "permission denied; check the directory's owner",
    errno.ENOENT: "the directory is missing",
    errno.EEXIST: "something else already has that name",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.ELOOP: "the directory is a symbolic link; use the path it points to",
    errno.EISDIR: "a directory has that name",
    errno.EIO: "the disk is failing",
}


@contextlib.contextmanager
def explained(lead: str) -> Iterator[None]:
    """Turn what fails meanwhile into a StoreError.

    :param lead: what couldn't be done
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        missing = isinstance(error, FileNotFoundError)
        kind = MissingError if missing else StoreError
        remedy = _REMEDIES.get(number, os.strerror(number))
        code = errno.errorcode.get(number, "?")
        raise kind(f"{lead}: {remedy} ({code})") from error
