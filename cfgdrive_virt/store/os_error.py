"""Errors of the operating system become StoreErrors with a remedy."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from cfgdrive_virt.exception import StoreError


class MissingError(StoreError):
    """The file or directory doesn't exist."""


#: Causes and remedies of the errors that operators meet.
_REMEDIES = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the disk quota is used up; make room",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied; check the directory's owner",
    errno.EPERM: "permission denied; check the directory's owner",
    errno.ENOENT: "the directory is missing",
    errno.EEXIST: "something else already has that name",
    errno.ENOTDIR: "a part of the path is a link, or not a directory",
    errno.ELOOP: "it is a symbolic link, which is not followed; remove it",
    errno.EISDIR: "a directory has that name",
    errno.EIO: "the disk is failing",
}


@contextlib.contextmanager
def explained(lead: str) -> Iterator[None]:
    """Turn an OSError inside the context into a StoreError.

    :param lead: the action that failed
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
