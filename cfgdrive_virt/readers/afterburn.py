"""Afterburn: the agent of keys and attributes beside Ignition."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from cfgdrive_virt.model.value import show
from cfgdrive_virt.readers.common import (
    META_DATA,
    is_object,
    meta_data,
    public_keys,
)
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader

_SOURCE = "Afterburn of 2026-07, src/providers/openstack/configdrive.rs"
_EC2 = "ec2/latest/meta-data.json"

_TEXTS = ("uuid", "hostname", "availability_zone")
_EC2_TEXTS = ("instance-id", "instance-type", "local-ipv4", "public-ipv4")
#: Of the crate openssh-keys.
_KEY_TYPES = (
    "ssh-rsa", "ssh-dss", "ssh-ed25519", "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip


def _format(content: Content) -> Iterator[Loss]:
    if content.image_format == "vfat":
        effect = "only ISO 9660 is mounted: no key or attribute is read"
        yield Loss("", "", effect, refused=True)


def _meta_data(content: Content) -> Iterator[Loss]:
    effect = "no key or attribute is read"
    if not is_object(content, META_DATA):
        reason = "is not a JSON object in UTF-8"
        yield Loss(META_DATA, "", f"{reason}: {effect}", refused=True)
        return
    found = meta_data(content)
    for name in _TEXTS:
        if not _is_text(found.get(name)):
            reason = "is neither text nor null"
            yield Loss(META_DATA, name, f"{reason}: {effect}", refused=True)
    keys = found.get("public_keys")
    if keys is not None and not (
        isinstance(keys, Mapping)
        and all(isinstance(key, str) for key in keys.values())
    ):
        reason = "is not an object of texts"
        yield Loss(
            META_DATA, "public_keys", f"{reason}: {effect}", refused=True
        )


def _keys(content: Content) -> Iterator[Loss]:
    for name, key in public_keys(content).items():
        if isinstance(key, str) and not _is_openssh(key):
            effect = "is not one OpenSSH public key: no key at all is written"
            yield Loss(META_DATA, f"public_keys.{show(name)}", effect)


def _ec2(content: Content) -> Iterator[Loss]:
    if not content.has(_EC2):
        return
    found = content.document(_EC2)
    if not is_object(content, _EC2):
        effect = "is not a JSON object in UTF-8: its attributes are not set"
        yield Loss(_EC2, "", effect, refused=True)
        return
    for name in _EC2_TEXTS:
        if not _is_text(found.get(name)):
            effect = "is neither text nor null: no attribute of ec2 is set"
            yield Loss(_EC2, name, effect, refused=True)


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_openssh(key: str) -> bool:
    words = key.split()
    if len(key.splitlines()) != 1:
        return False
    # Options may precede the type, a comment may follow the key.
    for kind, data in itertools.pairwise(words):
        if kind in _KEY_TYPES:
            name = kind.encode()
            try:
                blob = base64.b64decode(data, validate=True)
            except ValueError:
                return False
            return blob.startswith(len(name).to_bytes(4, "big") + name)
    return False


AFTERBURN = Reader(
    "afterburn",
    "Afterburn in guests of Flatcar, Fedora CoreOS and RHEL CoreOS",
    (
        Demand("the drive is ISO 9660", f"{_SOURCE} try_new", _format),
        Demand(
            "meta_data.json has text or null where text is due",
            f"{_SOURCE} MetadataOpenstackJSON",
            _meta_data,
        ),
        Demand(
            "each public key is an OpenSSH one",
            f"{_SOURCE} fetch_publickeys",
            _keys,
        ),
        Demand(
            "ec2's meta-data.json has text or null where text is due",
            f"{_SOURCE} MetadataEc2JSON, attributes",
            _ec2,
        ),
    ),
)
