"""A drive that the source's libvirtd sends, which may be compromised."""

from __future__ import annotations

import itertools
from typing import Any

import libvirt
import pytest

from cfgdrive_virt.adapters.libvirt import fetch_from, peek_by, silence
from cfgdrive_virt.exception import ConfigDriveError, DomainError
from cfgdrive_virt.model.drive import FileLocation
from cfgdrive_virt.model.migration import MigratingDrive, sum_of

from ...samples import UUID

PATH = f"/var/lib/nova/instances/{UUID}/disk.config"
STEP = 64 * 1024
DATA = bytes(range(256)) * 640
DRIVE = MigratingDrive(
    UUID,
    PATH,
    shared=False,
    readonly=True,
    size=len(DATA),
    sha256=sum_of(DATA),
)
XML = (
    f"<domain><devices><disk type='file'><source file='{PATH}'/>"
    "<target dev='hdd'/></disk></devices></domain>"
)


class Source:
    """A connection, its only domain, and what it was asked for."""

    def __init__(self, data: bytes = DATA, xml: str = XML) -> None:
        self._data = data
        self._xml = xml
        self.asked: list[tuple[int, int]] = []

    def lookupByUUIDString(self, uuid: str) -> Any:  # noqa: N802
        assert uuid == UUID
        return self

    def XMLDesc(self) -> str:  # noqa: N802
        return self._xml

    def blockInfo(self, target: str) -> list[int]:  # noqa: N802
        assert target == "hdd"
        return [len(self._data)] * 3

    def blockPeek(  # noqa: N802
        self, target: str, at: int, size: int, flags: int
    ) -> bytes:
        assert (target, flags) == ("hdd", 0)
        self.asked.append((at, size))
        return self._data[at : at + size]


class Longer(Source):
    """One that sends more than it was asked for."""

    def blockPeek(  # noqa: N802
        self, target: str, at: int, size: int, flags: int
    ) -> bytes:
        return super().blockPeek(target, at, size, flags) + b"\0"


def test_a_drive_comes_in_parts() -> None:
    source = Source()
    parts = list(fetch_from(source, DRIVE))
    assert b"".join(parts) == DATA
    assert source.asked == [(0, STEP), (STEP, STEP), (2 * STEP, STEP // 2)]


def test_no_part_is_asked_for_before_it_is_taken() -> None:
    source = Source()
    first = list(itertools.islice(fetch_from(source, DRIVE), 1))
    assert first == [DATA[:STEP]]
    assert source.asked == [(0, STEP)]


@pytest.mark.parametrize("source", [Source(DATA[:-1]), Longer()])
def test_a_part_of_another_length_is_refused_at_once(source: Source) -> None:
    with pytest.raises(DomainError, match="bytes instead of"):
        list(fetch_from(source, DRIVE))
    assert len(source.asked) == (1 if isinstance(source, Longer) else 3)


@pytest.mark.parametrize(
    ("xml", "told"),
    [
        (XML.replace(PATH, "/another"), "no domain on the source host has"),
        ("<domain/>", "no domain on the source host has"),
        ("<domain", "not valid XML"),
        ("<!DOCTYPE domain><domain/>", "must not have a DOCTYPE"),
    ],
)
def test_a_domain_without_the_disk_is_refused(xml: str, told: str) -> None:
    source = Source(xml=xml)
    with pytest.raises(ConfigDriveError, match=told):
        list(fetch_from(source, DRIVE))
    assert source.asked == []


def test_an_error_of_libvirt_is_a_domain_error() -> None:
    class Failing(Source):
        def blockPeek(self, *_: Any) -> bytes:  # noqa: N802
            raise libvirt.libvirtError("the connection is lost")

    silence()
    with pytest.raises(DomainError, match="connection is lost"):
        list(fetch_from(Failing(), DRIVE))


def test_a_drive_of_this_host_is_read_whole() -> None:
    peek = peek_by(Source())
    location = FileLocation(UUID, PATH)  # type: ignore[arg-type]
    assert peek(location, len(DATA)) == DATA
    with pytest.raises(DomainError, match="is larger than 7 bytes"):
        peek(location, 7)
    assert peek_by(Source(xml="<domain/>"))(location, len(DATA)) is None
