"""Our drive says what nova's says of the same instance.

Both are made of one description (oracle.py), ours is read back from its
image.  DIFFERENCES is all that is not the same.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import instances
import oracle
import pytest
from instances import INSTANCES, nic, static_ipv4, static_ipv6, subnet
from oracle import Drives, Files, Spawn, metadata, objects

from cfgdrive_virt.metadata.openstack import ec2, meta_data

#: Paths to what the files hold: JSON parsed, anything else as it is.
Tree = dict[str, Any]

META_DATA = "openstack/*/meta_data.json"
NETWORK_DATA = "openstack/*/network_data.json"
EC2_META_DATA = "ec2/*/meta-data.json"
LATEST = "openstack/latest/{}.json"

#: What we derive of a plain instance's uuid.
EC2_IDS = {"ami-id": "ami-00000000", "reservation-id": "r-b65cee2f"}


def tree(files: Files) -> Tree:
    return {
        path: json.loads(data) if path.endswith(".json") else data
        for path, data in files.items()
    }


def matching(found: Tree, pattern: str) -> Iterator[Any]:
    return (found[path] for path in found if fnmatchcase(path, pattern))


def _forget_random_seed(found: Tree) -> None:
    for told in matching(found, META_DATA):
        if "random_seed" in told:
            told["random_seed"] = len(base64.b64decode(told["random_seed"]))


def _forget_key_name(found: Tree) -> None:
    for told in matching(found, EC2_META_DATA):
        told.get("public-keys", {}).get("0", {}).pop("_name", None)


def _forget_empty_user_data(found: Tree) -> None:
    for path in [path for path, data in found.items() if data == b""]:
        if path.endswith(("/user_data", "/user-data")):
            del found[path]


def _forget_further_subnets(found: Tree) -> None:
    for told in matching(found, NETWORK_DATA):
        first: dict[tuple[str, str], Any] = {}
        for network in told["networks"]:
            first.setdefault((network["link"], network["type"][:4]), network)
        told["networks"] = list(first.values())
        for number, network in enumerate(told["networks"]):
            network["id"] = f"network{number}"
        servers = [n.get("services", ()) for n in told["networks"]]
        told["services"] = [
            service
            for service in told["services"]
            if any(service in some for some in servers)
        ]


def _forget_links_without_subnets(found: Tree) -> None:
    for told in matching(found, NETWORK_DATA):
        used = {network["link"] for network in told["networks"]}
        told["links"] = [link for link in told["links"] if link["id"] in used]


def _forget_no_links(found: Tree) -> None:
    for told in matching(found, NETWORK_DATA):
        if not any(told.values()):
            told.clear()


def _forget_further_keypairs(found: Tree) -> None:
    for told in matching(found, META_DATA):
        del told["keys"][1:]
        first = told["keys"][0]["name"]
        told["public_keys"] = {first: told["public_keys"][first].rstrip()}
        told["keys"][0]["data"] = told["keys"][0]["data"].rstrip()
    for told in matching(found, EC2_META_DATA):
        key = told["public-keys"]["0"]["openssh-key"].rstrip()
        told["public-keys"] = {"0": {"openssh-key": key}}


def _forget_certificates(found: Tree) -> None:
    for path in [*found]:
        if fnmatchcase(path, META_DATA) or fnmatchcase(path, EC2_META_DATA):
            found[path].pop("public_keys", None)
            found[path].pop("public-keys", None)


def _forget_further_default_routes(found: Tree) -> None:
    for told in matching(found, NETWORK_DATA):
        for network in told["networks"]:
            routes = network["routes"]
            network["routes"] = routes[:1] + [
                route for route in routes[1:] if route["network"] != "0.0.0.0"
            ]


def _forget_tags_of_none(found: Tree) -> None:
    for told in matching(found, META_DATA):
        for device in told.get("devices", ()):
            if device.get("tags") == []:
                del device["tags"]


def _forget_ids_of_none(found: Tree) -> None:
    for told in matching(found, EC2_META_DATA):
        for key, derived in EC2_IDS.items():
            if told[key] in (None, derived):
                del told[key]


def _forget_how_addresses_are_written(found: Tree) -> None:
    for told in matching(found, NETWORK_DATA):
        for link in told["links"]:
            link["ethernet_mac_address"] = link["ethernet_mac_address"].lower()
        for network in told["networks"]:
            network["ip_address"] = network["ip_address"].lower()


RANDOM_SEED = "random_seed in meta_data.json"
FURTHER_SUBNETS = "subnets in network_data.json"
NO_SUBNETS = "links without a subnet in network_data.json"
NO_LINKS = "network_data.json without links"
KEY_NAME = "_name of a key in the ec2 tree"
KEYPAIRS = "keys, public_keys, public-keys"
CERTIFICATES = "certificates in public_keys, public-keys"
DEFAULT_ROUTES = "default routes in network_data.json"
USER_DATA = "user_data, user-data"
TAGS = "tags of a device in meta_data.json"
EC2_ID = "ami-id, reservation-id in the ec2 tree"
ADDRESSES = "addresses in network_data.json"
KEY_ORDER = "order of keys in JSON"
NO_STATIC = "vendor_data.json without StaticJSON"


@dataclass(frozen=True)
class Difference:
    """What we say otherwise than nova, on purpose.

    :param spawn: an instance that shows it
    :param forget: takes just this difference out of a tree of either; None
        where trees can't show it
    """

    reason: str
    spawn: Spawn
    forget: Callable[[Tree], None] | None


#: Every difference to nova's drives, by its place.  Every drive has the
#: first two, and with a key the third; the others show on no other instance
#: than their own.
DIFFERENCES = {
    KEY_ORDER: Difference(
        "sorted keys are the same whatever the order of the code",
        INSTANCES["plain"],
        None,
    ),
    RANDOM_SEED: Difference(
        "one seed for all versions lets them share what they say, and the"
        " same request give the same bytes",
        INSTANCES["plain"],
        _forget_random_seed,
    ),
    KEY_NAME: Difference(
        "nova means to take it out and looks in the wrong place; it belongs"
        " to the listings of the metadata service",
        INSTANCES["an SSH key"],
        _forget_key_name,
    ),
    FURTHER_SUBNETS: Difference(
        "nova tells of a link's first IPv4 and first IPv6 address only;"
        " readers configure all that they are told of",
        instances.spawn(
            nic(
                0,
                static_ipv4(),
                subnet(
                    "198.51.100.0/24",
                    "198.51.100.10",
                    "198.51.100.11",
                    dns=["198.51.100.53"],
                ),
                static_ipv6(),
                subnet("2001:db8:1::/64", "2001:db8:1::10"),
            ),
            nic(1, static_ipv4(dns=["192.0.2.55"])),
        ),
        _forget_further_subnets,
    ),
    NO_SUBNETS: Difference(
        "nova keeps silent on them; bonds and VLANs stand on such links, and"
        " a reader needs their MAC address and MTU",
        instances.spawn(
            nic(0), nic(1, static_ipv4()), nic(2, network={"mtu": 9000})
        ),
        _forget_links_without_subnets,
    ),
    NO_LINKS: Difference(
        "nova writes {}; the schema of its own documentation wants links,"
        " networks and services",
        Spawn(),
        _forget_no_links,
    ),
    KEYPAIRS: Difference(
        "nova tells of an instance's first key pair only; a request may have"
        " several, and each ends its line then",
        instances.with_keypairs(
            instances.keypair("mine", "ssh", instances.SSH_KEY),
            instances.keypair("yours", "ssh", instances.SSH_KEY + " too"),
        ),
        _forget_further_keypairs,
    ),
    CERTIFICATES: Difference(
        "readers take all that is there for OpenSSH keys, and look for"
        " certificates in keys",
        instances.with_keypairs(
            instances.keypair("windows", "x509", instances.CERTIFICATE)
        ),
        _forget_certificates,
    ),
    DEFAULT_ROUTES: Difference(
        "nova writes a subnet's gateway and its host route to everywhere;"
        " cloud-init's sysconfig renderer gives up on the second one",
        instances.spawn(
            nic(
                0,
                static_ipv4(
                    routes=[
                        ("0.0.0.0/0", "192.0.2.252"),
                        ("198.51.100.0/24", "192.0.2.254"),
                    ]
                ),
            )
        ),
        _forget_further_default_routes,
    ),
    USER_DATA: Difference(
        "nova writes user data of no bytes to an empty file; nothing to say"
        " is no file",
        instances.with_user_data(b""),
        _forget_empty_user_data,
    ),
    TAGS: Difference(
        "nova would write a list that is empty, though its libvirt driver"
        " makes none; no tags is no key",
        instances.with_devices(objects.DiskMetadata(serial="1", tags=[])),
        _forget_tags_of_none,
    ),
    EC2_ID: Difference(
        "nova writes null where it has none; EC2's readers want a name",
        instances.spawn_of(
            ec2_ids=oracle.ec2_ids(ami_id=None), reservation_id=None
        ),
        _forget_ids_of_none,
    ),
    ADDRESSES: Difference(
        "nova repeats how an address was written; ours are canonical, as"
        " Neutron's are already",
        instances.spawn(
            nic(
                0,
                subnet("2001:db8::/64", "2001:DB8::A"),
                address="FA:16:3E:ED:9A:50",
            )
        ),
        _forget_how_addresses_are_written,
    ),
    NO_STATIC: Difference(
        "nova fails to build the drive; nothing was asked for, so nothing is"
        " said",
        instances.spawn(
            api={"vendordata_providers": ["DynamicJSON"]},
            static={"not": "asked for"},
            dynamic={"inventory": 1},
        ),
        None,
    ),
}

_SKIP_VERSIONS = {
    "default versions": {},
    "all versions": {"config_drive_skip_versions": ""},
    "odd versions": {"config_drive_skip_versions": "latest  1.0 2099-01-01"},
}

every_instance = pytest.mark.parametrize(
    "spawn",
    [pytest.param(spawn, id=name) for name, spawn in INSTANCES.items()],
)
every_difference = pytest.mark.parametrize(
    "place", [place for place in DIFFERENCES if DIFFERENCES[place].forget]
)
every_choice_of_versions = pytest.mark.parametrize(
    "skip",
    [pytest.param(skip, id=name) for name, skip in _SKIP_VERSIONS.items()],
)


def with_api(spawn: Spawn, options: dict[str, Any]) -> Spawn:
    return replace(spawn, api={**spawn.api, **options})


def forgetting(found: Tree, *places: str) -> Tree:
    left = copy.deepcopy(found)
    for place in {RANDOM_SEED, KEY_NAME, *places}:
        forget = DIFFERENCES[place].forget
        assert forget is not None
        forget(left)
    return left


def raw(files: Files) -> Files:
    return {
        path: data
        for path, data in files.items()
        if not path.endswith(".json")
    }


def both(drives: Drives, place: str) -> tuple[Tree, Tree]:
    """Return our tree and nova's of the instance that shows a difference."""
    spawn = DIFFERENCES[place].spawn
    return tree(drives.of_ours(spawn)), tree(drives.of_nova(spawn))


def test_same_versions() -> None:
    assert list(meta_data.VERSIONS) == metadata.OPENSTACK_VERSIONS
    assert list(ec2.VERSIONS) == metadata.VERSIONS


@every_choice_of_versions
@every_instance
def test_same_paths(
    drives: Drives, spawn: Spawn, skip: dict[str, str]
) -> None:
    spawn = with_api(spawn, skip)

    assert sorted(drives.of_ours(spawn)) == sorted(drives.of_nova(spawn))


@every_choice_of_versions
@every_instance
def test_same_json(drives: Drives, spawn: Spawn, skip: dict[str, str]) -> None:
    spawn = with_api(spawn, skip)

    ours = forgetting(tree(drives.of_ours(spawn)))
    novas = forgetting(tree(drives.of_nova(spawn)))

    assert ours == novas


@every_choice_of_versions
@every_instance
def test_same_bytes_of_user_data_and_content(
    drives: Drives, spawn: Spawn, skip: dict[str, str]
) -> None:
    spawn = with_api(spawn, skip)

    assert raw(drives.of_ours(spawn)) == raw(drives.of_nova(spawn))


@every_instance
def test_same_bytes_of_json_but_for_the_order_of_keys(
    drives: Drives, spawn: Spawn
) -> None:
    # Escapes, spaces and numbers are written alike.
    ours = drives.of_ours(spawn)
    novas = forgetting(tree(drives.of_nova(spawn)))

    for path in ours:
        # Each has random seeds of its own.
        if path.endswith(".json") and not fnmatchcase(path, META_DATA):
            sorted_keys = json.dumps(novas[path], sort_keys=True)
            assert ours[path] == sorted_keys.encode()


@every_choice_of_versions
@every_difference
def test_same_but_for_the_difference(
    drives: Drives, place: str, skip: dict[str, str]
) -> None:
    spawn = with_api(DIFFERENCES[place].spawn, skip)

    ours = forgetting(tree(drives.of_ours(spawn)), place)
    novas = forgetting(tree(drives.of_nova(spawn)), place)

    assert ours == novas


def seeds(found: Tree) -> list[str]:
    return [
        told["random_seed"]
        for told in matching(found, META_DATA)
        if "random_seed" in told
    ]


def test_one_random_seed_where_nova_draws_one_for_each_version(
    drives: Drives,
) -> None:
    ours, novas = both(drives, RANDOM_SEED)

    assert len(seeds(ours)) == len(seeds(novas)) == 10
    assert len(set(seeds(ours))) == 1
    assert len(set(seeds(novas))) == 10


def addresses(found: Tree) -> list[list[str]]:
    told = found[LATEST.format("network_data")]
    by_link: dict[str, list[str]] = {link["id"]: [] for link in told["links"]}
    for network in told["networks"]:
        by_link[network["link"]].append(network["ip_address"])
    return list(by_link.values())


def test_all_subnets_where_nova_tells_of_the_first_ones(
    drives: Drives,
) -> None:
    ours, novas = both(drives, FURTHER_SUBNETS)

    first, last = ["192.0.2.10", "2001:db8::10"], ["192.0.2.10"]
    assert addresses(novas) == [first, last]
    assert addresses(ours) == [
        [
            "192.0.2.10",
            "198.51.100.10",
            "198.51.100.11",
            "2001:db8::10",
            "2001:db8:1::10",
        ],
        last,
    ]


def test_links_without_subnets_where_nova_leaves_them_out(
    drives: Drives,
) -> None:
    ours, novas = both(drives, NO_SUBNETS)

    assert addresses(novas) == [["192.0.2.10"]]
    assert addresses(ours) == [[], ["192.0.2.10"], []]


def test_empty_lists_where_nova_writes_nothing_of_no_links(
    drives: Drives,
) -> None:
    ours, novas = both(drives, NO_LINKS)

    path = LATEST.format("network_data")
    assert novas[path] == {}
    assert ours[path] == {"links": [], "networks": [], "services": []}


def test_all_keypairs_where_nova_tells_of_the_first(drives: Drives) -> None:
    ours, novas = both(drives, KEYPAIRS)

    def names(found: Tree) -> tuple[list[str], list[str], list[str]]:
        told = found[LATEST.format("meta_data")]
        return (
            [key["name"] for key in told["keys"]],
            list(told["public_keys"]),
            list(found["ec2/latest/meta-data.json"]["public-keys"]),
        )

    assert names(novas) == (["mine"], ["mine"], ["0"])
    assert names(ours) == (["mine", "yours"], ["mine", "yours"], ["0", "1"])


def test_certificates_are_keys_only_where_nova_has_them_everywhere(
    drives: Drives,
) -> None:
    ours, novas = both(drives, CERTIFICATES)

    certificate = instances.CERTIFICATE
    key = {"name": "windows", "type": "x509", "data": certificate}
    for found in (ours, novas):
        assert found[LATEST.format("meta_data")]["keys"] == [key]
    assert novas[LATEST.format("meta_data")]["public_keys"] == {
        "windows": certificate
    }
    assert "public-keys" in novas["ec2/latest/meta-data.json"]
    assert "public_keys" not in ours[LATEST.format("meta_data")]
    assert "public-keys" not in ours["ec2/latest/meta-data.json"]


def test_one_default_route_where_nova_writes_all(drives: Drives) -> None:
    def gateways(found: Tree) -> list[str]:
        (network,) = found[LATEST.format("network_data")]["networks"]
        return [route["gateway"] for route in network["routes"]]

    ours, novas = map(gateways, both(drives, DEFAULT_ROUTES))

    assert novas == ["192.0.2.1", "192.0.2.252", "192.0.2.254"]
    assert ours == ["192.0.2.1", "192.0.2.254"]


def test_no_key_name_where_nova_forgets_it(drives: Drives) -> None:
    ours, novas = both(drives, KEY_NAME)

    path = "ec2/latest/meta-data.json"
    key = {"openssh-key": instances.SSH_KEY}
    assert novas[path]["public-keys"]["0"] == key | {"_name": "0=my key"}
    assert ours[path]["public-keys"]["0"] == key


def test_no_file_where_nova_writes_user_data_of_no_bytes(
    drives: Drives,
) -> None:
    ours, novas = both(drives, USER_DATA)

    for path in ("openstack/latest/user_data", "ec2/latest/user-data"):
        assert novas[path] == b""
        assert path not in ours


def device(found: Tree) -> Any:
    (told,) = found[LATEST.format("meta_data")]["devices"]
    return told


def test_no_tags_where_nova_writes_an_empty_list(drives: Drives) -> None:
    ours, novas = both(drives, TAGS)

    assert device(novas)["tags"] == []
    assert "tags" not in device(ours)


def test_ec2_names_where_nova_writes_null(drives: Drives) -> None:
    ours, novas = (
        told["ec2/latest/meta-data.json"] for told in both(drives, EC2_ID)
    )

    for key, derived in EC2_IDS.items():
        assert novas[key] is None
        assert ours[key] == derived


def test_canonical_addresses_where_nova_repeats_them(drives: Drives) -> None:
    ours, novas = both(drives, ADDRESSES)

    def written(found: Tree) -> tuple[str, str]:
        told = found[LATEST.format("network_data")]
        (link,), (network,) = told["links"], told["networks"]
        return link["ethernet_mac_address"], network["ip_address"]

    assert written(novas) == ("FA:16:3E:ED:9A:50", "2001:DB8::A")
    assert written(ours) == ("fa:16:3e:ed:9a:50", "2001:db8::a")


def test_sorted_keys_where_nova_keeps_the_order_of_its_code(
    drives: Drives,
) -> None:
    ours, novas = (
        list(told[LATEST.format("meta_data")])
        for told in both(drives, KEY_ORDER)
    )

    assert novas != sorted(novas)
    assert ours == sorted(novas)


def test_a_drive_where_nova_fails_for_want_of_static_vendor_data(
    drives: Drives,
) -> None:
    spawn = DIFFERENCES[NO_STATIC].spawn

    with pytest.raises(
        metadata.InvalidMetadataPath, match=r"vendor_data\.json$"
    ):
        drives.of_nova(spawn)
    ours = tree(drives.of_ours(spawn))

    assert ours[LATEST.format("vendor_data")] == {}
    assert ours[LATEST.format("vendor_data2")] == {"inventory": 1}


def test_the_caller_leaves_out_the_mtu_where_dhcp_hands_it_out() -> None:
    network = {"mtu": 1450}
    dhcp = nic(0, static_ipv4(dhcp_server="192.0.2.2"), network=network)
    static = nic(1, static_ipv4(), network=network)

    described = oracle.request(
        replace(
            instances.spawn(dhcp, static), instance={"root_device_name": None}
        )
    )

    assert [i.mtu for i in described.network.interfaces] == [None, 1450]
