"""Frozen values tell everything that is wrong with them, and no secret."""

from __future__ import annotations

import dataclasses
import datetime
import pickle
import traceback
from typing import Any

import pytest

from cfgdrive_virt import (
    Bond,
    ConfigDriveRequest,
    InjectedFile,
    Interface,
    Keypair,
    NetworkInfo,
    Subnet,
)
from cfgdrive_virt.exception import InvalidRequest, Problem
from cfgdrive_virt.model.value import from_mapping, show

from ..samples import MAC, UUID, document, request

CANARY = "hunter2"
KEYPAIR = {"name": "k", "public_key": "ssh-ed25519 AAAA"}


def problems(**fields: Any) -> dict[str, Problem]:
    """Return by path what is wrong with a document."""
    with pytest.raises(InvalidRequest) as caught:
        from_mapping(ConfigDriveRequest, document(**fields))
    return {problem.path: problem for problem in caught.value.problems}


def paths(**fields: Any) -> list[str]:
    return list(problems(**fields))


def read(**fields: Any) -> ConfigDriveRequest:
    return from_mapping(ConfigDriveRequest, document(**fields))


def test_a_document_and_a_constructor_make_the_same_value() -> None:
    fields = {"launch_index": 2, "metadata": {"role": "web"}}
    assert read(**fields) == request(**fields)


def test_a_document_makes_values_within_values() -> None:
    made = read(
        network={
            "interfaces": [
                {
                    "mac": MAC,
                    "subnets": [{"type": "ipv4_dhcp", "gateway": None}],
                }
            ]
        }
    )
    link = Interface(mac=MAC, subnets=[Subnet(type="ipv4_dhcp")])
    assert made.network == NetworkInfo(interfaces=[link])


def test_every_problem_is_told_at_once() -> None:
    # What is unknown, then what is below or missing, then the rest.
    assert paths(
        uuid="x",
        name=5,
        hostname=None,
        launch_index=-1,
        colour="red",
        keypairs=[{"name": "k", "typo": 1}, {"public_key": "k"}],
        network={"interfaces": [{"mac": "x"}, {"mac": MAC, "mtu": 0}]},
        admin_pass="",
    ) == [
        "colour",
        "hostname",
        "keypairs[0].typo",
        "keypairs[0].public_key",
        "keypairs[1].name",
        "network.interfaces[0].mac",
        "network.interfaces[1].mtu",
        "uuid",
        "name",
        "launch_index",
        "admin_pass",
    ]


def test_no_problem_is_told_twice() -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_mapping(
            ConfigDriveRequest,
            {
                "x": 1,
                "uuid": "x",
                "keypairs": [KEYPAIR, KEYPAIR, {}],
                "devices": [{"type": "nic", "mac": 1}, {"type": "gpu"}],
                "network": {"vlans": [5], "services": 5},
            },
        )
    found = [problem.path for problem in caught.value.problems]
    assert len(found) == len(set(found))


def test_items_that_are_right_are_held_against_each_other() -> None:
    found = problems(uuid="x", colour=1, keypairs=[KEYPAIR, KEYPAIR])
    assert list(found) == ["colour", "uuid", "keypairs"]
    assert found["keypairs"].rule == "must not contain the same name twice"


def test_a_constructor_tells_every_problem_at_once_too() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ConfigDriveRequest(uuid="x", name=5, hostname="a b", launched="no")
    found = [problem.path for problem in caught.value.problems]
    assert found == ["uuid", "name", "hostname", "launched"]


def test_a_problem_has_its_path_rule_and_value() -> None:
    subnets = [
        {"type": "ipv4_dhcp"},
        {"type": "ipv4_dhcp", "gateway": "192.0.2.256"},
    ]
    found = problems(
        network={"interfaces": [{"mac": MAC, "subnets": subnets}]}
    )
    path = "network.interfaces[0].subnets[1].gateway"
    assert found == {
        path: Problem(path, "'192.0.2.256'", "must be an IP address")
    }


def test_an_error_reads_as_a_list_of_problems() -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_mapping(ConfigDriveRequest, {"uuid": UUID, "name": ""})
    assert str(caught.value) == (
        "not valid:"
        "\n  hostname: must be given"
        "\n  name: must be 1 to 255 characters long, not ''"
    )


def test_an_error_survives_being_sent() -> None:
    problems_ = [Problem("a", "5", "must be b"), Problem("", "", "must c")]
    error = InvalidRequest(problems_, "web.yaml")
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is InvalidRequest
    assert (found.problems, found.source) == (tuple(problems_), "web.yaml")
    assert str(found) == str(error)


@pytest.mark.parametrize(("count", "last"), [(100, ""), (1234, "1,134")])
def test_an_error_lists_a_hundred_problems_at_most(
    count: int, last: str
) -> None:
    many = [Problem(f"a[{number}]", "", "must b") for number in range(count)]
    error = InvalidRequest(many)
    assert error.problems == tuple(many)
    lines = str(error).splitlines()[1:]
    assert lines[:100] == [f"  a[{number}]: must b" for number in range(100)]
    assert lines[100:] == ([f"  and {last} more"] if last else [])


def test_a_key_without_a_value_is_as_good_as_absent() -> None:
    assert read(user_data=None, network=None, devices=None) == request()


def test_a_network_that_is_given_and_empty_is_one() -> None:
    assert read(network={}).network == NetworkInfo()
    assert read().network is request().network is None


@pytest.mark.parametrize("name", ["uuid", "name", "hostname"])
def test_what_is_required_must_be_given(name: str) -> None:
    assert str(problems(**{name: None})[name]) == (f"{name}: must be given")


@pytest.mark.parametrize(
    "top", [None, [], ["a"], "text", 5, True, b"bytes"], ids=repr
)
def test_a_document_is_a_mapping(top: Any) -> None:
    with pytest.raises(InvalidRequest, match="must be a mapping"):
        from_mapping(ConfigDriveRequest, top)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("network", {"network": []}),
        ("ec2", {"ec2": "i-1"}),
        ("keypairs", {"keypairs": {"name": "k"}}),
        ("keypairs[0]", {"keypairs": ["ssh-ed25519 AAAA"]}),
        ("keypairs[1]", {"keypairs": [KEYPAIR, None]}),
        ("network.interfaces", {"network": {"interfaces": MAC}}),
        ("network.interfaces[0]", {"network": {"interfaces": [MAC]}}),
        ("devices[0].type", {"devices": [{"type": "gpu"}]}),
        ("devices[0].type", {"devices": [{}]}),
        ("devices[0].type", {"devices": ["nic"]}),
        ("devices[0].type", {"devices": [{"type": ["nic"]}]}),
        ("devices[0].mac", {"devices": [{"type": "nic"}]}),
        ("devices", {"devices": 5}),
    ],
)  # fmt: skip
def test_a_wrong_structure_is_told_where_it_is(
    path: str, fields: dict[str, Any]
) -> None:
    assert paths(**fields) == [path]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("user_dta", "; did you mean user_data?"),
        ("host_name", "; did you mean hostname?"),
        ("adminpass", "; did you mean admin_pass?"),
        ("colour", ""),
    ],
)
def test_an_unknown_field_comes_with_a_hint(name: str, hint: str) -> None:
    found = problems(**{name: CANARY})
    assert found == {name: Problem(name, "", f"unknown field{hint}")}


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (5, "a number"),
        (None, "nothing"),
        (True, "a boolean"),
        (b"\xff", "bytes of 1"),
        (("a", "b"), "a list of 2"),
        (datetime.date(2001, 1, 1), "date"),
        ("", "a string of 0"),
        ("\x1b[31m", "a string of 5"),
        ("a\nb", "a string of 3"),
        ("\ud800", "a string of 1"),
        ("\u202e", "a string of 1"),
        ("name\n", "a string of 5"),
        (f"password {CANARY}", "a string of 16"),
        (f"root:$6${CANARY}$:1", "a string of 18"),
        (f"1{CANARY}", "a string of 8"),
        (f"{CANARY}.x", "a string of 9"),
        (f"-{CANARY}", "a string of 8"),
        (f"é{CANARY}", "a string of 8"),
        (CANARY * 6, "a string of 42"),
        (f"admin_pass: {CANARY}", "a string of 19"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("inside", [False, True], ids=["top", "inside"])
def test_a_key_that_is_no_name_is_never_printed(
    key: Any, path: str, inside: bool
) -> None:
    given = {"ec2": {key: CANARY}} if inside else {key: CANARY}
    with pytest.raises(InvalidRequest) as caught:
        from_mapping(ConfigDriveRequest, document() | given)
    (found,) = caught.value.problems
    assert found.path == (f"ec2.{path}" if inside else path)
    assert (found.value, found.rule.partition(";")[0]) == ("", "unknown field")
    told = "".join(traceback.format_exception(caught.value))
    assert CANARY not in told


@pytest.mark.parametrize("key", ["a", "_", "A-1_b", "x" * 40])
def test_a_key_that_is_a_name_is_printed(key: str) -> None:
    assert paths(**{key: 1}) == [key]


def test_an_unknown_field_within_values_is_told_where_it_is() -> None:
    link = {"mac": MAC, "subnets": [{"type": "ipv4_dhcp", "gw": "192.0.2.1"}]}
    assert paths(network={"interfaces": [link]}) == [
        "network.interfaces[0].subnets[0].gw"
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"admin_pass": [CANARY]},
        {"admin_pass": {CANARY: CANARY}},
        {"admin_pass": CANARY.encode()},
        {"admin_pass": frozenset({CANARY})},
        {"admin_pass": f"{CANARY}\ud800"},
        {"admin_pass": CANARY * 10_000},
        {"user_data": [CANARY]},
        {"user_data": {CANARY: CANARY}},
        {"user_data": {"base64": CANARY + "!"}},
        {"user_data": CANARY * 10_000},
        {"random_seed": CANARY * 1000},
        {"random_seed": {"base64": f"!{CANARY}"}},
        {"network_config": [CANARY]},
        {"vendor_data": {CANARY: {CANARY, CANARY}}},
        {"vendor_data": {CANARY: float("nan")}},
        {"vendor_data": {5: CANARY}},
        {"vendor_data": [f"{CANARY}\ud800"]},
        {"vendor_data": {CANARY.encode()}},
        {"vendor_data2": CANARY},
        {"vendor_data2": [CANARY]},
        {"vendor_data2": {CANARY: CANARY.encode()}},
        {"injected_files": CANARY},
        {"injected_files": [CANARY]},
        {"injected_files": {"/etc/x": CANARY}},
        {"injected_files": [{"path": "/x", "content": [CANARY]}]},
        {"injected_files": [{"path": "/x", "contents": CANARY}]},
        {"keypairs": CANARY},
        {"keypairs": [CANARY]},
        {"keypairs": [{"name": "k", "public_key": f"{CANARY}\0"}]},
        {"keypairs": [{"name": "k", "public_key": [CANARY]}]},
        {"keypairs": [{"name": "k", "publickey": CANARY}]},
        {"keypairs": [{"name": "k", "public_key": CANARY, "type": 5}]},
        {"adminpass": CANARY},
        {"userdata": {"base64": CANARY}},
        {"password": [CANARY]},
        {"ec2": {"admin_pass": CANARY}},
        {"network": {"admin_pass": CANARY}},
        {"network": CANARY},
        {"devices": CANARY},
        {"devices": [CANARY]},
    ],
    ids=lambda fields: ascii(fields)[:50],
)
def test_no_error_gives_a_secret_away(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        from_mapping(ConfigDriveRequest, document(**fields))
    # Nor does its traceback, which goes to a log.
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "fields",
    [
        {"admin_pass": CANARY},
        {"user_data": CANARY},
        {"vendor_data": {CANARY: CANARY}},
        {"vendor_data2": {CANARY: CANARY}},
        {"random_seed": CANARY},
        {"network_config": CANARY},
        {"keypairs": [Keypair(name="k", public_key=CANARY)]},
        {"injected_files": [InjectedFile(path="/x", content=CANARY)]},
    ],
    ids=lambda fields: str(*fields),
)
def test_no_repr_gives_a_secret_away(fields: dict[str, Any]) -> None:
    made = request(**fields)
    assert CANARY not in f"{made} {made!r}"


@pytest.mark.parametrize(
    ("value", "open_", "hidden"),
    [
        ("text", "'text'", "a string of 4"),
        ("é\n", r"'\xe9\n'", "a string of 2"),
        (b"bytes", "bytes of 5", "bytes of 5"),
        (5, "5", "a number"),
        (1.5, "1.5", "a number"),
        (True, "True", "a boolean"),
        (None, "None", "nothing"),
        ([1, 2], "a list of 2", "a list of 2"),
        ((1,), "a list of 1", "a list of 1"),
        ({"a": 1}, "a mapping of 1", "a mapping of 1"),
        ("x" * 58, f"'{'x' * 58}'", "a string of 58"),
        ("x" * 59, f"'{'x' * 49}... (61 long)", "a string of 59"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_a_value_is_shown_short_and_a_secret_unseen(
    value: Any, open_: str, hidden: str
) -> None:
    assert show(value) == open_
    assert show(value, secret=True) == hidden


@pytest.mark.parametrize("field", ["name", "launch_index", "launched", "dns"])
def test_a_number_too_long_to_print_is_an_error_like_any_other(
    field: str,
) -> None:
    # Python prints no number of more than 4,300 digits.
    with pytest.raises(InvalidRequest):
        from_mapping(ConfigDriveRequest, document(**{field: 10**5000}))


def test_an_unknown_key_too_long_to_print_is_an_error_like_any_other() -> None:
    with pytest.raises(InvalidRequest):
        from_mapping(ConfigDriveRequest, document() | {10**5000: 1})


def test_a_value_cannot_be_changed() -> None:
    made = request(metadata={"role": "web"}, vendor_data={"a": [{"b": 1}]})
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "other"
    with pytest.raises(TypeError):
        made.metadata["role"] = "db"
    with pytest.raises(TypeError):
        made.vendor_data["a"][0]["b"] = 2


def test_a_value_keeps_no_hold_of_what_it_was_made_from() -> None:
    metadata, vendor_data = {"role": "web"}, {"a": [1]}
    links, content = [Interface(mac=MAC)], bytearray(b"old")
    made = request(
        metadata=metadata,
        vendor_data=vendor_data,
        network=NetworkInfo(interfaces=links),
        user_data=content,
    )
    metadata["role"] = "db"
    vendor_data["a"].append(2)
    links.clear()
    content[:] = b"new"
    assert made == request(
        metadata={"role": "web"},
        vendor_data={"a": [1]},
        network=NetworkInfo(interfaces=[Interface(mac=MAC)]),
        user_data=b"old",
    )


KEYS = [Keypair(name=name, public_key="k") for name in "ab"]


def keypairs_refused(wrong: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        request(keypairs=wrong)
    (problem,) = caught.value.problems
    assert problem.path == "keypairs"
    return problem.rule


def test_a_tuple_field_takes_lists_and_tuples() -> None:
    assert request(keypairs=KEYS).keypairs == tuple(KEYS)
    assert request(keypairs=tuple(KEYS)).keypairs == tuple(KEYS)
    assert request(keypairs=[]).keypairs == ()


@pytest.mark.parametrize(
    "wrong",
    [
        "text", b"bytes", {}, 5, None, set(KEYS), frozenset(KEYS), iter(KEYS),
        (key for key in KEYS), dict.fromkeys(KEYS), dict.fromkeys(KEYS).keys(),
        KEYS[0],
    ],
    ids=lambda wrong: type(wrong).__name__,
)  # fmt: skip
def test_a_tuple_field_takes_nothing_without_an_order(wrong: Any) -> None:
    # A set has none, and what can be read once only would get lost.
    assert keypairs_refused(wrong) == "must be a list"


@pytest.mark.parametrize(
    "wrong",
    [[1], [None], [Subnet(type="ipv4_dhcp")], [*KEYS, "x"], (KEYPAIR,)],
    ids=["number", "nothing", "subnet", "last", "mapping"],
)
def test_a_tuple_field_takes_values_of_its_kind_only(wrong: Any) -> None:
    assert keypairs_refused(wrong) == "must contain only Keypair values"


def test_a_nested_field_takes_a_value_of_its_kind_only() -> None:
    with pytest.raises(InvalidRequest, match="network: must be a NetworkInfo"):
        request(network={"interfaces": []})


def test_what_fields_exclude_is_told_with_the_whole_path() -> None:
    bond = Bond(id="b", mac=MAC, bond_mode="802.3ad", bond_links=["x"])
    found = problems(
        network={
            "bonds": [
                {
                    "id": bond.id,
                    "mac": bond.mac,
                    "bond_mode": bond.bond_mode,
                    "bond_links": ["x"],
                }
            ]
        }
    )
    assert list(found) == ["network.bonds[0].bond_links"]
