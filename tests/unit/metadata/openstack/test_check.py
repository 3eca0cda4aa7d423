"""Is a tree a drive that readers take, and what does another say otherwise?"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cfgdrive_virt.metadata.compare import ABSENT, Difference
from cfgdrive_virt.metadata.openstack import OPENSTACK, build_tree
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.tree import MetadataTree

from ...samples import UUID, request

SEED = bytes(range(200))
problems = OPENSTACK.problems
differences = OPENSTACK.differences
random_seed = OPENSTACK.random_seed

LATEST = "openstack/latest/meta_data.json"
VENDOR_DATA = "openstack/latest/vendor_data.json"


def tree(**fields: Any) -> MetadataTree:
    return build_tree(request(**fields), random_seed=SEED)


def with_file(path: str, content: bytes | None) -> MetadataTree:
    files = dict(tree().files)
    if content is None:
        del files[path]
    else:
        files[path] = content
    return MetadataTree(files)


def with_meta_data(**changes: Any) -> MetadataTree:
    document = json.loads(tree().files[LATEST])
    return with_file(LATEST, json.dumps({**document, **changes}).encode())


def test_what_is_built_has_no_problem(sample: ConfigDriveRequest) -> None:
    assert list(problems(tree())) == []
    assert list(problems(build_tree(sample, random_seed=SEED))) == []


NOT_UTF8 = "must be JSON in UTF-8, without a byte order mark"


@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        (with_file(LATEST, None), f"{LATEST}: must be there"),
        (
            with_file(LATEST, b"{"),
            f"{LATEST}: must be valid JSON, not bytes of 1",
        ),
        (
            with_file(VENDOR_DATA, b""),
            f"{VENDOR_DATA}: must be valid JSON, not bytes of 0",
        ),
        (
            with_file("ec2/latest/meta-data.json", b"\xff"),
            f"ec2/latest/meta-data.json: {NOT_UTF8}, not bytes of 1",
        ),
        (
            with_file(LATEST, b"[" * 5000 + b"]" * 5000),
            f"{LATEST}: must be valid JSON, not bytes of 10000",
        ),
        (with_file(LATEST, b"[]"), f"{LATEST}: must be a JSON object"),
        (
            with_meta_data(uuid=None),
            f"{LATEST}.uuid: must be the instance's UUID, not None",
        ),
        (
            with_meta_data(uuid=""),
            f"{LATEST}.uuid: must be the instance's UUID, not ''",
        ),
        (
            with_file("openstack/2018-08-27/meta_data.json", None),
            "openstack/2018-08-27/meta_data.json: must be there",
        ),
        (
            with_file(LATEST, "{}".encode("utf-16")),
            f"{LATEST}: {NOT_UTF8}, not bytes of 6",
        ),
        (
            with_file(LATEST, "{}".encode("utf-8-sig")),
            f"{LATEST}: {NOT_UTF8}, not bytes of 5",
        ),
        (
            with_file(VENDOR_DATA, b"5"),
            f"{VENDOR_DATA}: must be a JSON object, a list or a string",
        ),
        (
            with_file("openstack/latest/vendor_data2.json", b"null"),
            (
                "openstack/latest/vendor_data2.json: must be a JSON object, a"
                " list or a string"
            ),
        ),
        (
            with_file("openstack/latest/network_data.json", b"[]"),
            "openstack/latest/network_data.json: must be a JSON object",
        ),
        (
            with_file("ec2/latest/meta-data.json", b"[]"),
            "ec2/latest/meta-data.json: must be a JSON object",
        ),
        (
            with_meta_data(meta=None),
            f"{LATEST}.meta: must be a JSON object",
        ),
        (
            with_meta_data(files=None),
            f"{LATEST}.files: must be a list",
        ),
        (
            with_meta_data(files=[None]),
            (
                f"{LATEST}.files[0].content_path: must name a file below"
                " openstack, not None"
            ),
        ),
        (
            with_meta_data(random_seed="?secret?"),
            f"{LATEST}.random_seed: must be valid base64",
        ),
        (
            with_meta_data(files={"a": 1}),
            f"{LATEST}.files: must be a list",
        ),
        (
            with_meta_data(
                files=[{"path": "/x", "content_path": "/content/0000"}]
            ),
            (
                f"{LATEST}.files[0].content_path: must name a file below"
                " openstack, not '/content/0000'"
            ),
        ),
        (
            with_meta_data(network_config={"name": "network_config"}),
            (
                f"{LATEST}.network_config.content_path: must name a file below"
                " openstack, not None"
            ),
        ),
        (
            with_meta_data(files=["/etc/x"]),
            (
                f"{LATEST}.files[0].content_path: must name a file below"
                " openstack, not None"
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_readers_refuse_a_drive_for_is_told(
    damaged: MetadataTree, told: str
) -> None:
    assert [str(problem) for problem in problems(damaged)] == [told]


@pytest.mark.parametrize(
    "whole",
    [
        with_meta_data(uuid=5),
        with_meta_data(random_seed="c2Vl\nZA==\n"),
        with_meta_data(network_config={}),
        with_meta_data(network_config=None),
        with_file(VENDOR_DATA, b'"#!/bin/sh"'),
        with_file(VENDOR_DATA, b"[]"),
        with_file("openstack/latest/network_data.json", b"{}"),
        with_file("openstack/latest/other.json", b"5"),
        MetadataTree({LATEST: tree().files[LATEST]}),
    ],
)
def test_what_readers_take_is_no_problem(whole: MetadataTree) -> None:
    assert list(problems(whole)) == []


def test_a_version_with_one_file_needs_its_metadata() -> None:
    files = {
        LATEST: tree().files[LATEST],
        "openstack/2017-02-22/user_data": b"#!/bin/sh",
    }
    assert [str(problem) for problem in problems(MetadataTree(files))] == [
        "openstack/2017-02-22/meta_data.json: must be there"
    ]


def test_a_tree_is_not_unlike_itself(sample: ConfigDriveRequest) -> None:
    made = build_tree(sample, random_seed=SEED)
    assert list(differences(made, made)) == []


def test_what_differs_is_told_by_file_and_key() -> None:
    one = tree(metadata={"role": "web", "rack": "7"}, user_data=b"one")
    other = tree(metadata={"role": "db", "side": "b"}, user_data=b"two")
    found = list(differences(one, other))
    assert Difference(LATEST, "meta.role", "web", "db") in found
    assert Difference(LATEST, "meta.rack", "7", ABSENT) in found
    assert Difference(LATEST, "meta.side", ABSENT, "b") in found
    user_data = Difference("openstack/latest/user_data", "", b"one", b"two")
    assert user_data in found
    assert {difference.path.partition("/")[0] for difference in found} == {
        "ec2", "openstack",
    }  # fmt: skip


def test_a_file_on_one_side_only_is_told() -> None:
    path = "openstack/latest/vendor_data2.json"
    without = with_file(path, None)
    content = tree().files[path]
    assert list(differences(tree(), without)) == [
        Difference(path, "", content, ABSENT)
    ]
    assert list(differences(without, tree())) == [
        Difference(path, "", ABSENT, content)
    ]


def test_json_that_is_none_differs_as_a_whole() -> None:
    damaged = with_file(LATEST, b"{")
    assert list(differences(tree(), damaged)) == [
        Difference(LATEST, "", tree().files[LATEST], b"{")
    ]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ([1, 2], [1], [("x[1]", 2, ABSENT)]),
        ([1], [1, {"a": 2}], [("x[1]", ABSENT, {"a": 2})]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("x.a.b", 1, 2)]),
        ({"a": 1}, [1], [("x", {"a": 1}, (1,))]),
        (1, True, [("x", 1, True)]),
        (1, 1.0, []),
        (None, "", [("x", None, "")]),
    ],
)
def test_values_are_compared_as_json_has_them(
    one: Any, other: Any, told: list[tuple[str, Any, Any]]
) -> None:
    found = differences(with_meta_data(x=one), with_meta_data(x=other))
    assert [(d.key, d.expected, d.found) for d in found] == told


def test_spaces_between_values_are_no_difference() -> None:
    content = json.dumps(json.loads(tree().files[LATEST]), indent=4).encode()
    assert list(differences(tree(), with_file(LATEST, content))) == []


@pytest.mark.parametrize("key", ["bus", "address"])
def test_where_a_device_is_may_be_learnt_later(key: str) -> None:
    told = {"bus": "none", "address": "none"}
    one = with_meta_data(devices=[told])
    other = with_meta_data(devices=[{**told, key: "x"}])
    assert list(differences(one, other)) == []
    assert [d.key for d in differences(other, one)] == [f"devices[0].{key}"]


def test_no_difference_shows_what_it_found() -> None:
    found = Difference(LATEST, "admin_pass", "secret", "other")
    assert "secret" not in repr(found)
    assert "other" not in repr(found)


def test_a_drives_seed_is_found() -> None:
    assert random_seed(tree()) == SEED


@pytest.mark.parametrize(
    "damaged",
    [
        with_file(LATEST, None),
        with_file(LATEST, b"[]"),
        with_meta_data(random_seed=5),
        with_meta_data(random_seed="A"),
    ],
)
def test_a_drive_may_have_no_seed(damaged: MetadataTree) -> None:
    assert random_seed(damaged) is None


def test_the_seed_is_base64_in_the_document() -> None:
    document = json.loads(tree().files[LATEST])
    assert base64.b64decode(document["random_seed"]) == SEED
    assert document["uuid"] == UUID
