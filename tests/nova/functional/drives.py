"""Drives as others read them, and as nova would have them.

They are read by xorriso, or by mtools, and told apart by blkid: whoever wrote
them has no part in it.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova import context as nova_context
from nova import objects
from nova.api.metadata import base as metadata

ISO9660, VFAT = "iso9660", "vfat"

Files = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Drive:
    """A drive as it was found.

    :param form: of the file system, ``iso9660`` or ``vfat``
    :param files: contents by path
    """

    form: str
    label: str
    files: Files


class NoDriveError(AssertionError):
    """What is there is no drive that others can read."""


def read(image: Path, scratch: Path) -> Drive:
    """Return the drive in an image, by other people's tools.

    :param scratch: a directory to extract it to, which must not exist
    """
    found = dict(
        line.partition("=")[::2]
        for line in _run("blkid", "-p", "-o", "export", image).splitlines()
    )
    form = found.get("TYPE", "nothing")
    scratch.mkdir()
    if form == ISO9660:
        _run(
            "xorriso", "-abort_on", "WARNING", "-osirrox", "on",
            "-indev", image, "-extract", "/", scratch,
        )  # fmt: skip
    elif form == VFAT:
        _run("mcopy", "-s", "-n", "-i", image, "::*", scratch)
    else:
        raise NoDriveError(f"{image.name} holds {form}: {found}")
    return Drive(
        form=form,
        label=found.get("LABEL", ""),
        files={
            str(path.relative_to(scratch)): path.read_bytes()
            for path in scratch.rglob("*")
            if path.is_file()
        },
    )


def wanted(
    uuid: str,
    cell: objects.CellMapping,
    files: Iterable[tuple[str, bytes]],
    admin_pass: str | None,
    *,
    scrubbed: bool = False,
) -> Files:
    """Return what nova says of an instance now.

    :param files: the injected ones: nova forgets them once it has spawned,
        and the password too
    :param scrubbed: without the key's text, which nova keeps to itself while
        it spawns a server that was shelved
    """
    anybody = nova_context.get_admin_context()
    with nova_context.target_cell(anybody, cell) as context:
        instance = objects.Instance.get_by_uuid(
            context,
            uuid,
            expected_attrs=[
                "device_metadata", "ec2_ids", "flavor", "info_cache",
                "keypairs", "metadata", "numa_topology", "system_metadata",
                "trusted_certs",
            ],
        )  # fmt: skip
        if scrubbed:
            instance.key_data = None
        told = metadata.InstanceMetadata(
            instance,
            content=list(files),
            extra_md={"admin_pass": admin_pass} if admin_pass else {},
            network_info=instance.get_network_info(),
        )
        return {
            path: data.encode() if isinstance(data, str) else data
            for path, data in told.metadata_for_config_drive()
        }


def differences(found: Files, due: Files) -> list[str]:
    """Tell what a drive says otherwise, file by file.

    JSON counts for what it means.  nova makes a random seed for each
    rendering: of that any will do that could be one.
    """
    told = [f"{path} is missing" for path in due.keys() - found.keys()]
    told += [f"{path} is too much" for path in found.keys() - due.keys()]
    for path in due.keys() & found.keys():
        if not path.endswith(".json"):
            if due[path] != found[path]:
                told.append(
                    f"{path}: {found[path]!r} instead of {due[path]!r}"
                )
            continue
        has, should = json.loads(found[path]), json.loads(due[path])
        if "random_seed" in should:
            del should["random_seed"]
            seed = base64.b64decode(has.pop("random_seed"), validate=True)
            if len(seed) != 512:
                told.append(f"{path}: a random_seed of {len(seed)} bytes")
        told += [f"{path}: {what}" for what in _compare(has, should)]
    return sorted(told)


def _compare(has: Any, should: Any) -> list[str]:
    if not isinstance(has, Mapping) or not isinstance(should, Mapping):
        return [] if has == should else [f"{has!r} instead of {should!r}"]
    return [
        f"{key} is {has.get(key)!r} instead of {should.get(key)!r}"
        for key in sorted(has.keys() | should.keys())
        if has.get(key) != should.get(key)
    ]


def _run(*command: str | Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode:
        raise NoDriveError(f"{command[0]}: {done.stdout}{done.stderr}")
    return done.stdout
