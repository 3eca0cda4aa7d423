"""What a field may hold, at the edges of every rule."""

from __future__ import annotations

import base64
import copy
import datetime
import json
import pickle
import types
from collections.abc import Callable
from typing import Any

import pytest

from cfgdrive_virt.model import rules

from ..samples import UUID, nested


def refused(rule: rules.Rule, value: Any) -> str:
    """Return the words in which a rule refuses a value."""
    with pytest.raises(ValueError) as caught:
        rule(value)
    words = str(caught.value)
    assert "must " in words
    return words


NO_TEXTS = [None, True, 5, 1.5, b"bytes", ["a"], {}, datetime.date(2001, 1, 1)]


@pytest.mark.parametrize("value", ["", "a", "é😀", "a\nb", "\0", "x" * 65_535])
def test_a_text_may_be_any_unicode(value: str) -> None:
    assert rules.text()(value) == value


@pytest.mark.parametrize("value", NO_TEXTS, ids=repr)
def test_a_text_is_nothing_but_a_text(value: Any) -> None:
    assert "must be a string" in refused(rules.text(), value)


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"], ids=ascii)
def test_a_text_has_no_lone_surrogates(value: str) -> None:
    assert "lone surrogates" in refused(rules.text(), value)


@pytest.mark.parametrize(
    ("length", "fits"), [(1, False), (2, True), (4, True), (5, False)]
)
def test_a_text_has_its_length_in_characters(length: int, fits: bool) -> None:
    rule = rules.text(min_length=2, max_length=4)
    if fits:
        assert rule("😀" * length) == "😀" * length
    else:
        assert refused(rule, "😀" * length) == "must be 2 to 4 characters long"


@pytest.mark.parametrize("char", ["\n", "\r", "\0"], ids=ascii)
def test_a_single_line_ends_nowhere_within(char: str) -> None:
    assert refused(rules.text(one_line=True), f"a{char}b") == (
        "must be a single line"
    )


@pytest.mark.parametrize("value", ["ssh", "x509"])
def test_a_choice_is_one_of_its_words(value: str) -> None:
    assert rules.one_of("ssh", "x509")(value) == value


@pytest.mark.parametrize("value", ["SSH", "", None, ["ssh"], {"ssh": 1}, 5])
def test_a_choice_is_nothing_but_its_words(value: Any) -> None:
    rule = rules.one_of("ssh", "x509")
    assert refused(rule, value) == "must be one of ssh, x509"


@pytest.mark.parametrize("value", [1, 4094])
def test_a_number_may_be_at_the_ends_of_its_range(value: int) -> None:
    assert rules.integer(1, 4094)(value) == value


@pytest.mark.parametrize("value", [0, 4095, -1, 10**5000], ids=lambda _: "")
def test_a_number_is_in_its_range(value: int) -> None:
    assert refused(rules.integer(1, 4094), value) == "must be 1 to 4,094"


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, [1]], ids=repr)
def test_a_number_is_whole_and_no_boolean(value: Any) -> None:
    assert refused(rules.integer(0, 9), value) == "must be a whole number"


@pytest.mark.parametrize("value", [0, 1, "true", "yes", None, []], ids=repr)
def test_a_boolean_is_no_word_and_no_number(value: Any) -> None:
    assert refused(rules.boolean, value) == "must be true or false"


@pytest.mark.parametrize("value", [UUID, UUID.upper()])
def test_a_uuid_is_kept_in_lower_case(value: str) -> None:
    assert rules.canonical_uuid(value) == UUID


@pytest.mark.parametrize(
    "value",
    [
        "", UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}",
        f"{UUID}\n", f" {UUID}", UUID[:-1], f"{UUID}0", f"{UUID}/..",
        UUID.replace("8", "٨"), UUID.replace("-", "--"), UUID.encode(),
        "../../etc/passwd", 5, 10**5000, None, True, [UUID],
    ],
    ids=lambda value: ascii(value)[:40] if value != 10**5000 else "huge",
)  # fmt: skip
def test_a_uuid_has_its_hyphens_and_nothing_else(value: Any) -> None:
    assert "must be a UUID" in refused(rules.canonical_uuid, value)


@pytest.mark.parametrize(
    "value",
    [
        "a", "web-1", "Web_1", "1", "a.b", "web-1.example.org", "_a", "a_",
        "x" * 63, ".".join(["x" * 63] * 3 + ["x" * 61]),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_a_host_name_may_be_bare_or_fully_qualified(value: str) -> None:
    assert rules.hostname(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a b", "a\n", "a\0",
        "é", "a/b", "..", "$(id)", "x" * 64, "١", "ａ",
        ".".join(["x" * 63] * 3 + ["x" * 62]), False, 1, None,
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
def test_a_host_name_is_nothing_else(value: Any) -> None:
    refused(rules.hostname, value)


def test_a_mac_address_is_kept_in_lower_case() -> None:
    assert rules.mac("FA:16:3E:00:00:0F") == "fa:16:3e:00:00:0f"


@pytest.mark.parametrize(
    "value",
    [
        "", "fa:16:3e:00:00", "fa:16:3e:00:00:01:02", "fa-16-3e-00-00-01",
        "fa163e000001", "fa:16:3e:00:00:0g", "fa:16:3e:00:00:01\n",
        "fa:16:3e:00:00:٠١", b"fa:16:3e:00:00:01", None, 8_609_400_000,
    ],
    ids=ascii,
)  # fmt: skip
def test_a_mac_address_is_nothing_else(value: Any) -> None:
    assert "must be a MAC address in quotes" in refused(rules.mac, value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::0001", "2001:db8::1"),
        ("::", "::"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::FFFF:c000:201", "::ffff:192.0.2.1"),
    ],
)
def test_an_address_is_kept_in_its_canonical_form(
    value: str, kept: str
) -> None:
    assert rules.ip_address(value) == kept


@pytest.mark.parametrize(
    "value",
    [
        "", "192.0.2", "192.0.2.256", "192.0.2.01", "192.0.2.1/24", "::1%lo",
        " ::1", "1:2", 3_221_225_985, b"\xc0\0\x02\x01", None, True,
        "١٩٢.0.2.1",
    ],
    ids=ascii,
)  # fmt: skip
def test_an_address_is_nothing_else(value: Any) -> None:
    assert refused(rules.ip_address, value) == "must be an IP address"


def test_an_ipv4_address_is_no_ipv6_address() -> None:
    assert rules.ipv4_address("192.0.2.1") == "192.0.2.1"
    assert refused(rules.ipv4_address, "::1") == "must be an IPv4 address"
    assert refused(rules.ipv4_address, 5) == "must be an IP address"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.77/24", "192.0.2.0/24"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("192.0.2.7/32", "192.0.2.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::1/64", "2001:db8::/64"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_is_kept_without_host_bits(value: str, kept: str) -> None:
    assert rules.cidr(value) == kept


@pytest.mark.parametrize(
    "value",
    [
        "", "192.0.2.0", "192.0.2.0/33", "192.0.2.0/-1", "::/129", "/24",
        "fe80::%lo/64", "192.0.2.0/24/8", "a/b", ("192.0.2.0", 24), 5, None,
    ],
    ids=ascii,
)  # fmt: skip
def test_a_network_is_nothing_else(value: Any) -> None:
    assert "must be a network" in refused(rules.cidr, value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"\xff\0", b"\xff\0"),
        (bytearray(b"a"), b"a"),
        ("é\n", "é\n".encode()),
        ("", b""),
        ({"base64": "AAEC"}, b"\0\1\2"),
        ({"base64": b"AAEC"}, b"\0\1\2"),
        ({"base64": " AA\n\tEC\n"}, b"\0\1\2"),
        ({"base64": ""}, b""),
        (types.MappingProxyType({"base64": "AA=="}), b"\0"),
    ],
    ids=ascii,
)
def test_content_is_bytes_a_text_or_base64(value: Any, kept: bytes) -> None:
    assert rules.content(value) == kept


@pytest.mark.parametrize(
    "value",
    ["A", "AA", "AAA", "AA==AA==", "AAE_", "!", "é", "AA\0A", 5, None, ["AA"]],
    ids=ascii,
)
def test_base64_is_valid_base64(value: Any) -> None:
    words = refused(rules.content, {"base64": value})
    assert words == "must be valid base64"


@pytest.mark.parametrize(
    "value",
    [None, 5, True, [], ["a"], {}, {"base32": "A"}, {"base64": "", "x": ""}],
    ids=ascii,
)
def test_content_is_nothing_else(value: Any) -> None:
    assert refused(rules.content, value) == (
        "must be a string or {base64: ...}"
    )


def test_content_that_is_text_has_no_lone_surrogates() -> None:
    assert "lone surrogates" in refused(rules.content, "\ud800")


def test_user_data_is_as_large_as_nova_takes_it_in_base64() -> None:
    assert rules.user_data(b"x" * 49_149) == b"x" * 49_149
    assert len(base64.b64encode(b"x" * 49_149)) <= 65_535
    assert refused(rules.user_data, b"x" * 49_150) == (
        "must be at most 65,535 bytes in base64 (it is 65,536)"
    )


def test_user_data_is_counted_in_bytes_however_it_is_given() -> None:
    assert rules.user_data("é" * 24_574) is not None
    refused(rules.user_data, "é" * 24_575)
    coded = base64.b64encode(b"x" * 49_150).decode()
    refused(rules.user_data, {"base64": coded})


@pytest.mark.parametrize("value", [b"", "", {"base64": ""}], ids=repr)
def test_empty_user_data_is_none(value: Any) -> None:
    assert rules.user_data(value) is None


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1.5, 1e308, 2**80, "é", "\0", [], {}, [[1], {"a": []}],
        {"": None}, (1, 2), types.MappingProxyType({"a": (1,)}),
    ],
    ids=ascii,
)  # fmt: skip
def test_json_is_whatever_json_can_say(value: Any) -> None:
    rules.json_value(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "must be JSON, which allows finite numbers only"),
        ([float("-inf")], "must be JSON, which allows finite numbers only"),
        ({5: "a"}, "must be JSON: keys must be strings"),
        ({None: "a"}, "must be JSON: keys must be strings"),
        ({True: "a"}, "must be JSON: keys must be strings"),
        ([{"a": {1: 2}}], "must be JSON: keys must be strings"),
        ({"a"}, "must be JSON: strings, numbers,"),
        (b"a", "must be JSON: strings, numbers,"),
        (datetime.date(2001, 1, 1), "must be JSON: strings, numbers,"),
        ([object()], "must be JSON: strings, numbers,"),
        (1j, "must be JSON: strings, numbers,"),
        ("\ud800", "must be Unicode text, without lone surrogates"),
        ({"\ud800": 1}, "must be Unicode text, without lone surrogates"),
    ],
    ids=lambda value: ascii(value).partition(" object at ")[0][:30],
)
def test_json_is_nothing_else(value: Any, words: str) -> None:
    assert refused(rules.json_value, value).startswith(words)


def test_json_with_a_number_too_long_to_print_is_refused() -> None:
    # Python writes no number of more than 4,300 digits.
    words = "must have integers of at most 2,000 bits"
    for sign in (1, -1):
        least, most = sign * 2**2000, sign * (2**2000 - 1)
        assert rules.json_value([most]) == (most,)
        for value in (least, [least], {"a": least}, sign * 10**5000):
            assert refused(rules.json_value, value) == words


CHANGES: dict[str, Callable[[Any], Any]] = {
    "set": lambda found: found.__setitem__("a", 2),
    "delete": lambda found: found.__delitem__("a"),
    "merge": lambda found: found.__ior__({"b": 2}),
    "clear": lambda found: found.clear(),
    "pop": lambda found: found.pop("a"),
    "pop-missing": lambda found: found.pop("b", None),
    "popitem": lambda found: found.popitem(),
    "setdefault": lambda found: found.setdefault("b", 2),
    "update": lambda found: found.update(b=2),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_mapping_stays_as_it_was_made(change: str) -> None:
    made = rules.FrozenDict({"a": 1})
    with pytest.raises(TypeError, match="this mapping can't be changed"):
        CHANGES[change](made)
    assert made == {"a": 1}


def test_a_mapping_cannot_be_merged_into_by_a_statement() -> None:
    made = kept = rules.FrozenDict({"a": 1})
    with pytest.raises(TypeError, match="this mapping can't be changed"):
        made |= {"b": 2}
    assert made is kept == {"a": 1}


def test_a_mapping_has_one_hash_whatever_its_order() -> None:
    first = rules.json_value({"a": 1, "b": [{"c": None}]})
    second = rules.json_value({"b": [{"c": None}], "a": 1})
    assert first == second
    assert len({first, second}) == 1
    assert isinstance(hash(rules.mapping_of_text({"a": "b"})), int)


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda value: pickle.loads(pickle.dumps(value)),
    ],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_of_a_mapping_cannot_be_changed_either(
    copied: Callable[[Any], Any],
) -> None:
    made = rules.json_value({"a": {"b": [1]}})
    found = copied(made)
    assert found == made
    assert hash(found) == hash(made)
    for mapping in (found, found["a"]):
        with pytest.raises(TypeError, match="can't be changed"):
            mapping["c"] = 1


def test_a_mapping_is_written_as_json() -> None:
    made = rules.json_value({"b": [1], "a": {"c": None}})
    assert json.dumps(made) == '{"b": [1], "a": {"c": null}}'


def test_json_is_nested_at_most_64_deep() -> None:
    rules.json_value(nested(62))
    words = "must be nested at most 64 levels deep"
    assert refused(rules.json_value, nested(64)) == words
    assert refused(rules.json_value, nested(50_000)) == words


def test_json_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    refused(rules.json_value, value)


@pytest.mark.parametrize("value", ["x", "x" * 4096, "../é\n", "C:\\x", " "])
def test_a_path_in_a_guest_may_have_any_characters(value: str) -> None:
    assert rules.path(value) == value


@pytest.mark.parametrize("value", ["", "x" * 4097, "a\0", "\ud800", None, 5])
def test_a_path_in_a_guest_is_a_text_without_nul(value: Any) -> None:
    refused(rules.path, value)


def test_content_that_is_to_be_text_is_utf_8() -> None:
    assert rules.utf8({"base64": "w6k="}) == "é".encode()
    assert refused(rules.utf8, b"\xff") == "must be text in UTF-8"


@pytest.mark.parametrize("value", [{}, {"a": 1}, [], ["a"], "text", ""])
def test_vendor_data_is_an_object_a_list_or_a_text(value: Any) -> None:
    rules.vendor_data(value)


@pytest.mark.parametrize("value", [5, True, None, 1.5, b"a"], ids=repr)
def test_vendor_data_is_nothing_else(value: Any) -> None:
    assert refused(rules.vendor_data, value) == (
        "must be a mapping, a list or a string"
    )


@pytest.mark.parametrize("value", [[], "a", 5, None, [("a", 1)]], ids=repr)
def test_an_object_is_a_mapping(value: Any) -> None:
    assert refused(rules.json_object, value) == "must be a mapping"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "must be a mapping"),
        ("a", "must be a mapping"),
        ({"a": 5}, "must map strings to strings: 'a' must be a string"),
        ({"a": True}, "must map strings to strings: 'a' must be a string"),
        ({"a": None}, "must map strings to strings: 'a' must be a string"),
        ({5: "a"}, "must map strings to strings: a key must be a string"),
        ({"": "a"}, "must map strings to strings: '' must be 1 to 65,535"),
        ({"a": "\ud800"}, "must map strings to strings: 'a' must be Unicode"),
        ({"\ud800": "a"}, r"must map strings to strings: '\ud800' must be"),
    ],
    ids=ascii,
)
def test_a_mapping_of_texts_has_texts_only(value: Any, words: str) -> None:
    assert refused(rules.mapping_of_text, value).startswith(words)


def test_a_list_tells_which_item_is_wrong() -> None:
    rule = rules.list_of(rules.integer(0, 9))
    assert rule([1, 2]) == rule((1, 2)) == (1, 2)
    assert refused(rule, [1, True]) == "item 1 must be a whole number"


@pytest.mark.parametrize(
    "value",
    [
        "ab", b"ab", {"a": 1}, 5, None, {"a"}, frozenset("a"), iter(["a"]),
        {"a": 1}.keys(), (name for name in "ab"), range(2),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_list_is_a_list_or_a_tuple(value: Any) -> None:
    assert refused(rules.list_of(rules.text()), value) == "must be a list"
