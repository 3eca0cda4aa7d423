"""What another host sends: any field with anything in it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from cfgdrive_virt import DestinationCheck, MigratingDrive
from cfgdrive_virt.exception import MigrationRefused

from ..samples import UUID
from .peers import WRONG, nested, wrong_for

PLACE = f"/var/lib/nova/instances/{UUID}/disk.config"
CHECK = DestinationCheck(UUID, (PLACE, f"rbd:vms/{UUID}"), None, "0f" * 16)
DRIVE = MigratingDrive(
    UUID,
    PLACE,
    shared=False,
    readonly=True,
    size=1 << 20,
    sha256="0f" * 32,
    inode=12,
)
SHARED = MigratingDrive(UUID, PLACE, shared=True, readonly=False)
SENT = [CHECK, DRIVE, SHARED]


def kinds() -> Iterator[Any]:
    for value in (CHECK, DRIVE):
        for field in dataclasses.fields(value):
            for name in wrong_for(field.name):
                identity = f"{_name(value)}-{field.name}-{name}"
                yield pytest.param(value, field.name, WRONG[name], id=identity)


def _name(wrong: Any) -> str:
    return (
        ascii(wrong)[-9:] if isinstance(wrong, str) else type(wrong).__name__
    )


@pytest.mark.parametrize("sent", SENT, ids=repr)
def test_what_is_sent_arrives(sent: Any) -> None:
    kind = type(sent)
    assert kind.from_json(sent.to_json()) == sent
    assert kind.from_mapping(sent.to_mapping()) == sent
    assert kind.from_mapping(json.loads(json.dumps(sent.to_mapping()))) == sent
    assert kind.of(UUID, sent) == sent


@pytest.mark.parametrize(("value", "field", "wrong"), list(kinds()))
def test_a_wrong_field_is_refused_by_its_name(
    value: Any, field: str, wrong: Any
) -> None:
    with pytest.raises(MigrationRefused) as caught:
        dataclasses.replace(value, **{field: wrong})
    with pytest.raises(MigrationRefused):
        type(value).from_mapping(value.to_mapping() | {field: wrong})
    text = str(caught.value)
    assert f" {field}: " in text
    assert "must " in text
    assert text.isprintable()
    assert text.isascii()
    assert len(text) < 400


def test_every_wrong_field_is_named() -> None:
    with pytest.raises(
        MigrationRefused, match=r"location: must .*; size: must .*, not '12'"
    ):
        dataclasses.replace(DRIVE, size="12", location=None)


def test_what_is_not_shared_has_a_sum() -> None:
    with pytest.raises(MigrationRefused, match="sha256: must be given for"):
        dataclasses.replace(SHARED, shared=False)


@pytest.mark.parametrize("sent", SENT, ids=repr)
def test_a_newer_version_may_send_more(sent: Any) -> None:
    more = sent.to_mapping() | {"colour": nested(50), "\ud800": None}
    assert type(sent).from_mapping(more) == sent


@pytest.mark.parametrize(
    ("value", "field"),
    [
        *(
            (CHECK, name)
            for name in ("uuid", "locations", "cluster", "test_file")
        ),
        *(
            (DRIVE, name)
            for name in ("uuid", "location", "shared", "readonly")
        ),
    ],
)
def test_another_version_is_known_by_what_is_missing(
    value: Any, field: str
) -> None:
    fields = value.to_mapping()
    del fields[field]
    with pytest.raises(MigrationRefused, match="upgrade both hosts"):
        type(value).from_mapping(fields)


@pytest.mark.parametrize("kind", [DestinationCheck, MigratingDrive])
@pytest.mark.parametrize(
    "text",
    [
        *(wrong for wrong in WRONG.values() if not isinstance(wrong, str)),
        "",
        "\ud800",
        "null",
        "[]",
        "{",
        '"' + "a" * (1 << 20) + '"',
        "[" * 60_000,
        '{"uuid":' * 8_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        json.dumps(DRIVE.to_mapping()).replace("12", "NaN"),
        json.dumps(DRIVE.to_mapping()).replace("12", "Infinity"),
        json.dumps(DRIVE.to_mapping()).replace("12", "1e999"),
        json.dumps(DRIVE.to_mapping()).replace("12", "1" * 5_000),
        json.dumps(DRIVE.to_mapping()).replace("12", "-1"),
        json.dumps(DRIVE.to_mapping())[:-1] + ', "size": 1}',
    ],
    ids=_name,
)
def test_a_text_that_is_not_a_value_is_refused(kind: Any, text: Any) -> None:
    with pytest.raises(MigrationRefused) as caught:
        kind.from_json(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_only_a_value_is_an_instances(wrong: Any) -> None:
    with pytest.raises(MigrationRefused, match=r"^expected a MigratingDrive"):
        MigratingDrive.of(UUID, wrong)
    with pytest.raises(MigrationRefused):
        MigratingDrive.from_mapping(wrong)


@pytest.mark.parametrize("sent", SENT, ids=repr)
def test_another_instances_is_refused(sent: Any) -> None:
    other = UUID.replace("8", "9")
    with pytest.raises(MigrationRefused, match=f"{UUID}, not of {other}"):
        type(sent).of(other, sent)
    kind = DestinationCheck if sent is not CHECK else MigratingDrive
    with pytest.raises(MigrationRefused, match=r"^expected a "):
        kind.of(UUID, sent)
