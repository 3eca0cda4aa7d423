"""What there is to know of the file system below instances_path."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")


def give_to_owner(path: Path | int, root: Path) -> None:
    """Give what root made to the owner of the directory it is in.

    :param path: or an open file's descriptor

    An operator's command, run as root, must not lock the compute service
    out of what it owns.
    """
    owner = root.stat()
    with contextlib.suppress(PermissionError):
        if isinstance(path, int):
            os.fchown(path, owner.st_uid, owner.st_gid)
        else:
            os.lchown(path, owner.st_uid, owner.st_gid)


def type_of(directory: Path) -> str:
    """Return the type of the file system that holds a directory.

    As mount(8) names it, such as ``ext4``, ``nfs4`` or ``fuse.glusterfs``;
    empty where that isn't told.  A directory that isn't there yet is judged
    by the nearest one above it.  Source: proc(5), /proc/pid/mountinfo.
    """
    # Not by device numbers: a subvolume of btrfs has one of its own.
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
            # Of two mounts on one place the later one hides the other.
            if depth >= best and place.is_relative_to(point):
                found, best = fields[fields.index("-") + 1], depth
    return found


def supports_direct_io(directory: Path) -> bool:
    """Tell whether files below a directory can be opened with O_DIRECT.

    QEMU's cache modes none and directsync need it; some file systems, tmpfs
    among them, don't have it.  A directory that isn't there yet is judged by
    the nearest one above it.
    """
    place = _nearest(directory)
    flags = os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC
    name = place / ".cfgdrive_virt.probe"
    try:
        os.close(os.open(place, flags | os.O_TMPFILE, 0o600))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            # A directory that can't be written to says nothing of O_DIRECT.
            return error.errno != errno.EINVAL
    else:
        return True
    # A file system without files that have no name, such as NFS.
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
    # Unlike Path's, this one takes what can't be looked at for none.
    return next(place for place in places if os.path.isdir(place))  # noqa: PTH112
