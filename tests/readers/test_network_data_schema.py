"""network_data.json is valid under the schema that nova publishes.

Where the schema doesn't know what nova itself writes, or forbids what is
right, the case stands in EXCEPTIONS with the reason.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from cfgdrive_virt import Interface, NetworkInfo, Route, Subnet
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model import network as model

from . import instances, strategies

_SCHEMA = Path(__file__).parents[1] / "data" / "network_data.schema.json"

#: What the schema refuses though it is right, and how to make one.
EXCEPTIONS = {
    "ipv6_dhcpv6-stateless": (
        "nova writes this type; the schema's enumeration lacks it",
        Subnet(
            type="ipv6_dhcpv6-stateless",
            cidr="2001:db8::/64",
            ip_address="2001:db8::1",
        ),
    ),
    "ipv6_dhcpv6-stateful": (
        "likewise",
        Subnet(
            type="ipv6_dhcpv6-stateful",
            cidr="2001:db8::/64",
            ip_address="2001:db8::1",
        ),
    ),
    "an IPv4 host alone": (
        "the schema's pattern ends at 255.255.255.254",
        Subnet(type="ipv4", cidr="192.0.2.1/32", ip_address="192.0.2.1"),
    ),
    "a route to an IPv4 host": (
        "the same pattern",
        Subnet(
            type="ipv4",
            cidr="192.0.2.0/24",
            ip_address="192.0.2.1",
            routes=[
                Route(destination="192.0.2.9/32", gateway="192.0.2.2"),
            ],
        ),
    ),
}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    schema = json.loads(_SCHEMA.read_bytes())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def network_data(files: Any) -> Any:
    return json.loads(files["openstack/latest/network_data.json"])


def written(network: NetworkInfo) -> Any:
    request = instances.minimal()
    request = type(request)(
        uuid=request.uuid, name="n", hostname="n", network=network
    )
    return network_data(build_tree(request, random_seed=b"-").files)


def with_subnet(subnet: Subnet) -> NetworkInfo:
    interface = Interface(mac="fa:16:3e:00:00:01", subnets=[subnet])
    return NetworkInfo(interfaces=[interface])


def covered(document: Any) -> Any:
    """Return a document without what EXCEPTIONS lists."""
    document["networks"] = [
        network
        for network in document["networks"]
        if network["type"] not in EXCEPTIONS
        and network.get("netmask") != "255.255.255.255"
    ]
    for network in document["networks"]:
        network["routes"] = [
            route
            for route in network.get("routes", [])
            if route["netmask"] != "255.255.255.255"
            # Python 3.13 writes ::ffff:192.0.2.1; the pattern wants hex.
            and not ("." in route["network"] and ":" in route["network"])
        ]
    return document


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in instances.REQUESTS
        if instances.REQUESTS[name]().network
    ],
)
def test_an_instance_is_valid(
    name: str, validator: jsonschema.Draft7Validator
) -> None:
    validator.validate(covered(network_data(instances.tree(name).files)))


@pytest.mark.parametrize("kind", model.INTERFACE_TYPES)
def test_a_type_of_link_is_valid(
    kind: str, validator: jsonschema.Draft7Validator
) -> None:
    interface = Interface(type=kind, mac="fa:16:3e:00:00:01")

    validator.validate(written(NetworkInfo(interfaces=[interface])))


@pytest.mark.parametrize(
    "kind", [kind for kind in model.SUBNET_TYPES if kind not in EXCEPTIONS]
)
def test_a_type_of_subnet_is_valid(
    kind: str, validator: jsonschema.Draft7Validator
) -> None:
    cidr, address, gateway = (
        ("192.0.2.0/24", "192.0.2.9", "192.0.2.1")
        if kind.startswith("ipv4")
        else ("2001:db8::/64", "2001:db8::9", "fe80::1")
    )
    subnet = Subnet(type=kind, cidr=cidr, ip_address=address, gateway=gateway)

    validator.validate(written(with_subnet(subnet)))


@pytest.mark.parametrize("length", range(32))
def test_an_ipv4_netmask_is_valid(
    length: int, validator: jsonschema.Draft7Validator
) -> None:
    subnet = Subnet(
        type="ipv4", cidr=f"192.0.2.0/{length}", ip_address="192.0.2.0"
    )

    validator.validate(written(with_subnet(subnet)))


@pytest.mark.parametrize("length", range(129))
def test_an_ipv6_netmask_is_valid(
    length: int, validator: jsonschema.Draft7Validator
) -> None:
    subnet = Subnet(
        type="ipv6", cidr=f"2001:db8::/{length}", ip_address="2001:db8::"
    )

    validator.validate(written(with_subnet(subnet)))


def test_no_network_at_all_is_valid(
    validator: jsonschema.Draft7Validator,
) -> None:
    document = written(NetworkInfo())

    validator.validate(document)
    assert document == {"links": [], "networks": [], "services": []}


@pytest.mark.parametrize("case", list(EXCEPTIONS))
def test_an_exception_is_still_one(
    case: str, validator: jsonschema.Draft7Validator
) -> None:
    reason, subnet = EXCEPTIONS[case]

    assert not validator.is_valid(written(with_subnet(subnet))), (
        f"the schema allows it now; it was an exception because {reason}"
    )


@settings(strategies.PROPERTY, max_examples=100)
@given(network=strategies.network_infos())
def test_any_network_is_valid(
    network: NetworkInfo, validator: jsonschema.Draft7Validator
) -> None:
    validator.validate(covered(written(network)))
