"""CirrOS: a shell script, and a C program that makes files of JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from cfgdrive_virt.model.value import show
from cfgdrive_virt.readers.common import (
    META_DATA,
    lost_network,
    meta_data,
    public_keys,
)
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader

_SCRIPT = "cirros' src/lib/cirros/ds/configdrive"


def _meta_data(content: Content) -> Iterator[Loss]:
    if not isinstance(content.document(META_DATA), Mapping):
        effect = "is not a JSON object: the drive is not used"
        yield Loss(META_DATA, "", effect, refused=True)


def _keys(content: Content) -> Iterator[Loss]:
    # The shell sorts their files by name.
    keys = sorted(
        (name, key)
        for name, key in public_keys(content).items()
        if isinstance(key, str)
    )
    for (before, ended), (name, _) in itertools.pairwise(keys):
        if not ended.endswith("\n"):
            yield Loss(
                META_DATA,
                f"public_keys.{show(name)}",
                f"is glued to key {show(before)}, which does not end its line,"
                " and is lost",
            )


def _files(content: Content) -> Iterator[Loss]:
    files = meta_data(content).get("files")
    for number, entry in enumerate(files if isinstance(files, tuple) else ()):
        path = entry.get("path") if isinstance(entry, Mapping) else None
        if not isinstance(path, str):
            continue
        key = f"files[{number}].path"
        if not path.isascii():
            effect = "is not ASCII: the file is written to another path"
            yield Loss(META_DATA, key, effect)
        elif path.split() != [path]:
            effect = "has a space: neither this file nor the next is written"
            yield Loss(META_DATA, key, effect)


CIRROS = Reader(
    "cirros",
    "CirrOS",
    (
        Demand(
            "meta_data.json is a JSON object",
            f"{_SCRIPT} search_local",
            _meta_data,
        ),
        Demand(
            "of several public keys, each ends its line",
            f"{_SCRIPT} search_local",
            _keys,
        ),
        Demand(
            "paths of injected files are ASCII, without spaces",
            f"json2fstree, which drops the backslash of \\u; {_SCRIPT} apply",
            _files,
        ),
        Demand(
            "there is nothing in network_data.json but NICs and DHCP",
            f"{_SCRIPT} does not read network_data.json",
            lost_network,
        ),
    ),
)
