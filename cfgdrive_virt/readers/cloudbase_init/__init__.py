"""cloudbase-init: the agent of Windows guests."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cfgdrive_virt.readers.cloudbase_init.network_data import NETWORK
from cfgdrive_virt.readers.common import (
    META_DATA,
    USER_DATA,
    is_object,
    lost_files,
    meta_data,
    user_data,
)
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader

_NETBIOS_NAME = 15
#: It takes the number of sectors, of 2 KiB, from 16 bits.
_RAW_ISO = 65_536 * 2048

_GZIP = b"\x1f\x8b"
_RUNS = re.compile(
    rb"^#cloud-config|^\s*-----BEGIN CERTIFICATE-----|^rem\s+cmd\s|^#!"
    rb"|^#(ps1|ps1_sysnative|ps1_x86)\s|</?(script|powershell)>"
)


def _meta_data(content: Content) -> Iterator[Loss]:
    if not content.has(META_DATA):
        effect = "is missing: the drive is not found"
        yield Loss(META_DATA, "", effect, refused=True)
    elif not is_object(content, META_DATA):
        effect = (
            "is not a JSON object in UTF-8 without BOM: host name, password"
            " and keys are not set"
        )
        yield Loss(META_DATA, "", effect, refused=True)


def _host_name(content: Content) -> Iterator[Loss]:
    name = meta_data(content).get("hostname")
    label = name.partition(".")[0] if isinstance(name, str) else ""
    if len(label) > _NETBIOS_NAME:
        effect = f"is cut to {_NETBIOS_NAME} characters, as NetBIOS needs it"
        yield Loss(META_DATA, "hostname", effect)


def _user_data(content: Content) -> Iterator[Loss]:
    data = user_data(content)
    if data.startswith(_GZIP) or not data:
        return
    try:
        head = data.decode().partition("\n\n")[0]
    except UnicodeDecodeError:
        yield Loss(USER_DATA, "", "is not UTF-8: it is not run")
        return
    if "Content-Type: multipart" not in head and not _RUNS.search(data):
        effect = (
            "is neither a script of a known kind, #cloud-config nor"
            " multipart: it is not run"
        )
        yield Loss(USER_DATA, "", effect)


def _raw_iso(content: Content) -> Iterator[Loss]:
    if content.image_format == "iso9660" and (content.size or 0) >= _RAW_ISO:
        effect = "128 MiB or more: it is read from a cdrom only, not a disk"
        yield Loss("", "", effect)


CLOUDBASE_INIT = Reader(
    "cloudbase-init",
    "cloudbase-init 1.1.9 in Windows guests",
    (
        Demand(
            "meta_data.json is a JSON object in UTF-8",
            "baseconfigdrive.load; utils/encoding.get_as_string;"
            " metadata/services/baseopenstackservice.py"
            " _get_openstack_json_data",
            _meta_data,
        ),
        Demand(
            "the host name has 15 characters at most",
            "utils/hostname.set_hostname, netbios_host_name_compatibility",
            _host_name,
        ),
        Demand(
            "user data is a script, #cloud-config or multipart",
            "plugins/common/userdata.py and userdatautils.py _SCRIPTS",
            _user_data,
        ),
        Demand(
            "there are no injected files",
            "no plugin in conf/default.py writes any",
            lost_files,
        ),
        *NETWORK,
        Demand(
            "an ISO 9660 image on a disk is smaller than 128 MiB",
            "osconfigdrive/windows.py _get_iso_file_size",
            _raw_iso,
        ),
    ),
    one_address=True,
)
