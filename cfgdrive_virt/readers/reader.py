"""What a reader is: an agent in the guest, and what it demands of a drive.

A drive that every specification allows may still lose something on its way
into a guest.  A reader is a table of demands, each with the code or document
that it comes from; a drive that does not meet one has a :class:`Loss`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.readers.network import NetworkData


@dataclasses.dataclass(frozen=True, slots=True)
class Loss:
    """Something on a drive that a reader refuses, or does not deliver.

    :param path: the file, such as ``openstack/latest/meta_data.json``; empty
        for the whole drive
    :param key: a value in it, such as ``networks[1].routes[0]``; empty for
        the whole file
    :param effect: what happens in the guest, as a clause
    :param refused: whether the reader does not use the whole file, or the
        drive; else it loses only what is named
    :param reader: the reader's name
    """

    path: str
    key: str
    effect: str
    refused: bool = False
    reader: str = ""

    def __str__(self) -> str:
        place = f"{self.path} {self.key}".strip() or "the drive"
        return f"{self.reader}: {place}: {self.effect}"


@dataclasses.dataclass(frozen=True, slots=True)
class Content:
    """What a reader finds on a drive.  A guest may have written it.

    :param image_format: None if it is not known yet
    :param size: of the image in bytes; None if it is not known yet
    """

    tree: MetadataTree
    image_format: str | None = None
    size: int | None = None
    _cache: dict[str, NetworkData] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _met: dict[tuple[Demand, ...], bool] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def has(self, path: str) -> bool:
        """Tell whether there is a file."""
        return path in self.tree.files

    def document(self, path: str) -> Any:
        """Return the value of a JSON file; None without one, or for no JSON.

        Objects are mappings, and arrays tuples.
        """
        try:
            return json_file.document(self.tree, path)
        except ValueError:
            return None

    def network(self, path: str) -> NetworkData:
        """Return a network_data.json; without one, it has no links."""
        if path not in self._cache:
            self._cache[path] = NetworkData.of(self.document(path))
        return self._cache[path]

    def meets(self, demands: tuple[Demand, ...]) -> bool:
        """Tell whether it meets all of some demands, which it asks once."""
        if demands not in self._met:
            losses = (loss for one in demands for loss in one.losses(self))
            self._met[demands] = next(losses, None) is None
        return self._met[demands]


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """One thing that a reader demands.

    :param text: what it demands, as a clause
    :param source: the code, the document or the bug it was found in
    :param losses: yields what a drive loses that does not have it
    """

    text: str
    source: str
    losses: Callable[[Content], Iterator[Loss]]


@dataclasses.dataclass(frozen=True, slots=True)
class Reader:
    """An agent in the guest that reads config drives.

    :param name: as people call it, such as ``cloud-init-netplan``
    :param title: what it is, in a few words
    :param one_address: whether it gives a link only one static address of an
        IP version
    """

    name: str
    title: str
    demands: tuple[Demand, ...]
    one_address: bool = False

    def losses(self, content: Content) -> Iterator[Loss]:
        """Yield what this reader refuses or loses of a drive."""
        for demand in self.demands:
            for loss in demand.losses(content):
                yield dataclasses.replace(loss, reader=self.name)
