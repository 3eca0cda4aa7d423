"""Ignition: Flatcar, Fedora CoreOS and RHEL CoreOS, at the first boot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cfgdrive_virt.model import json_text
from cfgdrive_virt.readers.common import (
    USER_DATA,
    lost_files,
    lost_network,
    user_data,
)
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader

_PROVIDER = "Ignition 2, internal/providers/openstack/openstack.go"

#: More is not parsed, and nothing is said of it.
_MAX_BYTES = 1024 * 1024
_MAX_DIGITS = 100

_CLOUD_INIT = re.compile(rb"#cloud-config|#!")
_BUTANE = re.compile(rb"^variant:", re.MULTILINE)


def _user_data(content: Content) -> Iterator[Loss]:
    data = user_data(content)
    if not data or len(data) > _MAX_BYTES or _is_configuration(data):
        return
    if _CLOUD_INIT.match(data):
        effect = (
            "is for cloud-init: Ignition stops the boot in the initramfs; in"
            " Flatcar it leaves it to coreos-cloudinit"
        )
    elif _BUTANE.search(data):
        effect = (
            "is Butane's YAML: Ignition stops the boot in the initramfs,"
            " except for the newest releases, which translate it"
        )
    else:
        effect = (
            "is not an Ignition configuration, which is JSON with"
            " ignition.version: Ignition stops the boot in the initramfs"
        )
    yield Loss(USER_DATA, "", effect, refused=True)


def _is_configuration(data: bytes) -> bool:
    try:
        found = json_text.load(data, max_digits=_MAX_DIGITS)
    except ValueError:
        return False
    ignition = found.get("ignition") if isinstance(found, Mapping) else None
    return isinstance(ignition, Mapping) and isinstance(
        ignition.get("version"), str
    )


IGNITION = Reader(
    "ignition",
    "Ignition 2 in guests of Flatcar, Fedora CoreOS and RHEL CoreOS",
    (
        Demand(
            "user data is an Ignition configuration, or empty",
            f"{_PROVIDER} fetchConfig; config/config.go Parse",
            _user_data,
        ),
        Demand(
            "there are no injected files",
            f"{_PROVIDER} reads user_data only",
            lost_files,
        ),
        Demand(
            "there is nothing in network_data.json but NICs and DHCP",
            f"{_PROVIDER} reads user_data only; Fedora CoreOS' issue 324",
            lost_network,
        ),
    ),
)
