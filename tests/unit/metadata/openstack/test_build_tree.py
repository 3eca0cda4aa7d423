"""A request becomes a tree: what options and deployment add to it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.exception import InvalidRequest
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.metadata.openstack.meta_data import VERSIONS

from ...samples import SEED, request


def told(
    name: str, made: ConfigDriveRequest | None = None, **arguments: Any
) -> Any:
    """Return what latest says in one of its files."""
    tree = build_tree(made or request(), random_seed=SEED, **arguments)
    return json.loads(tree.files[f"openstack/latest/{name}.json"])


def test_the_same_request_gives_the_same_tree(
    sample: ConfigDriveRequest,
) -> None:
    first, second = (build_tree(sample, random_seed=SEED) for _ in range(2))
    assert dict(first.files) == dict(second.files)


def test_the_seed_is_the_same_in_all_versions() -> None:
    files = build_tree(request(), random_seed=bytes(range(256))).files
    seeds = {
        json.loads(files[f"openstack/{version}/meta_data.json"])["random_seed"]
        for version in VERSIONS[1:]
    }
    assert seeds == {base64.b64encode(bytes(range(256))).decode()}


@pytest.mark.parametrize(
    ("domain", "name"), [("", "web-1"), ("example.org", "web-1.example.org")]
)
def test_the_domain_is_added_to_the_host_name(domain: str, name: str) -> None:
    tree = build_tree(request(), random_seed=SEED, dhcp_domain=domain)
    assert told("meta_data", dhcp_domain=domain)["hostname"] == name
    ec2 = json.loads(tree.files["ec2/latest/meta-data.json"])
    names = [ec2[f"{kind}hostname"] for kind in ("", "local-", "public-")]
    assert names == [name] * 3


@pytest.mark.parametrize(
    ("deployments", "requests", "wins"),
    [
        (None, None, {}),
        ({"a": 1}, None, {"a": 1}),
        ({"a": 1}, {"b": 2}, {"b": 2}),
        ({"a": 1}, {}, {}),
        ("text", None, "text"),
        (["list"], None, ["list"]),
    ],
    ids=["none", "deployment", "both", "empty", "text", "list"],
)
def test_a_requests_vendor_data_outranks_the_deployments(
    deployments: Any, requests: Any, wins: Any
) -> None:
    made = request(vendor_data=requests)
    assert told("vendor_data", made, vendor_data=deployments) == wins
    assert told("vendor_data2", made, vendor_data=deployments) == {
        "static": wins
    }


def test_dynamic_vendor_data_stands_beside_the_static() -> None:
    made = request(vendor_data2={"inventory": {"rack": 1}, "static": "mine"})
    assert told("vendor_data2", made, vendor_data={"a": 1}) == {
        "static": {"a": 1},
        "inventory": {"rack": 1},
    }


def test_where_there_is_no_static_vendor_data_there_is_no_key_for_it() -> None:
    made = request(vendor_data2={"inventory": 1})
    assert told("vendor_data2", made, vendor_data_static=False) == {
        "inventory": 1
    }


def test_frozen_json_is_written_as_it_came() -> None:
    data = {"a": [{"b": None}, [1.5, True], "é"], "": {}}
    assert told("vendor_data", request(vendor_data=data)) == data


@pytest.mark.parametrize("digits", [1, 20, 309, 4300, 4301])
def test_a_number_is_refused_or_written(digits: int) -> None:
    try:
        made = request(vendor_data=[10 ** (digits - 1)])
    except InvalidRequest:
        return
    assert told("vendor_data", made) == [10 ** (digits - 1)]


def test_numbers_are_written_as_they_came() -> None:
    numbers = [2**80, -0.0, 1e308, -1, 0.1]
    assert told("vendor_data", request(vendor_data=numbers)) == numbers
