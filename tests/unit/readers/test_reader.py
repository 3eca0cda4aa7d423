"""Demands of a reader on one drive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cfgdrive_virt.readers.common import unless_refused
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader

from ...readers.cases import drive


@pytest.mark.parametrize("refuses", [True, False])
def test_refusals_are_asked_once_for_a_drive(refuses: bool) -> None:
    asked: list[Content] = []

    def refusal(content: Content) -> Iterator[Loss]:
        asked.append(content)
        if refuses:
            yield Loss("a", "b", "c", refused=True)

    def lost(_: Content) -> Iterator[Loss]:
        yield Loss("d", "e", "f")

    refusals = (Demand("it is used", "-", refusal),)
    rest = [Demand(str(number), "-", lost) for number in range(50)]
    reader = Reader("x", "x", tuple(unless_refused(refusals, *rest)))
    for content in (drive(), drive()):
        found = list(reader.losses(content))
        assert len(found) == (0 if refuses else 50)

    assert len(asked) == 2


@pytest.mark.parametrize(
    ("path", "key", "text"),
    [
        ("a", "b", "x: a b: is lost"),
        ("a", "", "x: a: is lost"),
        ("", "", "x: the drive: is lost"),
    ],
)
def test_a_loss_names_its_place(path: str, key: str, text: str) -> None:
    assert str(Loss(path, key, "is lost", reader="x")) == text
