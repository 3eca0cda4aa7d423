"""The properties of the file system below instances_path."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.directory import Directory, close

_MOUNTS = Path("/proc/self/mountinfo")
_PROBE = ".cfgdrive_virt.probe"
#: Errors of file systems that have no unnamed files.
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT)


def type_of(directory: Path) -> str:
    """Return the type of the file system that holds a directory.

    It is mount(8)'s name, such as ``ext4``, ``nfs4`` or ``fuse.glusterfs``;
    empty if it is unknown.  For a directory that doesn't exist yet, the
    nearest existing parent counts.  Source: proc(5), /proc/pid/mountinfo.
    """
    # Not by device numbers: each btrfs subvolume has its own.
    place = f"{os.path.realpath(directory)}/"
    found, best = "", -1
    with (
        contextlib.suppress(OSError),
        _MOUNTS.open(encoding="utf-8", errors="replace") as f,
    ):
        for line in f:
            fields = line.split(" ")
            point = fields[4]
            if "\\" in point:
                # Spaces, tabs, line ends and backslashes are octal escapes.
                point = re.sub(
                    r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), point
                )
            # Of two mounts on one path, the later one hides the other.
            below = f"{point.rstrip('/')}/"
            if len(point) >= best and place.startswith(below):
                found, best = fields[fields.index("-") + 1], len(point)
    return found


def supports_direct_io(directory: Path) -> bool:
    """Tell whether files below a directory can be opened with O_DIRECT.

    QEMU's cache modes none and directsync need it; some file systems, such as
    tmpfs, don't support it.  For a directory that doesn't exist yet, the
    nearest existing parent counts.
    """
    flags = os.O_RDWR | os.O_DIRECT
    # A directory that isn't writable says nothing about O_DIRECT.
    try:
        with Directory.of(_nearest(directory)) as place:
            try:
                unnamed = flags | os.O_TMPFILE | os.O_CLOEXEC
                close(os.open(".", unnamed, 0o600, dir_fd=place.handle))
            except OSError as error:
                if error.errno not in _NO_NAMELESS:
                    raise
                # A file system without unnamed files, such as NFS.
                _probe(place, flags)
    except (OSError, StoreError) as error:
        return getattr(error, "errno", None) != errno.EINVAL
    return True


def _probe(place: Directory, flags: int) -> None:
    """Open a file under a name with these flags."""
    # Of a process that was killed.
    place.remove(_PROBE)
    try:
        close(place.open(_PROBE, flags | os.O_CREAT | os.O_EXCL))
    finally:
        with contextlib.suppress(OSError):
            place.remove(_PROBE)


def _nearest(directory: Path) -> Path:
    absolute = directory.absolute()
    places = (absolute, *absolute.parents)
    # Unlike Path.is_dir, it returns False if access is denied.
    return next(place for place in places if os.path.isdir(place))  # noqa: PTH112
