from __future__ import annotations

import json

from cfgdrive_virt.readers.afterburn import AFTERBURN
from cfgdrive_virt.readers.reader import Content

from ...readers.cases import Case, drive
from ...readers.drives import META_DATA
from .demands import check

EC2 = "ec2/latest/meta-data.json"
ED25519 = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZ"
    "GhscHR4f"
)


def keys(**found: object) -> Content:
    return drive(meta_data={"public_keys": found})


def ec2(value: object) -> Content:
    return drive(more={EC2: json.dumps(value).encode()})


CASES = {
    "the drive is ISO 9660": Case(
        (drive(image_format="vfat"),), drive(image_format="iso9660")
    ),
    "meta_data.json has text or null where text is due": Case(
        (
            drive(more={META_DATA: b"\xef\xbb\xbf{}"}),
            drive(meta_data={"uuid": 5}),
            drive(meta_data={"availability_zone": ["nova"]}),
            drive(meta_data={"public_keys": []}),
            keys(a=None),
        ),
        drive(meta_data={"availability_zone": None, "public_keys": None}),
    ),
    "each public key is an OpenSSH one": Case(
        (
            keys(a=ED25519, b="-----BEGIN CERTIFICATE-----\nMII\n"),
            keys(a=f"{ED25519}\n{ED25519}\n"),
            keys(a=""),
            keys(a="ssh-ed25519"),
            keys(a="ssh-rsa AAAA"),
            keys(a="ssh-ed25519 \u00e9"),
        ),
        keys(a=f"{ED25519} me\n", b=f'no-pty,command="a b" {ED25519}'),
    ),
    "ec2's meta-data.json has text or null where text is due": Case(
        (ec2([]), ec2({"instance-type": 1})),
        ec2({"instance-id": "i-1", "public-ipv4": None}),
    ),
}


def test_the_demands() -> None:
    check(AFTERBURN, CASES)


def test_a_key_that_is_no_key_costs_all_keys_and_not_the_drive() -> None:
    (loss,) = AFTERBURN.losses(keys(a=ED25519, b="x"))
    assert loss.key == "public_keys.'b'"
    assert "no key at all" in loss.effect
    assert not loss.refused
