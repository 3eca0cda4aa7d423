"""What stock nova does to a guest, and what beside it ours refuses to do."""

from __future__ import annotations

import pytest
from cloud import OURS, STOCK, cloud
from hosts import Hosts
from servers import boot

from tests.guest.guests import Probe


def test_with_stock_nova_a_guest_that_moves_reads_zeros(
    hosts: Hosts, probe: Probe
) -> None:
    one, other = hosts.all
    with cloud(hosts, probe, STOCK, STOCK) as stock:
        server = boot(stock, one)
        assert server.reads().sums == server.sums()
        size = len(server.content())

        server.migrates_live()

        assert server.content() == bytes(size)
        other.console(server.uuid).wait_for("^PROBE nomount none", 60)


@pytest.mark.parametrize(
    ("drivers", "outcome"),
    [((OURS, STOCK), "error"), ((STOCK, OURS), "failed")],
    ids=["to stock", "from stock"],
)
def test_no_guest_moves_where_it_would_read_zeros(
    drivers: tuple[str, str], outcome: str, hosts: Hosts, probe: Probe
) -> None:
    one, _ = hosts.all
    with (
        cloud(hosts, probe, *drivers) as mixed,
        mixed.options(config_drive_format="iso9660"),
    ):
        server = boot(mixed, one)
        before = server.content()
        sums = server.reads().sums

        server.migrates_live(outcome)

        assert server.host == one
        assert server.content() == before
        assert server.reads().sums == sums
        assert server.elsewhere.files(server.uuid) == set()
        assert server.is_gone()
