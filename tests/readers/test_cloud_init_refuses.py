"""What the check calls damaged is what cloud-init's own reader refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt.metadata.openstack import OPENSTACK, build_tree
from cfgdrive_virt.model.tree import MetadataTree

from . import instances
from .test_cloud_init import cloud_init

Files = dict[str, bytes]
Change = Callable[[Files], None]

#: The version that cloud-init reads.
VERSION = "openstack/2018-08-27"


def changed(name: str, change: Callable[[bytes], bytes]) -> Change:
    """Change a file in each version that has it."""

    def apply(files: Files) -> None:
        for path in files:
            if path.rpartition("/")[2] == name:
                files[path] = change(files[path])

    return apply


def said(**values: Any) -> Change:
    """Let each meta_data.json say something else."""
    return changed(
        "meta_data.json",
        lambda content: json.dumps(json.loads(content) | values).encode(),
    )


def unsaid(key: str) -> Change:
    """Let no meta_data.json say something."""

    def without(content: bytes) -> bytes:
        document = json.loads(content)
        del document[key]
        return json.dumps(document).encode()

    return changed("meta_data.json", without)


def replaced(name: str, content: bytes) -> Change:
    return changed(name, lambda _: content)


def removed(path: str) -> Change:
    return lambda files: files.__delitem__(path)


def marked(content: bytes) -> bytes:
    return b"\xef\xbb\xbf" + content


def in_utf_16(content: bytes) -> bytes:
    return content.decode().encode("utf-16")


def without_ec2(files: Files) -> None:
    for path in list(files):
        if path.startswith("ec2/"):
            del files[path]


def only_a_newer_user_data(files: Files) -> None:
    for path in list(files):
        if path.startswith("openstack/2"):
            del files[path]
    files["openstack/2017-02-22/user_data"] = b"#!/bin/sh"


REFUSED: dict[str, Change] = {
    f"{name} {how}": changed(name, change)
    for name in (
        "meta_data.json",
        "network_data.json",
        "vendor_data.json",
        "vendor_data2.json",
        "meta-data.json",
    )
    for how, change in (
        ("with a mark", marked),
        ("in UTF-16", in_utf_16),
        ("empty", lambda _: b""),
        ("a number", lambda _: b"5"),
        ("null", lambda _: b"null"),
        ("cut", lambda content: content[:-1]),
    )
} | {
    "meta_data.json a list": replaced("meta_data.json", b"[]"),
    "network_data.json a list": replaced("network_data.json", b"[]"),
    "network_data.json a string": replaced("network_data.json", b'"x"'),
    "meta-data.json a list": replaced("meta-data.json", b"[]"),
    "no meta_data.json beside user_data": only_a_newer_user_data,
    "no meta_data.json in its version": removed(f"{VERSION}/meta_data.json"),
    "no uuid": unsaid("uuid"),
    "random_seed null": said(random_seed=None),
    "random_seed a number": said(random_seed=5),
    "random_seed cut": said(random_seed="A"),
    "meta null": said(meta=None),
    "meta a list": said(meta=[]),
    "files null": said(files=None),
    "files with null": said(files=[None]),
    "a file that is not there": said(
        files=[{"path": "/x", "content_path": "/content/0099"}]
    ),
    "a file without a content": said(files=[{"path": "/x"}]),
    "no network_config": said(
        network_config={"content_path": "/content/0099"}
    ),
}
TAKEN: dict[str, Change] = {
    "as built": said(),
    "uuid a number": said(uuid=5),
    "random_seed in lines": said(random_seed="c2Vl\nZA==\n"),
    "network_config empty": said(network_config={}),
    "network_config null": said(network_config=None),
    "vendor_data.json a list": replaced("vendor_data.json", b"[]"),
    "vendor_data2.json a string": replaced("vendor_data2.json", b'"x"'),
    "network_data.json empty": replaced("network_data.json", b"{}"),
    "no ec2 tree": without_ec2,
}


def tree(change: Change) -> MetadataTree:
    built = build_tree(instances.sample(), random_seed=instances.SEED)
    files = dict(built.files)
    change(files)
    return MetadataTree(files)


@pytest.fixture(scope="module")
def source() -> Any:
    """cloud-init's data source; its import closes the handlers of logs."""
    return cloud_init("sources.DataSourceConfigDrive")


def read(source: Any, given: MetadataTree, directory: Path) -> dict[str, Any]:
    """Let cloud-init read a drive, and its network."""
    for path, content in given.files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    found: dict[str, Any] = source.read_config_drive(str(directory))
    network = found["networkdata"]
    macs = {
        link["ethernet_mac_address"]: f"eth{number}"
        for number, link in enumerate(network.get("links", []))
        if link["type"] not in ("bond", "vlan")
    }
    source.openstack.convert_net_json(network, macs)
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_cloud_init_refuses_is_a_problem(
    name: str, source: Any, tmp_path: Path
) -> None:
    given = tree(REFUSED[name])
    assert list(OPENSTACK.problems(given))
    # Also by errors that it doesn't expect, which end it.
    with pytest.raises(Exception):  # noqa: B017
        read(source, given, tmp_path)


@pytest.mark.parametrize("name", TAKEN)
def test_what_cloud_init_takes_is_no_problem(
    name: str, source: Any, tmp_path: Path
) -> None:
    given = tree(TAKEN[name])
    assert read(source, given, tmp_path)["metadata"]["instance-id"]
    assert list(OPENSTACK.problems(given)) == []
