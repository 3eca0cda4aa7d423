"""One test for the table of any reader."""

from __future__ import annotations

from collections.abc import Mapping

from cfgdrive_virt.readers.reader import Reader

from ...readers.cases import Case, network
from ...readers.drives import DHCP, bond, dns, nic, static, static6, vlan

#: Of a reader that does not read network_data.json.
UNREAD = Case(
    (
        network(static()),
        network(DHCP, static6()),
        network(bond(), DHCP),
        network(vlan(), DHCP),
        network(nic(mtu=1400), DHCP),
        network(DHCP | {"services": dns("192.0.2.53")}),
        network(DHCP | {"dns_search": ["example.org"]}),
        network(DHCP, services=dns("192.0.2.53")),
    ),
    network(DHCP),
)


def check(reader: Reader, cases: Mapping[str, Case]) -> None:
    """Check that each demand finds a loss where one is, and nowhere else."""
    assert {demand.text for demand in reader.demands} == set(cases)
    for demand in reader.demands:
        case = cases[demand.text]
        assert not list(demand.losses(case.whole)), demand.text
        for number, content in enumerate(case.broken):
            assert list(demand.losses(content)), (demand.text, number)
