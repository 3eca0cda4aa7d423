"""Whatever is changed in a network_data.json, cloud-init's code agrees."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfgdrive_virt.readers import READERS

from . import strategies
from .cloud_inits import CloudInit
from .drives import (
    FAR,
    Json,
    automatic,
    bond,
    content_of,
    dns,
    files,
    network_data,
    nic,
    static,
    vlan,
)
from .outcomes import fails
from .renderers import RENDERERS

EVERYTHING = network_data(
    nic(mtu=1400),
    nic(1),
    bond(bond_links=["tap1"]),
    vlan(vlan_link="bond"),
    static(routes=FAR, services=dns("192.0.2.53")),
    automatic("ipv4_dhcp", link="bond"),
    automatic("ipv6_slaac", link="vlan"),
    services=dns("192.0.2.53"),
)
REMOVED = object()


def places_in(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each value in a document."""
    entries: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, entry in entries:
        yield (key,)
        for keys in places_in(entry):
            yield (key, *keys)


def replaced(keys: tuple[Any, ...], value: object) -> Json:
    document: Any = json.loads(json.dumps(EVERYTHING))
    *outer, last = keys
    parent = functools.reduce(operator.getitem, outer, document)
    if value is REMOVED:
        del parent[last]
    else:
        parent[last] = value
    result: Json = document
    return result


@settings(
    strategies.PROPERTY,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.sampled_from(list(places_in(EVERYTHING))),
    st.sampled_from([REMOVED, None, 5, True, "x", "", [], {}, ["x"], [5]]),
)
def test_it_fails_where_a_loss_says_so_and_nowhere_else(
    newest: CloudInit, keys: tuple[Any, ...], value: Any
) -> None:
    content = content_of(files(network=replaced(keys, value)))
    macs = [link["ethernet_mac_address"] for link in EVERYTHING["links"][:2]]
    nics = [(f"eth{number}", mac) for number, mac in enumerate(macs)]
    answer = newest.read(content.tree.files, nics, RENDERERS)
    refused = any(
        loss.refused for loss in READERS["cloud-init"].losses(content)
    )
    # The drive does not say which NICs the guest has, nor which types of
    # networks without an address some renderers get along with.
    unknown_nic = "Unable to find a system nic" in answer["error"]
    bond_as_nic = keys == ("links", 2, "type")
    some = any(isinstance(r, str) for r in answer["rendered"].values())

    if not unknown_nic and not bond_as_nic:
        assert refused or not fails(answer)
        assert fails(answer) or some or not refused
