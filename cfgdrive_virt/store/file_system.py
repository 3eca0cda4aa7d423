"""The properties of the file system below instances_path."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")


def give_to_owner(path: Path | int, root: Path) -> None:
    """Give a file or directory that root created to the owner of ``root``.

    :param path: a path, or the descriptor of an open file

    A command that an operator runs as root must not lock the compute service
    out of its own files.
    """
    owner = root.stat()
    with contextlib.suppress(PermissionError):
        if isinstance(path, int):
            os.fchown(path, owner.st_uid, owner.st_gid)
        else:
            os.lchown(path, owner.st_uid, owner.st_gid)


def type_of(directory: Path) -> str:
    """Return the type of the file system that holds a directory.

    It is mount(8)'s name, such as ``ext4``, ``nfs4`` or ``fuse.glusterfs``;
    empty if it is unknown.  For a directory that doesn't exist yet, the
    nearest existing parent counts.  Source: proc(5), /proc/pid/mountinfo.
    """
    # Not by device numbers: each btrfs subvolume has its own.
    place = Path(os.path.realpath(directory))
    found, best = "", -1
    with (
        contextlib.suppress(OSError),
        _MOUNTS.open(encoding="utf-8", errors="replace") as f,
    ):
        for line in f:
            fields = line.split(" ")
            # Spaces, tabs, line ends and backslashes are octal escapes.
            point = Path(
                re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4])
            )
            depth = len(point.parts)
            # Of two mounts on one path, the later one hides the other.
            if depth >= best and place.is_relative_to(point):
                found, best = fields[fields.index("-") + 1], depth
    return found


def supports_direct_io(directory: Path) -> bool:
    """Tell whether files below a directory can be opened with O_DIRECT.

    QEMU's cache modes none and directsync need it; some file systems, such as
    tmpfs, don't support it.  For a directory that doesn't exist yet, the
    nearest existing parent counts.
    """
    place = _nearest(directory)
    flags = os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC
    name = place / ".cfgdrive_virt.probe"
    try:
        os.close(os.open(place, flags | os.O_TMPFILE, 0o600))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            # A directory that isn't writable says nothing about O_DIRECT.
            return error.errno != errno.EINVAL
    else:
        return True
    # A file system without unnamed files, such as NFS.
    try:
        os.close(os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        return error.errno != errno.EINVAL
    else:
        return True
    finally:
        name.unlink(missing_ok=True)


def _nearest(directory: Path) -> Path:
    absolute = directory.absolute()
    places = (absolute, *absolute.parents)
    # Unlike Path.is_dir, it returns False if access is denied.
    return next(place for place in places if os.path.isdir(place))  # noqa: PTH112
