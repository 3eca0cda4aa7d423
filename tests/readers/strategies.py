"""Trees and requests as hostile as their rules allow, for hypothesis."""

from __future__ import annotations

import ipaddress
import os
import re
import unicodedata
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

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
from cfgdrive_virt.model import network as model

from .instances import LINE, TEXT

#: The same examples at every run where nobody watches, new ones elsewhere.
PROPERTY = settings(
    deadline=None, derandomize="CI" in os.environ, max_examples=40
)

#: What a name on a drive may not hold: Joliet's specification, 2.2.4.
FORBIDDEN = re.compile(r"[\x00-\x1f*/:;?\\]")
NAME_BYTES = 64
DIRECTORIES = 7

_ODD_NAMES = (
    "a", "A", "a_b", "a b", "a.b", "A.B", "A_B", "A_B1", "a.", "a..", "...",
    ".a", "-a", "--", "-rf", "@a", "~", "#", "%41", "$HOME", "`id`", "|", "&",
    "<a>", '"', "'", "&amp", " ", "a ", " a", "a. ", "con", "NUL.txt",
    "rr_moved", "RR_MOVED", ".rr_moved", "TRANS.TBL", "boot.cat", "A~1",
    "\x7f", "\x85", "\xa0", "\u200b", "\u2028", "\u202e", "\ufeff", "\ufffe",
    "\uffff", "\ue000", "\U0010ffff", "e\u0301", "é", "ß", "SS", "\u017f",
    "İ", "\u0131", "ﬁ", "fi", "Å", "\u212b", "A\u030a", "שלם", "مرحبا", "😀",
    "👩\u200d🚀", "x" * NAME_BYTES, "X" * NAME_BYTES, "x" * 24, "x" * 25,
    "é" * 32, "e\u0301" * 21, "😀" * 16,
)  # fmt: skip

_unicode = st.characters(exclude_categories=["Cs"])


def fits(name: str) -> bool:
    """Tell whether a name is within the documented limits."""
    return (
        name not in ("", ".", "..")
        and len(name.encode()) <= NAME_BYTES
        and not FORBIDDEN.search(name)
    )


def fitted(text: str) -> str:
    """Return as much of a text as a name may hold."""
    kept = FORBIDDEN.sub("_", text).encode()[:NAME_BYTES]
    return kept.decode("utf-8", "ignore")


def survives_7z(name: str) -> bool:
    """Tell whether 7z keeps a name.

    It drops the dot at the end of one, and takes some characters that are
    for private use for bytes that are no UTF-8.
    """
    return not re.search("[\uef80-\uefff]|[.]$", name)


def survives_libarchive(name: str) -> bool:
    """Tell whether libarchive keeps a name of Joliet: it makes it NFC."""
    return unicodedata.is_normalized("NFC", name)


#: What a name on VFAT may not hold, begin or end with: fatgen103, "Name
#: Limits and Character Sets"; and what is a device to Windows.
VFAT_FORBIDDEN = re.compile(
    r'[\x00-\x1f"*/:<>?\\|\uffff]|^ |[. ]$'
    r"|^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\.|$)",
    re.IGNORECASE,
)
#: A VFAT's name has 255 units of UTF-16; what tools extract lands in a file
#: system whose names have as many bytes.
VFAT_NAME_BYTES = 255
VFAT_PATH_UNITS = 256


def fits_vfat(name: str) -> bool:
    """Tell whether a name is within the documented limits of VFAT."""
    return 0 < len(
        name.encode()
    ) <= VFAT_NAME_BYTES and not VFAT_FORBIDDEN.search(name)


def survives_mtools(name: str) -> bool:
    """Tell whether mtools keeps a name: it has 16 bits for a character."""
    return max(name) <= "\uffff"


def fit_together(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files that VFAT can hold beside each other."""
    kept: dict[str, bytes] = {}
    known: dict[str, str] = {}
    for path, content in files.items():
        parts = path.split("/")
        ends = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        keys = [(end, key) for end in ends for key in _cases(end)]
        if len(path.encode("utf-16-le")) // 2 <= VFAT_PATH_UNITS and all(
            known.get(key, end) == end for end, key in keys
        ):
            known |= {key: end for end, key in keys}
            kept[path] = content
    return kept


def _cases(text: str) -> set[str]:
    """Return all that a text may become where case doesn't count."""
    single = "".join(
        made if len(made := character.lower()) == 1 else made[0]
        for character in text
    )
    return {
        change(start)
        for start in (text, single)
        for change in (str.upper, str.lower, str.casefold)
    } | {text.upper().casefold(), single.upper().casefold()}


def texts(least: int = 0, most: int = 40) -> st.SearchStrategy[str]:
    """Make Unicode text, now and then the worst that we could think of."""
    return st.text(_unicode, min_size=least, max_size=most) | st.sampled_from(
        (TEXT, LINE, "..", "\n", "\0", "'", "x" * 255, "é" * 255)
    )


#: Text of one line.
words = texts(1).map(lambda text: re.sub(r"[\r\n\0]", "_", text))

names = st.sampled_from(_ODD_NAMES) | (
    st.text(_unicode, min_size=1, max_size=NAME_BYTES).map(fitted).filter(fits)
)
vfat_names = st.sampled_from(
    [name for name in _ODD_NAMES if fits_vfat(name)]
    + ["x" * 255, "é" * 127, "A.TXT", "a b", "A B.T", "+", "[a]", "x" * 13]
) | st.text(_unicode, min_size=1, max_size=VFAT_NAME_BYTES).filter(fits_vfat)
contents = st.sampled_from(
    (b"", b"\0", b"same", bytes(2048), b"x" * 2049)
) | st.binary(max_size=3000)


def _without_files_below_files(files: dict[str, bytes]) -> dict[str, bytes]:
    return {
        path: content
        for path, content in files.items()
        if not any(other.startswith(f"{path}/") for other in files)
    }


def trees(
    names: st.SearchStrategy[str] = names, directories: int = DIRECTORIES
) -> st.SearchStrategy[dict[str, bytes]]:
    """Make files by path, no path of which is a directory too."""
    paths = st.lists(names, min_size=1, max_size=directories + 1).map("/".join)
    # Names of one directory meet each other more often than by chance.
    crowd = st.lists(names, max_size=25, unique=True)
    return st.one_of(
        st.dictionaries(paths, contents, max_size=12),
        st.tuples(st.sampled_from(["", "d/"]), crowd, contents).map(
            lambda made: {made[0] + name: made[2] for name in made[1]}
        ),
        st.tuples(crowd, st.lists(contents, min_size=25, max_size=25)).map(
            lambda made: dict(zip(*made, strict=False))
        ),
    ).map(_without_files_below_files)


def vfat_trees(
    names: st.SearchStrategy[str] = vfat_names,
) -> st.SearchStrategy[dict[str, bytes]]:
    """Make files by path, all of which VFAT can hold."""
    paths = st.lists(names, min_size=1, max_size=12).map("/".join)
    # Names of one directory meet each other more often than by chance.
    crowd = st.lists(names, min_size=5, max_size=25)
    return (
        st.dictionaries(paths, contents, min_size=1, max_size=8)
        | st.builds(
            lambda above, below, content: {
                above + name: content for name in below
            },
            st.sampled_from(["", "d/", "Long name/"]),
            crowd,
            contents,
        )
    ).map(lambda made: fit_together(_without_files_below_files(made)))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(texts(), inner, max_size=3)
    ),
    max_leaves=6,
)

domains = st.lists(
    st.sampled_from(("example", "a.example", "x" * 63, "_b-c.example")),
    max_size=2,
)
macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":").upper())


@st.composite
def subnets(draw: st.DrawFn) -> Subnet:
    """Make a subnet of any type, all of it in one version of IP."""
    kind = draw(st.sampled_from(model.SUBNET_TYPES))
    version = 4 if kind.startswith("ipv4") else 6
    addresses = st.ip_addresses(v=version)
    networks = st.builds(
        lambda address, length: str(
            ipaddress.ip_network((address, length), strict=False)
        ),
        addresses,
        st.integers(0, 32 if version == 4 else 128),
    )
    cidr = draw(networks)
    network = ipaddress.ip_network(cidr)
    number = draw(st.integers(0, network.num_addresses - 1))
    return Subnet(
        type=kind,
        cidr=cidr,
        ip_address=str(network[number]),
        gateway=draw(st.none() | addresses.map(str)),
        dns=draw(st.lists(st.ip_addresses().map(str), max_size=2)),
        dns_search=draw(domains),
        routes=[
            Route(destination=destination, gateway=gateway)
            for destination, gateway in draw(
                st.lists(st.tuples(networks, addresses.map(str)), max_size=2)
            )
        ],
        network_id=draw(st.none() | words),
    )


@st.composite
def network_infos(draw: st.DrawFn) -> NetworkInfo:
    """Make interfaces, and bonds and VLANs on top of them."""
    ids = draw(st.lists(words, max_size=4, unique=True))
    interfaces = [
        Interface(
            id=link_id,
            # Two links with one name are refused.
            name=draw(st.none() | st.just(f"eth{number}")),
            type=draw(_interface_type),
            **draw(_link),
        )
        for number, link_id in enumerate(ids)
    ]
    bonds: list[Bond] = []
    vlans: list[Vlan] = []
    if ids and draw(st.booleans()):
        bonds.append(
            Bond(
                id="\tbond",
                bond_mode=draw(st.sampled_from(model.BOND_MODES)),
                bond_links=draw(st.lists(st.sampled_from(ids), min_size=1)),
                bond_miimon=draw(st.none() | st.integers(0, 2**31 - 1)),
                bond_xmit_hash_policy=draw(
                    st.none() | st.sampled_from(model.BOND_XMIT_HASH_POLICIES)
                ),
                bond_lacp_rate=draw(
                    st.none() | st.sampled_from(model.BOND_LACP_RATES)
                ),
                **draw(_link),
            )
        )
        vlans.append(
            Vlan(
                id="\tvlan",
                vlan_id=draw(st.integers(1, 4094)),
                vlan_link=draw(st.sampled_from([*ids, "\tbond"])),
                name=draw(st.none() | st.just("vlan.0")),
                **draw(_link),
            )
        )
    return NetworkInfo(
        interfaces=interfaces,
        bonds=bonds,
        vlans=vlans,
        dns=draw(st.lists(st.ip_addresses().map(str), max_size=2)),
        dns_search=draw(domains),
        floating_ips=draw(st.lists(st.ip_addresses(v=4).map(str), max_size=2)),
    )


_interface_type = st.sampled_from(model.INTERFACE_TYPES)
_link: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"mac": macs},
    optional={
        "vif_id": words,
        "mtu": st.integers(1, 65_535),
        "network_id": words,
        "subnets": st.lists(subnets(), max_size=3),
    },
)

_word = st.none() | words
_tags = st.lists(words, max_size=2)
_mapping = st.dictionaries(texts(1), texts(), max_size=3)

_paths = texts(1).map(lambda text: text.replace("\0", "0"))

_requests = st.builds(
    ConfigDriveRequest,
    uuid=st.uuids().map(str),
    name=texts(1),
    hostname=st.from_regex(
        r"[A-Za-z0-9_]{1,63}(\.[a-z]([a-z-]{0,9}[a-z])?)?", fullmatch=True
    ),
    project_id=_word,
    availability_zone=_word,
    launch_index=st.integers(0, 2**31 - 1),
    metadata=_mapping,
    keypairs=st.lists(
        st.builds(
            Keypair,
            name=texts(1),
            public_key=words,
            type=st.sampled_from(["ssh", "x509"]),
        ),
        max_size=2,
        unique_by=lambda key: key.name,
    ),
    user_data=st.none() | st.binary(max_size=500) | texts().map(str.encode),
    vendor_data=st.none()
    | texts()
    | st.lists(json_values, max_size=3)
    | st.dictionaries(texts(), json_values, max_size=3),
    vendor_data2=st.dictionaries(texts(), json_values, max_size=3),
    injected_files=st.lists(
        st.builds(InjectedFile, path=_paths, content=contents), max_size=4
    ),
    admin_pass=st.none() | texts(1),
    random_seed=st.binary(min_size=1, max_size=64),
    network=st.none() | network_infos(),
    # cloud-init gives up on what is no text.
    network_config=st.none() | texts().map(str.encode),
    devices=st.lists(
        st.builds(
            NicDevice,
            mac=macs,
            tags=_tags,
            vlan=st.none() | st.integers(0, 4095),
            vf_trusted=st.booleans(),
            bus=_word,
            address=_word,
        )
        | st.builds(
            DiskDevice, path=_word, tags=_tags, bus=_word, address=_word
        )
        | st.builds(ShareDevice, share_id=words, tag=words, tags=_tags),
        max_size=3,
    ),
    dedicated_cpus=st.lists(st.integers(0, 65_535), max_size=3),
    security_groups=st.lists(texts(1), max_size=2),
    block_device_mapping=_mapping,
    flavor=st.none() | texts(1),
    ec2=st.builds(
        Ec2Ids,
        instance_id=_word,
        ami_id=_word,
        reservation_id=_word,
        kernel_id=_word,
        ramdisk_id=_word,
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> ConfigDriveRequest:
    """Make a request of any kind."""
    return draw(_requests)


@st.composite
def usual_subnets(draw: st.DrawFn) -> Subnet:
    """Make a subnet that a network may have, with its gateway in it."""
    kind = draw(st.sampled_from(("ipv4", "ipv4", "ipv6", *model.SUBNET_TYPES)))
    version = 4 if kind.startswith("ipv4") else 6
    number = draw(st.integers(1, 9))
    subnet = f"192.0.{number}.0/24" if version == 4 else f"fd00:{number}::/64"
    address, gateway, other = (
        str(ipaddress.ip_network(subnet)[host])
        for host in (draw(st.integers(10, 99)), 1, 2)
    )
    destination = (
        f"198.18.{number}.0/24" if version == 4 else f"fd01:{number}::/32"
    )
    routes = [Route(destination=destination, gateway=other)]
    return Subnet(
        type=kind,
        cidr=subnet,
        ip_address=address,
        gateway=draw(st.sampled_from((None, gateway))),
        dns=draw(_usual_servers),
        dns_search=draw(_usual_domains),
        routes=draw(st.sampled_from(([], routes))),
    )


_usual_servers = st.lists(
    st.sampled_from(
        [f"192.0.2.{number}" for number in range(53, 58)]
        + [f"fd00::{number}" for number in range(53, 56)]
    ),
    max_size=2,
    unique=True,
)


_usual_domains = st.lists(
    st.sampled_from([f"{letter}.example" for letter in "abcdefgh"]),
    max_size=2,
    unique=True,
)


@st.composite
def usual_networks(draw: st.DrawFn) -> NetworkInfo:
    """Make the network of a guest: NICs, bonds of some, and VLANs."""
    ids = [f"tap{number}" for number in range(draw(st.integers(1, 4)))]
    bonded = ids[draw(st.integers(0, len(ids))) :]
    mtu = st.sampled_from((None, None, 1400, 9000))
    subnets = st.lists(
        usual_subnets(), max_size=3, unique_by=lambda subnet: subnet.cidr
    )
    bonds = [
        Bond(
            id="a bond",
            mac="fa:16:3e:00:01:00",
            bond_mode=draw(st.sampled_from(model.BOND_MODES)),
            bond_links=bonded,
            bond_miimon=draw(st.sampled_from((None, 100))),
            bond_xmit_hash_policy=draw(st.sampled_from((None, "layer3+4"))),
            bond_lacp_rate=draw(st.sampled_from((None, "fast"))),
            mtu=draw(mtu),
            subnets=draw(subnets),
        )
    ] * bool(bonded)
    carriers = [link_id for link_id in ids if link_id not in bonded]
    carriers += [bond.id for bond in bonds]
    vlans = [
        Vlan(
            id=f"vlan{number}",
            mac=f"fa:16:3e:00:02:{number:02}",
            vlan_id=number,
            vlan_link=draw(st.sampled_from(carriers)),
            mtu=draw(mtu),
            subnets=draw(subnets),
        )
        for number in range(1, draw(st.integers(1, 3)))
    ]
    return NetworkInfo(
        interfaces=[
            Interface(
                id=link_id,
                mac=f"fa:16:3e:00:00:{number:02}",
                mtu=draw(mtu),
                subnets=[] if link_id in bonded else draw(subnets),
            )
            for number, link_id in enumerate(ids)
        ],
        bonds=bonds,
        vlans=vlans,
        dns=draw(_usual_servers),
        dns_search=draw(_usual_domains),
    )
