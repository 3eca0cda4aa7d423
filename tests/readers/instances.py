"""Instances whose drives the readers get: plain values, no fixtures.

Imported by a process of its own too, where drives are built a second time.
"""

from __future__ import annotations

import random
from pathlib import Path

from cfgdrive_virt import (
    Bond,
    ConfigDriveRequest,
    DiskDevice,
    Ec2Ids,
    InjectedFile,
    Interface,
    Keypair,
    NetworkInfo,
    NicDevice,
    Route,
    ShareDevice,
    Subnet,
    Vlan,
)
from cfgdrive_virt.adapters.cli import instance_file
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model.tree import MetadataTree

#: 2023-11-14 22:13:20 UTC
TIMESTAMP = 1_700_000_000
SEED = bytes(range(256)) * 2

_SAMPLE = Path(__file__).parents[2] / "etc" / "instance.sample.yaml"
_UUID = "83679162-1378-4288-a2d4-70e13ec132aa"

#: One line that is hard on whoever quotes, splits, escapes or normalizes.
LINE = (
    "../../etc/passwd ; $(id) `id` %s %(a)s {0} \\ \\u0041 ' \" <b>&amp;]]>"
    " \t\x1b[31m\x7f\x85\u2028\u200b\ufeff\uffff e\u0301 \u00e9 ﬁ ß İ"
    " 😀 👩\u200d🚀 \U0010ffff \u202eשלם مرحبا"
)
TEXT = f"{LINE}\r\n\0\n---\n#cloud-config\n"


def sample() -> ConfigDriveRequest:
    """Return the instance of etc/instance.sample.yaml."""
    return instance_file.load(_SAMPLE.read_bytes(), str(_SAMPLE))


def minimal() -> ConfigDriveRequest:
    """Return an instance of which nothing but the name is told."""
    return ConfigDriveRequest(uuid=_UUID, name="plain", hostname="plain")


def large() -> ConfigDriveRequest:
    """Return one with all the user data that nova takes, and many files."""
    chance = random.Random(0)
    contents = [chance.randbytes(512 * n + 1) for n in range(63)]
    contents.append(chance.randbytes(1 << 20))
    return ConfigDriveRequest(
        uuid=_UUID,
        name="large",
        hostname="large",
        user_data=chance.randbytes(49_149),
        network_config=b"auto lo\niface lo inet loopback\n",
        injected_files=[
            InjectedFile(path=f"/srv/{number}", content=content)
            for number, content in enumerate(contents)
        ],
    )


def hostile() -> ConfigDriveRequest:
    """Return one whose every text is an attack on a reader."""
    paths = (
        "../../../../etc/shadow", "/etc/../../x", "/", "a\nb", "a\r\nb",
        "-rf", "@list", "'; rm -rf /", '"', "~/x", "C:\\x", "x" * 255,
        "é" * 127, "/" + "d/" * 2000, LINE, " ", ".", "..",
        TEXT.replace("\0", ""),
    )  # fmt: skip
    return ConfigDriveRequest(
        uuid=_UUID,
        name=TEXT,
        hostname="-".join(["x"] * 32) + ".example.org",
        project_id=LINE,
        availability_zone=LINE,
        launch_index=2**31 - 1,
        metadata={TEXT: TEXT, "e\u0301": "NFD", "é": "NFC"}
        | {"__proto__": "x", "A": "upper", "a": "lower"},
        keypairs=[
            Keypair(name=TEXT, public_key=f"ssh-rsa AAAA {LINE}"),
            Keypair(name=LINE, public_key=LINE, type="x509"),
        ],
        user_data=b"\xff\xfe\0#cloud-config\r\n" + TEXT.encode(),
        vendor_data=[TEXT, {TEXT: [None, True, -0.0, 1e308, 2**80, {}]}],
        vendor_data2={TEXT: TEXT, "static": "not this one"},
        injected_files=[
            InjectedFile(path=path, content=path.encode()) for path in paths
        ],
        admin_pass=TEXT,
        random_seed=bytes(range(256)),
        network=_hostile_network(),
        network_config=TEXT.encode(),
        devices=[
            NicDevice(
                mac="fa:16:3e:00:00:01", tags=[LINE], bus=LINE, address=LINE
            ),
            DiskDevice(serial=LINE, path=LINE, tags=[LINE]),
            ShareDevice(share_id=LINE, tag=LINE, tags=[LINE]),
        ],
        security_groups=[TEXT, LINE],
        block_device_mapping={TEXT: TEXT},
        flavor=TEXT,
        image_properties={TEXT: TEXT},
        ec2=Ec2Ids(
            instance_id=LINE,
            ami_id=LINE,
            reservation_id=LINE,
            kernel_id=LINE,
            ramdisk_id=LINE,
        ),
    )


def _hostile_network() -> NetworkInfo:
    return NetworkInfo(
        interfaces=[
            Interface(
                id=f"{LINE}1",
                mac="FA:16:3E:00:00:01",
                vif_id=LINE,
                network_id=LINE,
                subnets=[
                    Subnet(
                        type="ipv4",
                        cidr="0.0.0.0/0",
                        ip_address="192.0.2.1",
                        gateway="255.255.255.255",
                        dns=["::1", "0.0.0.0"],
                        routes=[
                            Route(
                                destination="192.0.2.7/32",
                                gateway="192.0.2.1",
                            )
                        ],
                        network_id=LINE,
                    )
                ],
            ),
            Interface(mac="fa:16:3e:00:00:02", id="%s.%d"),
        ],
        bonds=[
            Bond(
                id=f"{LINE}2",
                mac="fa:16:3e:00:00:02",
                bond_mode="802.3ad",
                bond_links=[f"{LINE}1", "%s.%d"],
            )
        ],
        vlans=[
            Vlan(
                id=f"{LINE}3",
                mac="fa:16:3e:00:00:03",
                vlan_id=4094,
                vlan_link=f"{LINE}2",
            )
        ],
    )


REQUESTS = {
    "sample": sample,
    "minimal": minimal,
    "large": large,
    "hostile": hostile,
}


def tree(name: str) -> MetadataTree:
    """Return what the drive of one of these instances holds."""
    request = REQUESTS[name]()
    return build_tree(request, random_seed=request.random_seed or SEED)


def image(name: str) -> bytes:
    """Return the drive of one of these instances."""
    return iso9660.build(
        tree(name), label="config-2", timestamp=TIMESTAMP
    ).data
