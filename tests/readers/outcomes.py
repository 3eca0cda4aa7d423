"""What becomes of a drive's network in a guest with cloud-init."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cfgdrive_virt import NetworkInfo
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.readers import READERS, Content, Loss
from cfgdrive_virt.readers.network import NetworkData

from . import instances
from .arrival import Items, held, missing
from .cloud_inits import CloudInit
from .drives import NETWORK_DATA
from .renderers import RENDERERS, arrived


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a drive's network in a guest.

    :param lost: what the drive holds and the guest has not
    :param unwarned: of it, what no loss named
    :param false: losses that did not happen
    """

    lost: Items
    unwarned: Items
    false: tuple[Loss, ...]


def drive(network: NetworkInfo) -> Content:
    """Return the only version of the metadata of an instance."""
    request = dataclasses.replace(instances.minimal(), network=network)
    tree = build_tree(request, random_seed=b"-")
    return Content(tree.below(("openstack/latest",)))


def read(cloud_init: CloudInit, content: Content) -> dict[str, Any]:
    """Let cloud-init read a drive in a guest that has its NICs."""
    macs = [
        link.mac
        for link in content.network(NETWORK_DATA).links
        if link.type not in ("bond", "vlan") and link.mac
    ]
    nics = [(f"eth{number}", mac) for number, mac in enumerate(macs)]
    return cloud_init.read(content.tree.files, nics, RENDERERS)


def outcome(
    renderer: str, answer: Mapping[str, Any], content: Content
) -> Outcome:
    """Return what became of a drive's network, by one renderer.

    Its items: what cloud-init's schema refuses arrives all the same.
    """
    network_data = content.network(NETWORK_DATA)
    wanted = held(network_data)
    names = interface_names(answer, network_data)
    got = arrived(renderer, answer["rendered"].get(renderer, ""), names)
    lost = missing(frozenset().union(*wanted.values()), got)
    losses = [
        loss
        for loss in READERS[f"cloud-init-{renderer}"].losses(content)
        if not is_of_schema(loss)
    ]
    warned: Items = frozenset().union(
        *(wanted.get(loss.key, frozenset()) for loss in losses)
    )
    if any(loss.refused for loss in losses):
        warned = lost
    false = (
        loss
        for loss in losses
        if (got if loss.refused else not wanted.get(loss.key, lost) & lost)
        and (loss.refused or loss.key in wanted)
    )
    return Outcome(lost, lost - warned, tuple(false))


def is_of_schema(loss: Loss) -> bool:
    """Tell whether a loss is but a warning of cloud-init's schema."""
    return "schema" in loss.effect


def interface_names(
    answer: Mapping[str, Any], network_data: NetworkData
) -> dict[str, list[str]]:
    """Return the ids of links by their names in the guest."""
    names: dict[str, list[str]] = {}
    config = (answer.get("config") or {}).get("config", ())
    for link, entry in zip(network_data.links, config, strict=False):
        names.setdefault(entry["name"], []).append(link.id)
    return names


def fails(answer: Mapping[str, Any]) -> bool:
    """Tell whether cloud-init, or each renderer, raises an exception."""
    rendered = answer["rendered"].values()
    return bool(answer["error"]) or all(isinstance(r, str) for r in rendered)
