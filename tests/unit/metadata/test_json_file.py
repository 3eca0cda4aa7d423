"""JSON files: how much is parsed, how often, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.model.tree import MetadataTree


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the list of what is parsed from now on."""
    seen: list[bytes] = []
    real = json.loads

    def loads(content: str, **options: Any) -> Any:
        seen.append(content.encode())
        return real(content, **options)

    monkeypatch.setattr(json, "loads", loads)
    return seen


def of(*contents: bytes) -> MetadataTree:
    return MetadataTree({f"{n}.json": one for n, one in enumerate(contents)})


def documents(tree: MetadataTree) -> list[Any]:
    found: list[Any] = []
    for path in tree.files:
        try:
            found.append(json_file.document(tree, path))
        except ValueError as error:
            found.append(str(error))
    return found


def test_equal_files_are_parsed_once(parsed: list[bytes]) -> None:
    tree = of(b'{"a": [1]}', bytes(bytearray(b'{"a": [1]}')), b"[]")
    for _ in range(3):
        assert documents(tree) == [{"a": (1,)}, {"a": (1,)}, ()]
    assert parsed == [b'{"a": [1]}', b"[]"]


@pytest.mark.parametrize(
    "coding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]
)
def test_json_is_utf_8_without_a_mark(coding: str) -> None:
    text = '{"name": "caf\xe9"}'
    [error] = documents(of(text.encode(coding)))
    assert error == "must be JSON in UTF-8, without a byte order mark"
    assert documents(of(text.encode())) == [{"name": "caf\xe9"}]


def test_what_is_not_json_is_parsed_once(parsed: list[bytes]) -> None:
    tree = of(b"hunter2", b"hunter2")
    for _ in range(3):
        assert documents(tree) == ["must be valid JSON"] * 2
    assert parsed == [b"hunter2"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(
            b'"%s"' % bytes(json_file.MAX_BYTES), "8,388,608 bytes", id="bytes"
        ),
        pytest.param(
            b"[" + b"{}," * 100_000 + b"0]", "200,000 values", id="objects"
        ),
        pytest.param(b"[" * 200_000, "200,000 values", id="lists"),
        pytest.param(
            b"{%s}" % b",".join([b'"":0'] * 100_000), "200,000 v", id="keys"
        ),
        pytest.param(b'"%s"' % (b",:" * 100_000), "200,000 v", id="text"),
    ],
)
def test_of_too_much_nothing_is_parsed(
    parsed: list[bytes], content: bytes, what: str
) -> None:
    tree = of(b"[]", content)
    told = json_file.excess(tree)
    assert told.startswith(f"its JSON files have more than {what}")
    assert f"with '1.json' of {len(content):,} bytes;" in told
    assert documents(tree) == ["must not be one of so many, or so large"] * 2
    assert parsed == []


def test_together_files_are_no_more_than_one() -> None:
    contents = [b"[%s%d]" % (b"0," * 19_990, n) for n in range(11)]
    assert json_file.excess(of(*contents[:10])) == ""
    assert "'10.json'" not in json_file.excess(of(*contents[:10], b"0"))
    assert json_file.excess(of(*contents)) != ""


def test_equal_files_count_once() -> None:
    content = b"[%s0]" % (b"{}," * 60_000)
    assert json_file.excess(of(*[content] * 60)) == ""


def test_other_files_do_not_count() -> None:
    tree = MetadataTree({"user_data": b"[" * 9_000_000})
    assert json_file.excess(tree) == ""


@pytest.mark.parametrize(
    "content",
    [
        b"9" * 1001, b"-" + b"9" * 4200, b"0." + b"3" * 1000,
        b"1e" + b"0" * 1000,
        b"NaN", b"[Infinity]", b"-Infinity", b"[" * 900 + b"]" * 900,
        b"[" * 100_000, b'"\\ud800"', b'{"\\udfff": 1}', b"1e999",
    ],
    ids=lambda content: ascii(content[:12])[2:-1],
)  # fmt: skip
def test_what_no_request_says_is_not_valid(content: bytes) -> None:
    assert documents(of(content)) == ["must be valid JSON"]


def test_numbers_of_many_digits_are_refused_before_they_are_made() -> None:
    # Python's limit, where it has one, is larger; and it may be off.
    for number in (b"9" * 1001, b"0." + b"0" * 1000):
        with pytest.raises(
            ValueError, match="must have numbers of at most 1,000 digits"
        ):
            json_file.load(number)
    assert json_file.load(b"0." + b"3" * 900) == pytest.approx(1 / 3)
