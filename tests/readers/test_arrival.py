"""What a request asks for arrives in the guest, or was warned of."""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, given, settings

from cfgdrive_virt import NetworkInfo
from cfgdrive_virt.readers import READERS

from . import instances, strategies
from .arrival import asked, held, missing
from .cloud_inits import CloudInit
from .drives import NETWORK_DATA
from .outcomes import drive, is_of_schema, outcome, read
from .renderers import RENDERERS

networks = strategies.usual_networks() | strategies.network_infos()


@settings(strategies.PROPERTY, max_examples=200)
@given(networks)
def test_what_a_request_asks_for_is_on_its_drive(network: NetworkInfo) -> None:
    request = dataclasses.replace(instances.minimal(), network=network)
    on_drive = held(drive(network).network(NETWORK_DATA)).values()

    assert not missing(asked(request), frozenset().union(*on_drive))


@settings(
    strategies.PROPERTY,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(networks)
def test_what_a_drive_holds_arrives_or_was_warned_of(
    newest: CloudInit, network: NetworkInfo
) -> None:
    content = drive(network)
    answer = read(newest, content)
    losses = READERS["cloud-init"].losses(content)

    if "schema" in answer:
        assert bool(answer["schema"]) == any(map(is_of_schema, losses))
    for renderer in RENDERERS:
        found = outcome(renderer, answer, content)
        assert not found.unwarned, renderer
        assert not found.false, renderer
