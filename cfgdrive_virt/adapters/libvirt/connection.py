"""Connect to libvirt, and raise its errors as DomainError."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import libvirt

from cfgdrive_virt.exception import DomainError


def silence() -> None:
    """Stop libvirt from printing errors to standard error.

    This affects the whole process.
    """
    libvirt.registerErrorHandler(lambda *_: None, None)


@contextlib.contextmanager
def connected(uri: str) -> Iterator[libvirt.virConnect]:
    """Open a connection to libvirt, and close it afterwards.

    :raises DomainError: if libvirt can't be reached
    """
    with explained(f"can't connect to {uri}"):
        connection = libvirt.open(uri)
    try:
        yield connection
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            connection.close()


def instances(connection: libvirt.virConnect) -> set[str]:
    """Return the UUIDs of all domains, running or not.

    :raises DomainError: if libvirt refuses
    """
    with explained("can't list domains"):
        return {domain.UUIDString() for domain in connection.listAllDomains()}


@contextlib.contextmanager
def explained(lead: str) -> Iterator[None]:
    """Raise libvirt's errors as DomainError.

    :param lead: starts the error's text, such as ``can't list domains``
    """
    try:
        yield
    except libvirt.libvirtError as error:
        raise DomainError(f"{lead}: {error}") from error
