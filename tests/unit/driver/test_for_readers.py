"""What a drive says so that every reader makes the right thing of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import (
    Bond,
    ConfigDriveDriver,
    InjectedFile,
    Interface,
    Keypair,
    NetworkInfo,
    RenderedRequest,
    Route,
    Subnet,
    Vlan,
    image,
    readers,
)
from cfgdrive_virt.exception import InvalidRequest
from cfgdrive_virt.model.network import STATIC_TYPES
from cfgdrive_virt.model.status import FRESH, STALE
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.readers import Reader

from ..samples import MAC, UUID, request, wanted
from .drives import Make, meta_data, tree

NETWORK_DATA = "openstack/latest/network_data.json"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
EMPTY: dict[str, Any] = {"links": [], "networks": [], "services": []}

#: Two readers: the second gives a link one address, as on Windows.
MANY = Reader("many", "one that takes all addresses", ())
ONE = Reader("one", "one that takes one address", (), one_address=True)


def static(number: int, version: int = 4, **fields: Any) -> Subnet:
    """Return a static subnet with a gateway; each number is another one."""
    net = f"192.0.{number}." if version == 4 else f"2001:db8:{number}::"
    given: dict[str, Any] = {
        "type": f"ipv{version}",
        "cidr": f"{net}{'0/24' if version == 4 else '/64'}",
        "ip_address": f"{net}10",
        "gateway": f"{net}1",
    }
    return Subnet(**given | fields)


EVERYWHERE = Route(destination="0.0.0.0/0", gateway="192.0.1.3")
FAR = Route(destination="198.51.100.0/24", gateway="192.0.1.2")


def link(*subnets: Subnet, **fields: Any) -> Interface:
    given: dict[str, Any] = {"mac": MAC, "id": "eth0", "subnets": subnets}
    return Interface(**given | fields)


Said = Callable[..., dict[str, Any]]


@pytest.fixture
def said(driver: ConfigDriveDriver) -> Said:
    """Return the parsed files of ``latest`` of a request, by name."""

    def files(**fields: Any) -> dict[str, Any]:
        tree = driver.tree(request(**fields))
        return {
            path.rpartition("/")[2]: json.loads(content)
            for path, content in tree.files.items()
            if "/latest/" in path
        }

    return files


def default_routes(document: dict[str, Any]) -> dict[str, list[str]]:
    """Return the gateways of default routes, by the id of their network."""
    found = {
        network["id"]: [
            route["gateway"]
            for route in network.get("routes", ())
            if route["network"] in ("0.0.0.0", "::")
        ]
        for network in document["networks"]
    }
    return {name: gateways for name, gateways in found.items() if gateways}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (None, None),
        (NetworkInfo(), EMPTY),
        (NetworkInfo(floating_ips=["192.0.2.1"]), EMPTY),
        (
            NetworkInfo(interfaces=[Interface(mac=MAC)]),
            EMPTY
            | {
                "links": [
                    {
                        "id": "interface0",
                        "type": "phy",
                        "ethernet_mac_address": MAC,
                        "mtu": None,
                    }
                ]
            },
        ),
    ],
    ids=["none", "empty", "floating", "mac-alone"],
)
def test_only_a_network_that_is_given_is_a_configuration(
    said: Said, network: NetworkInfo | None, expected: dict[str, Any] | None
) -> None:
    assert said(network=network).get("network_data.json") == expected


@pytest.mark.parametrize(
    ("subnets", "expected"),
    [
        ([static(1), static(2)], {"network0": ["192.0.1.1"]}),
        ([static(1, 6), static(2, 6)], {"network0": ["2001:db8:1::1"]}),
        (
            [static(1), static(1, 6), static(2, 6), static(2)],
            {"network0": ["192.0.1.1"], "network1": ["2001:db8:1::1"]},
        ),
        (
            [static(1, gateway=None), static(2), static(3)],
            {"network1": ["192.0.2.1"]},
        ),
        (
            [
                static(
                    1,
                    routes=[
                        Route(destination="0.0.0.0/0", gateway="192.0.1.2")
                    ],
                )
            ],
            {"network0": ["192.0.1.1"]},
        ),
        (
            [
                static(
                    1,
                    gateway=None,
                    routes=[
                        Route(destination="0.0.0.0/0", gateway="192.0.1.2"),
                        Route(destination="0.0.0.0/0", gateway="192.0.1.3"),
                    ],
                ),
                static(2),
            ],
            {"network0": ["192.0.1.2"]},
        ),
    ],
    ids=["ipv4", "ipv6", "both", "second", "gateway-and-route", "routes"],
)
def test_a_link_has_one_default_route_for_each_ip_version(
    said: Said, subnets: list[Subnet], expected: dict[str, list[str]]
) -> None:
    network = NetworkInfo(interfaces=[link(*subnets)])
    document = said(network=network)["network_data.json"]
    assert default_routes(document) == expected


def test_every_link_has_its_default_route_and_all_its_other_ones(
    said: Said,
) -> None:
    route = Route(destination="198.51.100.0/24", gateway="192.0.2.254")
    network = NetworkInfo(
        interfaces=[link(static(1), static(2, routes=[route]))],
        vlans=[
            Vlan(
                id="v", mac=MAC, vlan_id=7, vlan_link="eth0",
                subnets=[static(3)],
            )
        ],
    )  # fmt: skip
    document = said(network=network)["network_data.json"]
    assert list(default_routes(document)) == ["network0", "network2"]
    assert [one["gateway"] for one in document["networks"][1]["routes"]] == [
        "192.0.2.254"
    ]


TWO = (static(1), static(1, 6), static(2), static(2, 6))
BOTH = ["192.0.1.10", "2001:db8:1::10", "192.0.2.10", "2001:db8:2::10"]
FIRST = BOTH[:2]


@pytest.mark.parametrize(
    ("option", "os_type", "addresses"),
    [
        ("auto", "windows", FIRST),
        ("auto", "linux", BOTH),
        ("auto", "either", BOTH),
        ("all", "windows", BOTH),
        ("first", "linux", FIRST),
    ],
)
def test_a_reader_of_one_address_is_given_the_first(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    os_type: str,
    addresses: list[str],
) -> None:
    likely = {"windows": (ONE,), "linux": (MANY,), "either": (ONE, MANY)}
    monkeypatch.setattr(
        readers, "likely", lambda properties: likely[properties["os_type"]]
    )
    driver = make(f"[cfgdrive_virt]\naddresses_per_link = {option}\n")
    made = wanted(
        network=NetworkInfo(interfaces=[link(*TWO)]),
        image_properties={"os_type": os_type},
    )
    document = json.loads(driver.tree(made).files[NETWORK_DATA])
    assert [one["ip_address"] for one in document["networks"]] == addresses
    # The same way leads to a drive and to what it is compared with.
    driver.spawn(made)
    assert driver.status(made).details == ()


@pytest.mark.parametrize(
    ("option", "subnets", "lost"),
    [
        pytest.param("all", [static(1)], [], id="all-there"),
        pytest.param(
            "all",
            [static(1), static(2)],
            ["subnets[1].gateway: not on the drive: the link has another one"],
            id="second-gateway",
        ),
        pytest.param(
            "all",
            [static(1, 6, type="ipv6_slaac"), static(2, 6)],
            ["subnets[0].gateway: not on the drive: the link has another one"],
            id="static-before-slaac",
        ),
        pytest.param(
            "all",
            [
                static(1, routes=[EVERYWHERE]),
                static(2, gateway=None, routes=[FAR, EVERYWHERE]),
            ],
            [
                "subnets[0].routes[0]: not on the drive: the link has another",
                "subnets[1].routes[1]: not on the drive: the link has another",
            ],
            id="routes-to-everything",
        ),
        pytest.param(
            "all",
            [static(1, type="ipv4_dhcp", routes=[FAR])],
            [
                "subnets[0].gateway: not on the drive: it comes from",
                "subnets[0].routes: not on the drive: it comes from",
            ],
            id="dhcp",
        ),
        pytest.param(
            "first",
            [static(1), static(2)],
            ["subnets[1]: not on the drive: the link has one address"],
            id="second-address",
        ),
        pytest.param(
            "first",
            [static(1, gateway=None), static(2)],
            ["subnets[0]: not on the drive: the link has one address"],
            id="the-one-with-a-gateway-stays",
        ),
    ],
)
def test_what_the_drive_leaves_out_is_a_loss_of_every_reader(
    make: Make, option: str, subnets: list[Subnet], lost: list[str]
) -> None:
    driver = make(f"[cfgdrive_virt]\naddresses_per_link = {option}\n")
    network = NetworkInfo(interfaces=[link(), link(*subnets, id="eth1")])
    found = driver.losses(request(network=network), [MANY])
    assert len(found) == len(lost)
    for loss, text in zip(found, lost, strict=True):
        lead = "every reader: request network.interfaces[1]."
        assert str(loss).startswith(lead + text)


def test_only_static_addresses_are_left_out(make: Make) -> None:
    automatic = [
        Subnet(type="ipv4_dhcp"),
        static(3, 6, type="ipv6_slaac"),
    ]
    driver = make("[cfgdrive_virt]\naddresses_per_link = first\n")
    network = NetworkInfo(
        interfaces=[
            link(*automatic, *TWO, *automatic),
            link(static(4), id="eth1"),
        ]
    )
    tree = driver.tree(request(network=network))
    networks = json.loads(tree.files[NETWORK_DATA])["networks"]
    assert [(one["link"], one["type"]) for one in networks] == [
        ("eth0", "ipv4_dhcp"),
        ("eth0", "ipv6_slaac"),
        ("eth0", "ipv4"),
        ("eth0", "ipv6"),
        ("eth0", "ipv4_dhcp"),
        ("eth0", "ipv6_slaac"),
        ("eth1", "ipv4"),
    ]


def test_global_name_servers_are_those_of_each_static_network_too(
    said: Said,
) -> None:
    network = NetworkInfo(
        interfaces=[
            link(
                static(1, dns=["192.0.2.53", "192.0.2.54"]),
                static(1, 6),
                Subnet(type="ipv4_dhcp"),
            )
        ],
        dns=["2001:db8::53", "192.0.2.54"],
    )
    document = said(network=network)["network_data.json"]
    servers = [
        [service["address"] for service in one["services"]]
        for one in (*document["networks"][:2], document)
    ]
    assert servers == [
        ["192.0.2.53", "192.0.2.54", "2001:db8::53"],
        ["2001:db8::53", "192.0.2.54"],
        ["192.0.2.53", "192.0.2.54", "2001:db8::53"],
    ]
    assert "services" not in document["networks"][2]


def bonded(**fields: Any) -> NetworkInfo:
    bond = {"bond_mode": "802.3ad", "bond_links": ["eth0"], "mac": MAC}
    return NetworkInfo(
        interfaces=[link()],
        bonds=[Bond(id="b", **bond | fields)],
        vlans=[Vlan(id="v", mac=MAC, vlan_id=7, vlan_link="b")],
    )


def test_a_bond_and_a_vlan_have_no_key_without_a_value(said: Said) -> None:
    links = said(network=bonded())["network_data.json"]["links"]
    interface, *others = links
    assert interface["mtu"] is None
    for other in others:
        assert None not in other.values()
        assert "mtu" not in other


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (["ssh-a A", "ssh-b B"], ["ssh-a A\n", "ssh-b B\n"]),
        (["ssh-a A\n", "ssh-b B"], ["ssh-a A\n", "ssh-b B\n"]),
        (["ssh-a A"], ["ssh-a A"]),
        (["ssh-a A\n"], ["ssh-a A\n"]),
    ],
    ids=["two", "one-ends", "alone", "alone-ends"],
)
@pytest.mark.parametrize("certificate", [False, True], ids=["", "x509"])
def test_each_of_several_keys_ends_its_line(
    said: Said, given: list[str], written: list[str], certificate: bool
) -> None:
    keys = [
        Keypair(name=f"k{number}", public_key=key)
        for number, key in enumerate(given)
    ]
    if certificate:
        keys.insert(0, Keypair(name="c", public_key=CERTIFICATE, type="x509"))
    files = said(keypairs=keys)
    meta_data, ec2 = files["meta_data.json"], files["meta-data.json"]
    names = [f"k{number}" for number in range(len(given))]
    assert meta_data["public_keys"] == dict(zip(names, written, strict=True))
    assert [
        entry["data"] for entry in meta_data["keys"] if entry["type"] == "ssh"
    ] == written
    assert ec2["public-keys"] == {
        str(number): {"openssh-key": key} for number, key in enumerate(written)
    }


@pytest.mark.parametrize("ssh", [False, True], ids=["alone", "beside-ssh"])
def test_a_certificate_is_among_the_keys_only(said: Said, ssh: bool) -> None:
    keys = [Keypair(name="c", public_key=CERTIFICATE, type="x509")]
    if ssh:
        keys.append(Keypair(name="k", public_key="ssh-k K"))
    files = said(keypairs=keys)
    meta_data, ec2 = files["meta_data.json"], files["meta-data.json"]
    assert meta_data["keys"][0] == {
        "name": "c",
        "type": "x509",
        "data": CERTIFICATE,
    }
    assert meta_data.get("public_keys") == ({"k": "ssh-k K"} if ssh else None)
    assert ec2.get("public-keys") == (
        {"0": {"openssh-key": "ssh-k K"}} if ssh else None
    )


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"bond_miimon": 100}, {"bond_miimon": 100}),
        ({"bond_miimon": "100"}, {"bond_miimon": 100}),
        ({"bond_miimon": 0}, {"bond_miimon": 0}),
        ({"bond_xmit_hash_policy": "layer3+4"},) * 2,
        ({"bond_lacp_rate": "fast"},) * 2,
        ({"name": "team0"},) * 2,
    ],
    ids=["miimon", "miimon-text", "miimon-off", "policy", "rate", "name"],
)
def test_a_bond_has_what_ironics_have(
    said: Said, given: dict[str, Any], written: dict[str, Any]
) -> None:
    bare = said(network=bonded())["network_data.json"]["links"][1]
    found = said(network=bonded(**given))["network_data.json"]["links"][1]
    assert found == bare | written


def test_any_link_has_a_name_if_one_is_given(said: Said) -> None:
    network = NetworkInfo(
        interfaces=[link(name="wan0")],
        bonds=[
            Bond(
                id="b", mac=MAC, bond_mode="802.3ad", bond_links=["eth0"],
                name="bond.x",
            )
        ],
        vlans=[
            Vlan(id="v", mac=MAC, vlan_id=7, vlan_link="b", name="v_7-a")
        ],
    )  # fmt: skip
    links = said(network=network)["network_data.json"]["links"]
    assert [one["name"] for one in links] == ["wan0", "bond.x", "v_7-a"]


@pytest.mark.parametrize(
    ("own", "of_all", "written"),
    [
        ([], [], None),
        (["a.example"], [], ["a.example"]),
        ([], ["example"], ["example"]),
        (["b.example", "a.example"], ["example", "a.example"],
         ["b.example", "a.example", "example"]),
    ],
    ids=["neither", "subnet", "network", "both"],
)  # fmt: skip
@pytest.mark.parametrize("kind", [*STATIC_TYPES, "ipv4_dhcp", "ipv6_slaac"])
def test_domains_to_search_are_those_of_the_subnet_and_of_the_network(
    said: Said,
    kind: str,
    own: list[str],
    of_all: list[str],
    written: list[str] | None,
) -> None:
    subnet = static(1, 4 if "4" in kind else 6, type=kind, dns_search=own)
    network = NetworkInfo(interfaces=[link(subnet)], dns_search=of_all)
    (found,) = said(network=network)["network_data.json"]["networks"]
    assert found.get("dns_search") == written


def as_before(document: dict[str, Any]) -> None:
    """Change a file into what earlier versions wrote."""
    if "links" in document:
        for other in document["links"]:
            other.setdefault("mtu", None)
    if "public_keys" in document:
        document["public_keys"] = {
            key["name"]: key["data"].rstrip() for key in document["keys"]
        }


@pytest.mark.parametrize("network", [None, bonded()], ids=["none", "bond"])
def test_a_drive_of_an_earlier_version_is_rebuilt_with_all_it_says(
    driver: ConfigDriveDriver, drive: Path, network: NetworkInfo | None
) -> None:
    once = {
        "admin_pass": "hunter2hunter2",
        "injected_files": [InjectedFile(path="/etc/motd", content=b"hello")],
    }
    keys = [
        Keypair(name="c", public_key=CERTIFICATE, type="x509"),
        Keypair(name="k", public_key="ssh-k K"),
    ]
    asked = request(config_drive=True, network=network, keypairs=keys)
    # Without a network, it had a file with empty lists.
    whole = dataclasses.replace(
        asked, network=network or NetworkInfo(), **once
    )
    files = dict(driver.tree(whole).files)
    for path in [path for path in files if path.endswith(".json")]:
        document = json.loads(files[path])
        as_before(document)
        files[path] = json.dumps(document, sort_keys=True).encode()
    seed = json.loads(files[META_DATA])["random_seed"]
    drive.parent.mkdir()
    drive.write_bytes(
        image.build(
            "vfat",
            MetadataTree(files),
            label="config-2",
            timestamp=0,
            serial=1,
        ).data
    )

    found = driver.status(asked)
    assert found.state == STALE
    assert {detail.partition(" ")[0] for detail in found.details} >= {
        "network_data.json",
        "meta_data.json",
    }
    made = driver.reboot(asked)
    assert made is not None
    assert made.built
    assert driver.status(asked).state == FRESH
    after = meta_data(drive)
    assert after["random_seed"] == seed
    assert after["admin_pass"] == "hunter2hunter2"
    assert tree(drive.read_bytes())["openstack/content/0000"] == b"hello"
    assert after["public_keys"] == {"k": "ssh-k K"}


META_DATA = "openstack/latest/meta_data.json"
PATH = "files[0].content_path"
SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (
            {"openstack/latest/vendor_data.json": b""},
            "openstack/latest/vendor_data.json: must be valid JSON",
        ),
        (
            {"openstack/latest/vendor_data.json": SECRET.encode()},
            "openstack/latest/vendor_data.json: must be valid JSON",
        ),
        (
            {META_DATA: json.dumps({"admin_pass": SECRET}).encode()},
            f"{META_DATA}.uuid: must be the instance's UUID",
        ),
        (
            {
                META_DATA: json.dumps(
                    {"uuid": UUID, "files": [{"content_path": SECRET}]}
                ).encode()
            },
            f"{META_DATA}.{PATH}: must name a file below openstack",
        ),
        (
            {META_DATA: json.dumps(SECRET).encode()},
            f"{META_DATA}: must be a JSON object",
        ),
    ],
    ids=["empty", "no-json", "no-uuid", "no-such-file", "no-object"],
)
@pytest.mark.parametrize("secrets", ["", "admin_pass,user_data"])
def test_rendered_files_that_readers_refuse_are_not_built(
    make: Make, files: dict[str, bytes], problem: str, secrets: str
) -> None:
    driver = make(f"[cfgdrive_virt]\none_shot_secrets = {secrets}\n")
    whole = {META_DATA: json.dumps({"uuid": UUID}).encode()}
    given: dict[str, Any] = {"uuid": UUID, "config_drive": True}
    driver.spawn(RenderedRequest(**given, files=whole))
    asked = RenderedRequest(**given, files=whole | files)
    for hook in (driver.build, driver.status, driver.reboot, driver.spawn):
        with pytest.raises(InvalidRequest) as caught:
            hook(asked)
        assert str(caught.value) == f"not valid:\n  {problem}"
    with pytest.raises(InvalidRequest):
        driver.spawn(RenderedRequest(**given, files=files))
    # The drive that is there stays.
    assert driver.status(RenderedRequest(**given, files=whole)).details == ()


@pytest.mark.parametrize(
    "answer",
    [
        b'{"a": NaN}',
        b'{"a": 1e400}',
        b'{"a": "\\ud800"}',
        b"%s1%s" % (b"[" * 150, b"]" * 150),
        b'{"a": %s}' % (b"7" * 2000),
    ],
    ids=["nan", "infinite", "surrogate", "deep", "long-number"],
)
def test_json_that_a_service_writes_and_readers_take_is_built(
    make: Make, answer: bytes
) -> None:
    driver = make("")
    files = dict(driver.tree(request()).files)
    files["openstack/latest/vendor_data2.json"] = answer
    made = RenderedRequest(uuid=UUID, files=files, config_drive=True)
    driver.spawn(made)
    assert driver.status(made).state == FRESH


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (
            "\x1b[1m\n\u202e/vendor_data.json",
            r"openstack/\x1b[1m\n\u202e/vendor_data.json",
        ),
        (f"{'a' * 250}/x.json", f"openstack/{'a' * 190}"),
    ],
    ids=["controls", "long"],
)
def test_a_path_that_is_refused_is_printable(
    driver: ConfigDriveDriver, name: str, written: str
) -> None:
    files = {
        META_DATA: b'{"uuid": "x"}',
        f"openstack/{name}": b"",
    }
    with pytest.raises(InvalidRequest) as caught:
        driver.build(RenderedRequest(uuid=UUID, files=files))
    (problem,) = caught.value.problems
    assert problem.path == written


def test_rendered_files_without_the_newest_metadata_are_not_built(
    driver: ConfigDriveDriver,
) -> None:
    files = {"openstack/2018-08-27/meta_data.json": b'{"uuid": "x"}'}
    with pytest.raises(InvalidRequest, match=f"{META_DATA}: must be there"):
        driver.build(RenderedRequest(uuid=UUID, files=files))
