"""What is shown of a drive's tree."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.adapters.cli.drive_view import (
    MASK,
    describe,
    difference,
    shortened,
)
from cfgdrive_virt.metadata.compare import Difference
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.readers import Loss

from ...samples import SEED, secrets_in

NO_JSON = {"error": "not valid JSON, or nested too deeply"}


def shown(
    content: Any, path: str = "a.json", *, secrets: bool = False
) -> dict[str, Any]:
    """Return what is shown of one file."""
    data = content if isinstance(content, bytes) else json.dumps(content)
    raw = data if isinstance(data, bytes) else data.encode()
    found = describe(MetadataTree({path: raw}), show_secrets=secrets)[path]
    assert found.pop("size") == len(raw)
    assert found.pop("sha256") == hashlib.sha256(raw).hexdigest()
    return found


@pytest.mark.parametrize(
    "key",
    [
        "admin_pass", "data", "keys", "openssh-key", "password",
        "public_keys", "random_seed",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["pw", 5, None, ["pw"], {"a": {"b": "pw"}}])
def test_a_secret_key_masks_all_below_it(key: str, value: Any) -> None:
    found = shown({"a": [{key: value}], "name": "web-1"})["json"]
    assert "pw" not in json.dumps(found)
    assert found["name"] == "web-1"
    assert MASK in json.dumps(found)


@pytest.mark.parametrize("name", ["vendor_data.json", "vendor_data2.json"])
@pytest.mark.parametrize("value", ["pw", {"a": ["pw", {"b": "pw"}]}, ["pw"]])
def test_every_value_of_vendor_data_is_masked(name: str, value: Any) -> None:
    assert "pw" not in str(shown(value, f"openstack/latest/{name}"))


@pytest.mark.parametrize("path", ["user_data", "a/content/0000", "x.txt"])
@pytest.mark.parametrize("content", [b"text", b"\xff\0", b""])
def test_what_is_no_json_is_masked_wholly(path: str, content: bytes) -> None:
    assert shown(content, path) == {"text": MASK}


def test_nothing_is_masked_if_asked() -> None:
    assert shown({"admin_pass": "pw"}, secrets=True) == {
        "json": {"admin_pass": "pw"}
    }
    assert shown(b"pw", "user_data", secrets=True) == {"text": "pw"}
    assert shown(b"\xff", "user_data", secrets=True) == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[" * 60_000, b"9" * 5000, b"9" * 700],
    ids=lambda content: ascii(content[:5]) + str(len(content)),
)
def test_what_should_be_json_and_is_not_says_so(content: bytes) -> None:
    for secrets in (False, True):
        assert shown(content, secrets=secrets) == NO_JSON


@pytest.mark.parametrize(
    ("depth", "fits"),
    [(1, True), (63, True), (64, False), (100, False), (900, False)],
)
@pytest.mark.parametrize("opening", [b'{"a":', b"["], ids=["mapping", "list"])
def test_json_is_shown_up_to_64_deep(
    depth: int, fits: bool, opening: bytes
) -> None:
    closing = b"}" if opening.startswith(b"{") else b"]"
    content = opening * depth + b"1" + closing * depth
    for secrets in (False, True):
        found = json.loads(json.dumps(shown(content, secrets=secrets)))
        assert found == ({"json": json.loads(content)} if fits else NO_JSON)


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_numbers_that_json_has_not_are_no_json(word: bytes) -> None:
    for secrets in (False, True):
        assert shown(b'{"a": ' + word + b"}", secrets=secrets) == NO_JSON


@pytest.mark.parametrize(
    "key",
    [
        "Password", "ADMIN_PASS", "db_password", "passphrase", "api_token",
        "X-Auth-Token", "client_secret", "SecretKey",
    ],
)  # fmt: skip
def test_a_key_that_sounds_secret_masks_all_below_it(key: str) -> None:
    assert shown({"meta": {key: "pw", "role": "web"}}) == {
        "json": {"meta": {key: MASK, "role": "web"}}
    }


def test_what_is_shown_can_be_changed_and_written_as_json() -> None:
    found = shown({"a": [{"b": 1}]})
    assert json.loads(json.dumps(found)) == {"json": {"a": [{"b": 1}]}}


def test_no_secret_of_the_sample_is_shown(sample: ConfigDriveRequest) -> None:
    tree = build_tree(sample, random_seed=sample.random_seed or SEED)
    found = json.dumps(describe(tree, show_secrets=False))
    assert secrets_in(found) == []


@pytest.mark.parametrize("path", ["a.json", "user_data"])
def test_a_large_file_is_described(path: str) -> None:
    content = b'"%s"' % (b"a" * 65_534)
    assert "left_out" not in shown(content, path, secrets=True)
    assert shown(content + b" ", path, secrets=True) == {
        "left_out": "more than 65,536 bytes"
    }


def test_of_too_much_json_none_is_shown() -> None:
    content = b"[%s0]" % (b"[]," * 20_000)
    files = {f"{n}.json": content + b" " * n for n in range(6)}
    files["user_data"] = b"x"
    found = describe(MetadataTree(files), show_secrets=True)
    assert found.pop("user_data")["text"] == "x"
    for file in found.values():
        assert "json" not in file
        assert "more than 200,000 values" in file["left_out"]


def test_of_many_files_the_newest_version_is_shown() -> None:
    content = json.dumps(["x" * 50_000]).encode()
    names = ("2012-08-10", "2013-04-04", "latest")
    files = {
        f"openstack/{version}/{n}.json": content
        for version in names
        for n in range(7)
    }
    found = describe(MetadataTree(files), show_secrets=False)
    assert list(found) == sorted(files)
    told = {path: file.get("left_out") for path, file in found.items()}
    assert not any(told[f"openstack/latest/{n}.json"] for n in range(7))
    # Of 512 KiB, ten files and a part of the next.
    older = [path for path in sorted(files) if "latest" not in path]
    assert [path for path in told if told[path]] == older[4:]
    assert len(json.dumps(found)) < 600_000


def test_small_files_count_too() -> None:
    files = {f"{n:04}.json": b"1" for n in range(1000)}
    found = describe(MetadataTree(files), show_secrets=False)
    assert sum("json" in file for file in found.values()) == 256


def test_a_difference_is_described_where_it_is_large() -> None:
    found = difference(
        Difference(
            "openstack/latest/meta_data.json",
            "k" * 300,
            "x" * 2000,
            {"a": [1]},
        ),
        show_secrets=True,
    )
    assert found == {
        "path": "openstack/latest/meta_data.json",
        "key": "k" * 200 + "...",
        "expected": "(2,002 bytes of JSON)",
        "found": {"a": [1]},
    }


def test_a_loss_is_cut_where_it_is_long() -> None:
    loss = Loss("openstack/latest/x.json", "k" * 201, "e" * 1001, reader="r")
    assert str(shortened(loss)) == (
        f"r: openstack/latest/x.json {'k' * 200}...: {'e' * 1000}..."
    )
    short = Loss("x.json", "k" * 200, "e" * 1000, refused=True, reader="r")
    assert shortened(short) == short
