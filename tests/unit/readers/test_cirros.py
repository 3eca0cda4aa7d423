from __future__ import annotations

from cfgdrive_virt.readers.cirros import CIRROS
from cfgdrive_virt.readers.reader import Content

from ...readers.cases import Case, drive, network
from ...readers.drives import META_DATA, bond, dns, nic, static
from .demands import UNREAD, check


def keys(**found: object) -> Content:
    return drive(meta_data={"public_keys": found})


def file(path: object) -> Content:
    entry = {"path": path, "content_path": "/content/0000"}
    return drive(meta_data={"files": [entry]})


CASES = {
    "meta_data.json is a JSON object": Case(
        (drive(more={META_DATA: b"[]"}), drive(more={META_DATA: b"{"})),
        drive(),
    ),
    "of several public keys, each ends its line": Case(
        (keys(a="ssh-rsa A", b="ssh-rsa B\n"), keys(b="B", a="A", c="C")),
        keys(a="ssh-rsa A\n", b="ssh-rsa B", c=None),
    ),
    "paths of injected files are ASCII, without spaces": Case(
        (file("/etc/m\u00f6td"), file("/etc/my motd"), file("")),
        file("/etc/motd"),
    ),
    "there is nothing in network_data.json but NICs and DHCP": UNREAD,
}


def test_the_demands() -> None:
    check(CIRROS, CASES)


def test_the_key_after_one_without_a_line_end_is_lost() -> None:
    losses = CIRROS.losses(keys(b="B\n", a="A", c="C"))
    lost = [loss.key for loss in losses if loss.path == META_DATA]
    assert lost == ["public_keys.'b'"]


def test_each_unread_part_of_the_network_is_named_once() -> None:
    content = network(
        nic(mtu=1400),
        bond(mtu=1400),
        static(services=dns("192.0.2.53"), dns_search=["example.org"]),
        services=dns("192.0.2.53"),
    )
    assert [loss.key for loss in CIRROS.losses(content)] == [
        "links[0].mtu",
        "links[1]",
        "networks[0]",
        "networks[0].services",
        "networks[0].dns_search",
        "services",
    ]
