from __future__ import annotations

from cfgdrive_virt.readers.common import USER_DATA
from cfgdrive_virt.readers.reader import Content
from cfgdrive_virt.readers.talos import TALOS

from ...readers.cases import Case, drive, network
from ...readers.drives import (
    FAR,
    NETWORK_DATA,
    SLAAC,
    bond,
    default_route,
    dns,
    nic,
    static,
    vlan,
)
from .demands import check

FILE = {"path": "/etc/motd", "content_path": "/content/0000"}
CONFIGURED = {USER_DATA: b"version: v1alpha1\n"}
WHOLE = network(
    bond(bond_miimon="100"),
    vlan(vlan_link="bond"),
    static(link="vlan", routes=[default_route("192.0.1.1"), *FAR]),
    SLAAC,
)

CASES = {
    "there is user data, and not #cloud-config": Case(
        (drive(), drive(more={USER_DATA: b"#cloud-config\n"})),
        drive(more=CONFIGURED),
    ),
    "there are no injected files": Case(
        (drive(meta_data={"files": [FILE]}),), drive()
    ),
    "network_data.json is a JSON object": Case(
        (
            drive(more={NETWORK_DATA: b"[]"}),
            drive(more={NETWORK_DATA: b"\xef\xbb\xbf{}"}),
        ),
        drive(more={NETWORK_DATA: b"{}"}),
    ),
    "no link is of type dvs or hyperv; bond_miimon is a string": Case(
        (
            network(nic(type="hyperv")),
            network(nic(1, type="dvs"), static()),
            network(bond(bond_miimon=100)),
        ),
        WHOLE,
    ),
    "each network has an id, and a known type": Case(
        (network(static(id="")), network(static(type="ipv5"))), WHOLE
    ),
    "addresses and routes are such": Case(
        (
            network(static(ip_address="192.0.2.256")),
            network(static(netmask=None)),
            network(static(routes=[{"network": "192.0.2.0"}])),
        ),
        WHOLE,
    ),
    "services has all DNS servers": Case(
        (network(static(services=dns("192.0.2.53"))),),
        network(
            static(services=dns("192.0.2.53")), services=dns("192.0.2.53")
        ),
    ),
    "networks have no search domains": Case(
        (network(static(dns_search=["example.org"])),), WHOLE
    ),
}


def losses_at(content: Content) -> set[str]:
    return {loss.key for loss in TALOS.losses(content)}


def test_the_demands() -> None:
    check(TALOS, CASES)


def test_the_networks_of_an_unknown_link_are_lost_with_it() -> None:
    content = network(nic(type="hyperv"), static())
    assert {"links[0].type", "networks[0]"} <= losses_at(content)
