"""A request, at the edges of what its fields may hold."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from cfgdrive_virt import (
    ConfigDriveRequest,
    DiskDevice,
    InjectedFile,
    Keypair,
    NicDevice,
)
from cfgdrive_virt.exception import InvalidRequest
from cfgdrive_virt.metadata.openstack import build_tree

from ..samples import MAC, SEED, nested, request


def refused(**fields: Any) -> dict[str, str]:
    """Return by path in which words a request is refused."""
    with pytest.raises(InvalidRequest) as caught:
        request(**fields)
    return {problem.path: problem.rule for problem in caught.value.problems}


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x" * 255},
        {"name": "two\nlines"},
        {"name": "\0"},
        {"launch_index": 2**31 - 1},
        {"admin_pass": "é" * 65_535},
        {"admin_pass": " "},
        {"random_seed": b"x"},
        {"random_seed": b"x" * 4096},
        {"user_data": b"x" * 49_149},
        {"dedicated_cpus": [0, 65_535]},
        {"keypairs": [Keypair(name="k", public_key="x" * 65_535)]},
        {"injected_files": [InjectedFile(path="p" * 4096, content=b"")]},
        {"injected_files": [InjectedFile(path="../\n", content=b"")]},
    ],
    ids=lambda fields: ascii(fields)[:30],
)
def test_a_field_may_be_at_its_limit(fields: dict[str, Any]) -> None:
    request(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x" * 256},
        {"name": ""},
        {"project_id": "two\nlines"},
        {"flavor": ""},
        {"launch_index": 2**31},
        {"launch_index": True},
        {"admin_pass": "x" * 65_536},
        {"admin_pass": ""},
        {"random_seed": b""},
        {"random_seed": b"x" * 4097},
        {"user_data": b"x" * 49_150},
        {"dedicated_cpus": [65_536]},
        {"dedicated_cpus": [True]},
        {"config_drive": "yes"},
        {"config_drive": 1},
        {"launched": None},
        {"metadata": {"cpus": 4}},
        {"image_properties": {"hw_qemu_guest_agent": True}},
        {"vendor_data2": []},
        {"security_groups": "default"},
    ],
    ids=lambda fields: ascii(fields)[:30],
)
def test_a_field_beyond_its_limit_is_refused(fields: dict[str, Any]) -> None:
    assert list(refused(**fields)) == list(fields)


def test_no_two_keys_have_one_name() -> None:
    keys = [Keypair(name="k", public_key=key) for key in "ab"]
    assert refused(keypairs=keys) == {
        "keypairs": "must not contain the same name twice"
    }


def test_no_two_disks_have_one_serial() -> None:
    disks = [DiskDevice(serial="s", tags=[tag]) for tag in "ab"]
    assert refused(devices=disks) == {
        "devices": "must not contain the same serial twice"
    }


def test_devices_without_a_serial_may_be_many() -> None:
    devices = [DiskDevice(), DiskDevice(), NicDevice(mac=MAC)]
    assert len(request(devices=devices).devices) == 3


def test_a_key_holds_no_nul() -> None:
    with pytest.raises(
        InvalidRequest, match="must not contain a NUL character"
    ):
        Keypair(name="k", public_key="ssh\0")


def test_cpus_are_sorted_and_told_once() -> None:
    assert request(dedicated_cpus=[3, 1, 3]).dedicated_cpus == (1, 3)


def test_everything_else_has_a_default() -> None:
    made = request()
    assert made == ConfigDriveRequest(
        uuid=made.uuid, name=made.name, hostname=made.hostname
    )
    assert (made.user_data, made.devices, made.metadata) == (None, (), {})


def test_a_request_can_be_copied_sent_and_taken_apart(
    sample: ConfigDriveRequest,
) -> None:
    assert pickle.loads(pickle.dumps(sample)) == sample
    assert copy.deepcopy(sample) == sample
    assert dataclasses.replace(sample) == sample
    parts = dataclasses.asdict(sample)
    assert parts["metadata"] == sample.metadata
    assert parts["vendor_data2"] == sample.vendor_data2
    assert parts["keypairs"][0]["name"] == sample.keypairs[0].name


def test_equal_requests_are_one_in_a_set() -> None:
    made = [
        request(metadata=dict(pairs), vendor_data={"a": [{"b": 1}]})
        for pairs in ((("a", "1"), ("b", "2")), (("b", "2"), ("a", "1")))
    ]
    assert len(set(made)) == 1
    assert len({*made, request()}) == 2


def test_a_list_of_devices_names_the_kinds_that_it_holds() -> None:
    words = "must contain only NicDevice or DiskDevice or ShareDevice values"
    assert refused(devices=[NicDevice(mac=MAC), 5]) == {"devices": words}


@pytest.mark.parametrize("field", ["dedicated_cpus", "security_groups"])
@pytest.mark.parametrize("kind", [set, frozenset, iter, dict.fromkeys])
def test_what_has_no_order_or_can_be_read_once_is_no_list(
    field: str, kind: Any
) -> None:
    items = [1, 2] if field == "dedicated_cpus" else ["a", "b"]
    assert refused(**{field: kind(items)}) == {field: "must be a list"}


@pytest.mark.parametrize("field", ["vendor_data", "vendor_data2"])
def test_vendor_data_too_deep_for_readers_is_refused(field: str) -> None:
    assert refused(**{field: nested(64)}) == {
        field: "must be nested at most 64 levels deep"
    }


def test_what_is_accepted_is_built_however_deep_the_callers_stack() -> None:
    made = request(vendor_data=nested(60))

    def call(depth: int) -> None:
        if depth:
            call(depth - 1)
        else:
            build_tree(made, random_seed=SEED)

    call(500)
