"""What cloud-init demands of a drive, by two releases' own code.

It does not use a drive that breaks a demand.
"""

from __future__ import annotations

import json

import pytest

from .cloud_inits import CloudInit
from .drives import (
    META_DATA,
    NETWORK_DATA,
    VENDOR_DATA,
    Files,
    content_of,
    files,
    losses,
    places,
    without,
)
from .outcomes import read


def meta_without(name: str) -> bytes:
    known = json.loads(files()[META_DATA])
    del known[name]
    return json.dumps(known).encode()


# Drives that it does not use at all

WHOLE = files()
INJECTED = {"openstack/content/0000": b"x"}
FILE = {"path": "/x", "content_path": "/content/0000"}

UNUSED: dict[str, tuple[Files, str, str]] = {
    "no-meta-data": (without(WHOLE, META_DATA), META_DATA, ""),
    "newer-version-without-meta-data": (
        WHOLE | {"openstack/2018-08-27/user_data": b"x"},
        "openstack/2018-08-27/meta_data.json",
        "",
    ),
    "byte-order-mark": (
        WHOLE | {META_DATA: b"\xef\xbb\xbf" + WHOLE[META_DATA]},
        META_DATA,
        "",
    ),
    "utf-16": (
        WHOLE | {META_DATA: WHOLE[META_DATA].decode().encode("utf-16")},
        META_DATA,
        "",
    ),
    "meta-data-is-a-list": (WHOLE | {META_DATA: b"[]"}, META_DATA, ""),
    "meta-data-is-no-json": (WHOLE | {META_DATA: b"{"}, META_DATA, ""),
    "no-uuid": (WHOLE | {META_DATA: meta_without("uuid")}, META_DATA, "uuid"),
    "random-seed-is-a-number": (
        files(meta_data={"random_seed": 5}), META_DATA, "random_seed",
    ),
    "random-seed-is-no-base64": (
        files(meta_data={"random_seed": "x"}), META_DATA, "random_seed",
    ),
    "meta-is-null": (files(meta_data={"meta": None}), META_DATA, "meta"),
    "disabled": (
        files(meta_data={"meta": {"dsmode": "disabled"}}),
        META_DATA,
        "meta.dsmode",
    ),
    "files-is-null": (files(meta_data={"files": None}), META_DATA, "files"),
    "file-is-a-number": (
        files(meta_data={"files": [5]}), META_DATA, "files[0]",
    ),
    "file-with-a-list-as-path": (
        files(meta_data={"files": [FILE | {"path": []}]}) | INJECTED,
        META_DATA,
        "files[0].path",
    ),
    "file-without-content-path": (
        files(meta_data={"files": [{"path": "/x"}]}),
        META_DATA,
        "files[0].content_path",
    ),
    "file-without-content": (
        files(meta_data={"files": [FILE]}),
        META_DATA,
        "files[0].content_path",
    ),
    "template-without-content": (
        files(meta_data={"network_config": FILE}),
        META_DATA,
        "network_config.content_path",
    ),
    "template-is-no-text": (
        files(meta_data={"network_config": FILE})
        | {"openstack/content/0000": b"\xff"},
        META_DATA,
        "network_config.content_path",
    ),
    "vendor-data-is-a-number": (WHOLE | {VENDOR_DATA: b"5"}, VENDOR_DATA, ""),
    "vendor-data-is-null": (WHOLE | {VENDOR_DATA: b"null"}, VENDOR_DATA, ""),
    "vendor-data-is-empty": (WHOLE | {VENDOR_DATA: b""}, VENDOR_DATA, ""),
    "network-data-is-a-number": (
        WHOLE | {NETWORK_DATA: b"5"}, NETWORK_DATA, "",
    ),
    "ec2-metadata-is-a-list": (
        WHOLE | {"ec2/latest/meta-data.json": b"[]"},
        "ec2/latest/meta-data.json",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSED)
def test_it_does_not_use_a_drive(release: CloudInit, name: str) -> None:
    changed, path, key = UNUSED[name]
    answer = read(release, content_of(changed))
    found = [loss for loss in losses(changed) if loss.refused]

    assert not answer["read"]
    assert places(found) == {(path, key)}


USED: dict[str, Files] = {
    "whole": WHOLE,
    "uuid-is-a-number": files(meta_data={"uuid": 5}),
    "older-version-without-meta-data": WHOLE
    | {"openstack/2025-04-04/user_data": b"x"},
    "mode-is-local": files(meta_data={"meta": {"dsmode": "local"}}),
    "mode-is-unknown": files(meta_data={"meta": {"dsmode": "pass"}}),
    "no-random-seed": WHOLE | {META_DATA: meta_without("random_seed")},
    "file": files(meta_data={"files": [FILE]}) | INJECTED,
    "file-without-path": files(meta_data={"files": [{}]}),
    "template": files(meta_data={"network_config": FILE}) | INJECTED,
    "vendor-data-is-text": WHOLE | {VENDOR_DATA: b'"x"'},
    "vendor-data-is-a-list": WHOLE | {VENDOR_DATA: b"[]"},
    "no-vendor-data": without(WHOLE, VENDOR_DATA),
    "no-network-data": without(WHOLE, NETWORK_DATA),
    "ec2-metadata": WHOLE | {"ec2/latest/meta-data.json": b"{}"},
}


@pytest.mark.parametrize("name", USED)
def test_it_uses_a_drive(release: CloudInit, name: str) -> None:
    answer = read(release, content_of(USED[name]))

    assert answer["read"]
    assert not answer["error"]
    assert not losses(USED[name])


# Vendor data


def vendor_data(value: object) -> Files:
    """Return a drive with a value for cloud-init in its vendor data."""
    return WHOLE | {VENDOR_DATA: json.dumps({"cloud-init": value}).encode()}


@pytest.mark.parametrize("value", [{"a": 1}, 5, True])
def test_it_ignores_vendor_data(release: CloudInit, value: object) -> None:
    changed = vendor_data(value)

    assert read(release, content_of(changed))["vendordata"][0] is None
    assert places(losses(changed)) == {(VENDOR_DATA, "cloud-init")}


@pytest.mark.parametrize("value", ["#cloud-config", ["#cloud-config"], None])
def test_it_takes_vendor_data(release: CloudInit, value: object) -> None:
    changed = vendor_data(value)

    assert read(release, content_of(changed))["vendordata"][0] == value
    assert not losses(changed)
