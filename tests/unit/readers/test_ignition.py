from __future__ import annotations

import pytest

from cfgdrive_virt.readers.common import USER_DATA
from cfgdrive_virt.readers.ignition import IGNITION
from cfgdrive_virt.readers.reader import Content

from ...readers.cases import Case, drive
from .demands import UNREAD, check

FILE = {"path": "/etc/motd", "content_path": "/content/0000"}


def given(data: bytes) -> Content:
    return drive(more={USER_DATA: data})


CASES = {
    "user data is an Ignition configuration, or empty": Case(
        tuple(
            map(
                given,
                (
                    b"#cloud-config\n",
                    b"#!/bin/sh\n",
                    b"variant: fcos\nversion: 1.6.0\n",
                    b"{}",
                    b"[" * 100_000,
                    b'{"ignition": {"version": 3}}',
                    b"\xff",
                ),
            )
        ),
        given(b'{"ignition": {"version": "3.4.0"}}'),
    ),
    "there are no injected files": Case(
        (drive(meta_data={"files": [FILE]}),), drive()
    ),
    "there is nothing in network_data.json but NICs and DHCP": UNREAD,
}


def test_the_demands() -> None:
    check(IGNITION, CASES)


@pytest.mark.parametrize("data", [b"", b"x" * 2_000_000])
def test_nothing_is_said_of_user_data_that_is_empty_or_huge(
    data: bytes,
) -> None:
    assert not [
        loss for loss in IGNITION.losses(given(data)) if loss.path == USER_DATA
    ]


def test_who_takes_other_user_data_is_named() -> None:
    (butane,) = IGNITION.demands[0].losses(given(b"variant: flatcar\n"))
    (script,) = IGNITION.demands[0].losses(given(b"#!/bin/sh\n"))
    assert butane.refused
    assert "newest releases" in butane.effect
    assert "Flatcar" in script.effect
