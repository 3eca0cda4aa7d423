"""Read configuration, files and environment for the command line."""

from __future__ import annotations

import os
import stat
import sys
from typing import BinaryIO

from oslo_config import cfg

from cfgdrive_virt.adapters.cli import instance_file
from cfgdrive_virt.driver import stores
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.exception import (
    InvalidConfiguration,
    InvalidRequest,
    Problem,
    StoreError,
)
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.drive import RbdLocation
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.model.value import show
from cfgdrive_virt.store.directory import kind

_CHUNK = 1024 * 1024
_VOLUME = "rbd:"
#: Where a process finds what it has open.
_OUR_PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")

_MAX_UUID_BYTES = 64 * 1024 * 1024


def make_driver(config_files: tuple[str, ...]) -> ConfigDriveDriver:
    """Return a driver that is configured by these files.

    If SOURCE_DATE_EPOCH is set, the driver's clock always returns it.

    :raises InvalidConfiguration: if a file or SOURCE_DATE_EPOCH is invalid
    """
    conf = cfg.ConfigOpts()
    try:
        conf(
            args=[],
            project="cfgdrive-virt",
            default_config_files=list(config_files),
            default_config_dirs=[],
        )
    except cfg.ConfigFileParseError as error:
        # oslo's text quotes the line, and nova.conf is full of passwords.
        line = getattr(error.__context__, "lineno", "?")
        raise InvalidConfiguration(
            f"{error.config_file}, line {line}: expected [group], name ="
            " value, or a comment"
        ) from None
    except UnicodeDecodeError as error:
        raise InvalidConfiguration(
            f"{' or '.join(config_files)} is not UTF-8"
        ) from error
    except cfg.Error as error:
        raise InvalidConfiguration(f"configuration: {error}") from error
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return ConfigDriveDriver(conf)
    plain = epoch.isascii() and epoch.isdigit()
    # Cut it, as Python refuses to convert thousands of digits; a number of
    # 20 digits is too large anyway.
    if not plain or int(epoch[:20]) > iso9660.LAST_TIMESTAMP:
        raise InvalidConfiguration(
            "SOURCE_DATE_EPOCH must be seconds since 1970, at most"
            f" {iso9660.LAST_TIMESTAMP}, not {epoch[:20]!a}"
        )
    return ConfigDriveDriver(conf, clock=lambda: int(epoch))


def load_instance(name: str) -> ConfigDriveRequest:
    """Return the request in an instance file; ``-`` is standard input."""
    source = "standard input" if name == "-" else name
    data = read_file(name, instance_file.MAX_BYTES)
    return instance_file.load(data, source)


def load_uuids(name: str) -> set[str]:
    """Return the UUIDs in a file, one per line; ``-`` is standard input.

    Empty lines, and lines that begin with #, are skipped.

    :raises InvalidRequest: if a line is not a UUID, or the file has none
    """
    source = "standard input" if name == "-" else name
    text = read_file(name, _MAX_UUID_BYTES).decode("utf-8-sig", "replace")
    found, problems = set(), []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            found.add(rules.canonical_uuid(word))
        except ValueError as error:
            # Don't quote the line: it may be the wrong file, with secrets.
            problems.append(Problem(f"line {number}", "", str(error)))
    if not found and not problems:
        # An empty list would make every drive an orphan.
        problems.append(Problem("", "", "must name at least one instance"))
    if problems:
        raise InvalidRequest(problems, source)
    return found


def is_volume(name: str) -> bool:
    """Tell whether a drive's name stands for a volume in Ceph."""
    return name.startswith(_VOLUME)


def read_drive(name: str, settings: Settings) -> bytes:
    """Return the bytes of a drive in a file or in ``rbd:pool/name``.

    :raises InvalidRequest: if the name of the volume is invalid
    :raises StoreError: if the drive can't be read
    """
    max_bytes = stores.size_limit(settings)
    if not is_volume(name):
        return read_file(name, max_bytes)
    pool, _, volume = name.removeprefix(_VOLUME).partition("/")
    if not pool or not volume or not name.isprintable():
        rule = "must be rbd:POOL/VOLUME"
        raise InvalidRequest([Problem("drive", show(name), rule)])
    location = RbdLocation(volume[:36], pool, volume)
    data = stores.rbd_store_of(settings).read(location, max_bytes)
    if data is None:
        raise StoreError(f"can't read {location}: the volume does not exist")
    return data


def read_file(name: str, max_bytes: int) -> bytes:
    """Return the bytes of a file; ``-`` is standard input.

    :raises StoreError: if it can't be read, or is larger
    """
    try:
        if name != "-":
            with _opened(name) as file:
                return _read_all(file, name, max_bytes)
        if sys.stdin is None:
            raise StoreError("standard input is closed")
        return _read_all(sys.stdin.buffer, "standard input", max_bytes)
    except OSError as error:
        raise StoreError(f"can't read {name}: {error.strerror}") from error


def _opened(name: str) -> BinaryIO:
    """Open a file or a block device, or a pipe that the shell made.

    Whoever owns the directory may have put a pipe there, to which nobody ever
    writes.
    """
    handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if stat.S_ISFIFO(mode) and name.startswith(_OUR_PIPES):
        os.set_blocking(handle, True)
    elif not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        os.close(handle)
        raise StoreError(
            f"{name} is {kind(mode)}; to read it, redirect it to standard"
            " input, and name - instead"
        )
    return open(handle, "rb")


def _read_all(file: BinaryIO, name: str, max_bytes: int) -> bytes:
    data = bytearray()
    while chunk := file.read(_CHUNK):
        data += chunk
        if len(data) > max_bytes:
            raise StoreError(f"{name} is larger than {max_bytes:,} bytes")
    return bytes(data)
