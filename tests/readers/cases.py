"""A demand of a reader, and drives that break or keep it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.readers.reader import Content

from .drives import NETWORK_DATA, Files, Json, files, network_data

Arrives = Callable[[Mapping[str, Any], Content], bool]


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One demand: drives that break it, and one that keeps it.

    :param arrives: tells by what a reader made of a drive whether the guest
        has it; None for the network
    """

    broken: tuple[Content, ...]
    whole: Content
    arrives: Arrives | None = None


def drive(
    network: Any = None,
    meta_data: Json | None = None,
    more: Files | None = None,
    **image: Any,
) -> Content:
    """Return a drive that breaks nothing but by what is given.

    :param more: files instead of those that it has, or beside them
    :param image: format and size
    """
    found = files(meta_data=meta_data, network=network)
    return Content(MetadataTree(found | (more or {})), **image)


def reads(path: str) -> Arrives:
    """Tell whether a reader opens a file, if it is there."""
    return lambda made, content: path in made["read"] or not content.has(path)


def names_arrive(made: Mapping[str, Any], content: Content) -> bool:
    """Tell whether the names of links are in what a reader made."""
    links = content.network(NETWORK_DATA).links
    return all(link.raw.get("name", "") in str(made) for link in links)


def network(*parts: Json, **more: Any) -> Content:
    """Return a drive with these links and networks."""
    return drive(network_data(*parts, **more))
