"""cloud-init's own reader takes our drives, and sees what we said.

contrib/run-tests.sh runs this with two releases of it.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from cfgdrive_virt import (
    Bond,
    ConfigDriveRequest,
    Interface,
    Keypair,
    NetworkInfo,
    Route,
    Subnet,
    Vlan,
)
from cfgdrive_virt.exception import InvalidRequest
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.metadata.openstack import build_tree

from . import instances, readers, strategies


def cloud_init(module: str) -> Any:
    """Return one of cloud-init's modules."""
    try:
        return importlib.import_module(f"cloudinit.{module}")
    except ImportError as error:
        pytest.fail(
            f"{error}: install the Debian package cloud-init, and let the"
            " virtual environment see the system's packages"
        )


def read(image: bytes, directory: Path) -> dict[str, Any]:
    """Return what cloud-init finds on a drive."""
    path = directory / "disk.config"
    path.write_bytes(image)
    into = directory / "mounted"
    into.mkdir()
    readers.extract(path, into)
    source = cloud_init("sources.DataSourceConfigDrive")
    found: dict[str, Any] = source.read_config_drive(str(into))
    return found


@pytest.fixture(scope="module", params=list(instances.REQUESTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def instance(name: str) -> ConfigDriveRequest:
    return instances.REQUESTS[name]()


@pytest.fixture(scope="module")
def found(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    return read(instances.image(name), tmp_path_factory.mktemp(name))


def test_the_instance_is_known_by_its_uuid(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    assert found["metadata"]["uuid"] == instance.uuid
    assert found["metadata"]["instance-id"] == instance.uuid


def test_the_hostname_is_told(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    assert found["metadata"]["hostname"] == instance.hostname
    assert found["metadata"]["local-hostname"] == instance.hostname


def test_the_newest_version_that_it_knows_is_read(
    name: str, found: dict[str, Any]
) -> None:
    # vf_trusted and vendor_data2 tell 2018-08-27 from what is older,
    # dedicated_cpus from what is newer.
    devices = found["metadata"]["devices"]
    nics = [device for device in devices if device["type"] == "nic"]

    assert found["version"] == 2
    assert "dedicated_cpus" not in found["metadata"]
    assert "vendordata2" in found
    assert all("vf_trusted" in nic for nic in nics)
    assert len(nics) == (name in ("sample", "hostile"))


def test_the_version_is_2018_08_27(name: str, tmp_path: Path) -> None:
    image = tmp_path / "disk.config"
    image.write_bytes(instances.image(name))
    readers.extract(image, tmp_path)
    helper = cloud_init("sources.helpers.openstack")
    reader = helper.ConfigDriveReader(str(tmp_path))

    assert reader._find_working_version() == "2018-08-27"


def test_metadata_comes_through(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    metadata = found["metadata"]

    assert metadata.get("meta", {}) == dict(instance.metadata)
    assert metadata["name"] == instance.name
    assert metadata["availability_zone"] == instance.availability_zone
    assert metadata["project_id"] == instance.project_id
    assert metadata["launch_index"] == instance.launch_index


def test_random_seed_comes_through(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    seed = instance.random_seed or instances.SEED

    assert found["metadata"]["random_seed"] == seed


def test_public_keys_come_through(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    sources = cloud_init("sources")
    keys = sources.normalize_pubkey_data(found["metadata"].get("public_keys"))

    assert sorted(keys) == sorted(ssh_keys(instance))


def ssh_keys(instance: ConfigDriveRequest) -> list[str]:
    keys = [key.public_key for key in instance.keypairs if key.type == "ssh"]
    assert len(keys) < 2
    return keys


def test_each_of_several_keys_is_a_line_of_authorized_keys(
    tmp_path: Path,
) -> None:
    with_keys = dataclasses.replace(
        instances.minimal(),
        keypairs=[
            Keypair(name="a", public_key="ssh-ed25519 AAAA a@x"),
            Keypair(name="b", public_key="ssh-ed25519 BBBB b@x\n"),
            Keypair(name="c", public_key="PEM", type="x509"),
        ],
    )
    drive = iso9660.build(
        build_tree(with_keys, random_seed=b"-"),
        label="config-2",
        timestamp=instances.TIMESTAMP,
    )
    found = read(drive.data, tmp_path)
    keys = cloud_init("sources").normalize_pubkey_data(
        found["metadata"]["public_keys"]
    )
    parser = cloud_init("ssh_util").AuthKeyLineParser()

    assert [str(parser.parse(key)) for key in keys] == [
        "ssh-ed25519 AAAA a@x",
        "ssh-ed25519 BBBB b@x",
    ]


def test_user_data_comes_through_byte_for_byte(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    assert (found["userdata"] or None) == instance.user_data


def test_vendor_data_comes_through(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    given = json.loads(file_of(instance, "openstack/latest/vendor_data.json"))

    assert found["vendordata"] == given
    assert found["vendordata2"]["static"] == given


def test_vendor_data_of_the_sample_is_its_cloud_config(tmp_path: Path) -> None:
    found = read(instances.image("sample"), tmp_path)
    convert = cloud_init("sources").convert_vendordata

    assert convert(found["vendordata"]) == (
        "#cloud-config\ntimezone: Etc/UTC\n"
    )


def test_injected_files_come_through_byte_for_byte(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    assert found["files"] == {
        file.path: file.content for file in instance.injected_files
    }


def test_the_rendered_network_config_comes_through(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    if instance.network_config is None:
        assert "network_config" not in found
    else:
        assert found["network_config"] == instance.network_config.decode()


def test_the_ec2_tree_is_read(
    instance: ConfigDriveRequest, found: dict[str, Any]
) -> None:
    ec2 = found["ec2-metadata"]
    expected = ssh_keys(instance)
    keys = [
        ec2["public-keys"][str(number)]["openssh-key"]
        for number in range(len(expected))
    ]

    assert ec2["hostname"] == instance.hostname
    assert ec2["instance-type"] == instance.flavor
    assert keys == expected


def file_of(request: ConfigDriveRequest, path: str) -> bytes:
    return build_tree(request, random_seed=b"-").files[path]


@settings(strategies.PROPERTY, max_examples=40)
@given(strategies.requests())
def test_any_request_makes_a_drive_that_it_takes(
    instance: ConfigDriveRequest,
) -> None:
    assert instance.random_seed is not None
    tree = build_tree(instance, random_seed=instance.random_seed)
    drive = iso9660.build(
        tree, label="config-2", timestamp=instances.TIMESTAMP
    )
    with tempfile.TemporaryDirectory() as directory:
        found = read(drive.data, Path(directory))

    assert found["metadata"]["uuid"] == instance.uuid
    assert found["metadata"]["random_seed"] == instance.random_seed
    assert found["metadata"].get("meta", {}) == dict(instance.metadata)
    assert (found["userdata"] or None) == instance.user_data
    # It writes them in their order: of two with one path the last stays.
    assert found["files"] == {
        file.path: file.content for file in instance.injected_files
    }


def test_a_network_config_that_cloud_init_cannot_decode_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        dataclasses.replace(instances.minimal(), network_config=b"\xff")


# What the guest makes of network_data.json

MACS = {f"fa:16:3e:00:00:0{number}": f"eth{number}" for number in range(4)}


def found_of(network: NetworkInfo | None, directory: Path) -> dict[str, Any]:
    """Return what cloud-init finds on the drive of an instance."""
    request = ConfigDriveRequest(
        uuid="83679162-1378-4288-a2d4-70e13ec132aa",
        name="n",
        hostname="n",
        network=network,
    )
    tree = build_tree(request, random_seed=b"-")
    drive = iso9660.build(
        tree, label="config-2", timestamp=instances.TIMESTAMP
    )
    return read(drive.data, directory)


def converted(network: NetworkInfo | None, directory: Path) -> dict[str, Any]:
    """Return cloud-init's network config, for a guest with four NICs."""
    found = found_of(network, directory)
    helper = cloud_init("sources.helpers.openstack")
    config: dict[str, Any] = helper.convert_net_json(
        found["networkdata"], known_macs=MACS
    )
    # The renderers start from this: it refuses what makes no sense.
    cloud_init("net.network_state").parse_net_config_data(config)
    return config


def only_link(config: dict[str, Any]) -> dict[str, Any]:
    links = [item for item in config["config"] if item["type"] != "nameserver"]
    assert len(links) == 1
    link: dict[str, Any] = links[0]
    return link


@pytest.mark.parametrize(
    ("subnet", "expected"),
    [
        pytest.param(
            Subnet(
                type="ipv4",
                cidr="192.0.2.0/24",
                ip_address="192.0.2.10",
                gateway="192.0.2.1",
                routes=[
                    Route(destination="198.51.100.0/25", gateway="192.0.2.254")
                ],
            ),
            {
                "type": "static",
                "ipv4": True,
                "address": "192.0.2.10",
                "netmask": "255.255.255.0",
                "routes": [
                    {
                        "network": "0.0.0.0",
                        "netmask": "0.0.0.0",
                        "gateway": "192.0.2.1",
                    },
                    {
                        "network": "198.51.100.0",
                        "netmask": "255.255.255.128",
                        "gateway": "192.0.2.254",
                    },
                ],
            },
            id="static-ipv4",
        ),
        pytest.param(
            Subnet(
                type="ipv6",
                cidr="2001:db8::/56",
                ip_address="2001:db8::10",
                gateway="fe80::1",
            ),
            {
                "type": "static6",
                "ipv6": True,
                "address": "2001:db8::10",
                "netmask": "ffff:ffff:ffff:ff00::",
                "routes": [
                    {"network": "::", "netmask": "::", "gateway": "fe80::1"}
                ],
            },
            id="static-ipv6",
        ),
        pytest.param(
            Subnet(type="ipv4_dhcp"), {"type": "dhcp4"}, id="dhcp-ipv4"
        ),
        pytest.param(
            Subnet(type="ipv6_dhcp"), {"type": "dhcp6"}, id="dhcp-ipv6"
        ),
        *(
            pytest.param(
                Subnet(
                    type=kind, cidr="2001:db8::/64", ip_address="2001:db8::1"
                ),
                {
                    "type": kind,
                    "netmask": "ffff:ffff:ffff:ffff::",
                    "routes": [],
                },
                id=kind,
            )
            for kind in (
                "ipv6_slaac",
                "ipv6_dhcpv6-stateless",
                "ipv6_dhcpv6-stateful",
            )
        ),
    ],
)
def test_a_subnet_becomes_cloud_inits(
    subnet: Subnet, expected: dict[str, Any], tmp_path: Path
) -> None:
    network = NetworkInfo(
        interfaces=[
            Interface(mac="fa:16:3e:00:00:02", mtu=1450, subnets=[subnet])
        ]
    )
    link = only_link(converted(network, tmp_path))

    assert link["name"] == "eth2"
    assert link["type"] == "physical"
    assert link["mtu"] == 1450
    # Newer releases leave out routes where there are none.
    assert [
        subnet | {"routes": subnet.get("routes", [])}
        for subnet in link["subnets"]
    ] == [{"routes": [], **expected}]


@pytest.mark.parametrize(
    ("kind", "accept_ra"),
    [
        ("ipv6", False),
        ("ipv6_dhcp", True),
        ("ipv6_slaac", None),
        ("ipv6_dhcpv6-stateless", None),
        ("ipv6_dhcpv6-stateful", True),
    ],
)
def test_router_advertisements_are_accepted_where_they_have_to_be(
    kind: str, accept_ra: bool | None, tmp_path: Path
) -> None:
    subnet = Subnet(type=kind, cidr="2001:db8::/64", ip_address="2001:db8::1")
    network = NetworkInfo(
        interfaces=[Interface(mac="fa:16:3e:00:00:00", subnets=[subnet])]
    )

    assert only_link(converted(network, tmp_path)).get("accept-ra") is (
        accept_ra
    )


def test_all_subnets_of_a_link_arrive(tmp_path: Path) -> None:
    addresses = [f"192.0.2.{last}" for last in (10, 11, 12)]
    subnets = [
        Subnet(type="ipv4", cidr="192.0.2.0/24", ip_address=address)
        for address in addresses
    ]
    network = NetworkInfo(
        interfaces=[Interface(mac="fa:16:3e:00:00:00", subnets=subnets)]
    )
    link = only_link(converted(network, tmp_path))

    assert [subnet["address"] for subnet in link["subnets"]] == addresses


def test_without_a_network_cloud_init_falls_back_to_dhcp(
    tmp_path: Path,
) -> None:
    # Its data source gives a configuration only where there is a file, and
    # without one the stages generate a fallback.
    absent, empty = tmp_path / "absent", tmp_path / "empty"
    for directory in (absent, empty):
        directory.mkdir()

    assert "networkdata" not in found_of(None, absent)
    assert converted(NetworkInfo(), empty) == {"version": 1, "config": []}


@pytest.mark.parametrize("version", [4, 6])
def test_two_gateways_of_a_link_leave_sysconfig_one_default_route(
    version: int, tmp_path: Path
) -> None:
    bases = ("192.0.2.", "198.51.100.")
    if version == 6:
        bases = ("2001:db8:1::", "2001:db8:2::")
    subnets = [
        Subnet(
            type=f"ipv{version}",
            cidr=f"{base}{'0/24' if version == 4 else '/64'}",
            ip_address=f"{base}10",
            gateway=f"{base}1",
        )
        for base in bases
    ]
    network = NetworkInfo(
        interfaces=[Interface(mac="fa:16:3e:00:00:00", subnets=subnets)]
    )
    scripts = "%(base)s/network-scripts"
    renderer = cloud_init("net.sysconfig").Renderer(
        {
            "iface_templates": f"{scripts}/ifcfg-%(name)s",
            "route_templates": {
                "ipv4": f"{scripts}/route-%(name)s",
                "ipv6": f"{scripts}/route6-%(name)s",
            },
        }
    )
    state = cloud_init("net.network_state").parse_net_config_data(
        converted(network, tmp_path)
    )
    renderer.render_network_state(state, target=str(tmp_path))
    written = tmp_path / "etc/sysconfig/network-scripts/ifcfg-eth0"
    lines = written.read_text().splitlines()
    key = "GATEWAY" if version == 4 else "IPV6_DEFAULTGW"

    assert f"{key}={bases[0]}1" in lines
    assert all(any(f"{base}10" in line for line in lines) for base in bases)


def test_the_name_of_a_nic_is_that_of_vlans_on_it(tmp_path: Path) -> None:
    network = NetworkInfo(
        interfaces=[
            Interface(id="tap-a", mac="fa:16:3e:00:00:01", name="wan0")
        ],
        vlans=[
            Vlan(
                id="v",
                mac="fa:16:3e:00:00:03",
                vlan_id=4094,
                vlan_link="tap-a",
                name="unused",
            )
        ],
    )
    nic, vlan = converted(network, tmp_path)["config"]

    assert (nic["name"], vlan["name"]) == ("wan0", "wan0.4094")
    assert "mtu" not in vlan


def test_options_of_a_bond_and_domains_arrive(tmp_path: Path) -> None:
    network = NetworkInfo(
        interfaces=[
            Interface(id="a", mac="fa:16:3e:00:00:01"),
            Interface(id="b", mac="fa:16:3e:00:00:02"),
        ],
        bonds=[
            Bond(
                id="c",
                mac="fa:16:3e:00:00:01",
                bond_mode="802.3ad",
                bond_links=["a", "b"],
                bond_miimon=100,
                bond_xmit_hash_policy="layer3+4",
                bond_lacp_rate="fast",
                subnets=[
                    Subnet(
                        type="ipv4",
                        cidr="192.0.2.0/24",
                        ip_address="192.0.2.10",
                        dns_search=["a.example"],
                    )
                ],
            )
        ],
        dns_search=["example"],
    )
    config = converted(network, tmp_path)
    netplan = cloud_init("net.netplan").Renderer()
    state = cloud_init("net.network_state").parse_net_config_data(config)
    text = netplan._render_content(state)
    bond = yaml.safe_load(text)["network"]["bonds"]["bond0"]

    assert bond["parameters"] == {
        "mode": "802.3ad",
        "mii-monitor-interval": 100,
        "transmit-hash-policy": "layer3+4",
        "lacp-rate": "fast",
    }
    assert bond["nameservers"]["search"] == ["a.example", "example"]
    assert "mtu" not in bond


@pytest.mark.parametrize("kind", ["bridge", "ovs", "vhostuser", "dvs", "phy"])
def test_the_hosts_kind_of_link_is_a_nic_to_the_guest(
    kind: str, tmp_path: Path
) -> None:
    network = NetworkInfo(
        interfaces=[Interface(type=kind, mac="fa:16:3e:00:00:03")]
    )
    link = only_link(converted(network, tmp_path))

    assert (link["type"], link["name"]) == ("physical", "eth3")


def test_a_bond_and_a_vlan_on_it_find_their_links(tmp_path: Path) -> None:
    network = NetworkInfo(
        interfaces=[
            Interface(id="tap-a", mac="fa:16:3e:00:00:01"),
            Interface(id="tap-b", mac="fa:16:3e:00:00:02"),
        ],
        bonds=[
            Bond(
                id="anything",
                mac="fa:16:3e:00:00:01",
                bond_mode="active-backup",
                bond_links=["tap-a", "tap-b"],
            )
        ],
        vlans=[
            Vlan(
                id="some vlan",
                mac="fa:16:3e:00:00:03",
                vlan_id=7,
                vlan_link="anything",
                subnets=[Subnet(type="ipv4_dhcp")],
            )
        ],
    )
    *_, bond, vlan = converted(network, tmp_path)["config"]

    assert bond["type"] == "bond"
    assert bond["name"] == "bond0"
    assert bond["bond_interfaces"] == ["eth1", "eth2"]
    # Newer releases have a hyphen.
    assert bond["params"] in (
        {"bond_mode": "active-backup"}, {"bond-mode": "active-backup"},
    )  # fmt: skip
    assert vlan["type"] == "vlan"
    assert vlan["name"] == "bond0.7"
    assert vlan["vlan_link"] == "bond0"
    assert vlan["vlan_id"] == 7
    assert vlan["mac_address"] == "fa:16:3e:00:00:03"
    assert vlan["subnets"] == [{"type": "dhcp4"}]


def test_name_servers_are_those_of_subnets_and_of_the_network(
    tmp_path: Path,
) -> None:
    network = NetworkInfo(
        interfaces=[
            Interface(
                mac="fa:16:3e:00:00:00",
                subnets=[
                    Subnet(
                        type="ipv4",
                        cidr="192.0.2.0/24",
                        ip_address="192.0.2.10",
                        dns=["192.0.2.53", "2001:db8::53"],
                    )
                ],
            )
        ],
        dns=["192.0.2.54", "192.0.2.53"],
    )

    assert converted(network, tmp_path)["config"][1:] == [
        {"type": "nameserver", "address": "192.0.2.53"},
        {"type": "nameserver", "address": "2001:db8::53"},
        {"type": "nameserver", "address": "192.0.2.54"},
    ]


def test_hostile_names_of_links_reach_no_guest(tmp_path: Path) -> None:
    network = instances.hostile().network
    config = converted(network, tmp_path)["config"]

    assert [item["name"] for item in config if "name" in item] == [
        "eth1", "eth2", "bond0", "bond0.4094",
    ]  # fmt: skip


def test_a_mac_that_the_guest_lacks_is_refused(tmp_path: Path) -> None:
    network = NetworkInfo(interfaces=[Interface(mac="fa:16:3e:ff:ff:ff")])

    with pytest.raises(ValueError, match="Unable to find a system nic"):
        converted(network, tmp_path)


def test_the_sample_becomes_a_network(tmp_path: Path) -> None:
    found = read(instances.image("sample"), tmp_path)
    macs = {
        f"fa:16:3e:ed:9a:{last}": f"eth{number}"
        for number, last in enumerate(("59", "5a", "5b", "5c"))
    }
    helper = cloud_init("sources.helpers.openstack")
    config = helper.convert_net_json(found["networkdata"], known_macs=macs)
    state = cloud_init("net.network_state").parse_net_config_data(config)
    links = {link["name"]: link for link in state.iter_interfaces()}

    assert {
        name: [subnet["type"] for subnet in link["subnets"]]
        for name, link in links.items()
    } == {
        "eth0": ["static", "static", "static6"],
        "eth1": ["dhcp4", "ipv6_slaac"],
        "eth2": [],
        "eth3": [],
        "bond0": [],
        "bond0.100": ["ipv6_dhcpv6-stateful"],
    }
    assert links["eth2"]["bond-master"] == "bond0"
    assert links["bond0.100"]["vlan-raw-device"] == "bond0"
    assert state.dns_nameservers == [
        "192.0.2.53", "192.0.2.54", "2001:db8:1::53", "2001:db8::53",
    ]  # fmt: skip
