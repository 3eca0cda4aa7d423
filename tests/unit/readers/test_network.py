"""A network_data.json as readers take it."""

from __future__ import annotations

from typing import Any

from cfgdrive_virt.readers.network import NetworkData


def of(links: list[Any], networks: list[Any]) -> NetworkData:
    return NetworkData.of({"links": tuple(links), "networks": tuple(networks)})


def test_of_links_with_one_id_the_last_has_the_networks() -> None:
    data = of([{"id": "a"}, {"id": "a"}], [{"link": "a"}, {"link": "a"}])
    assert [len(link.networks) for link in data.links] == [0, 2]
