"""Whatever an image is, it is read, or refused for what is wrong with it.

Never anything else: no other error, no hang, and no more memory than the
image's size allows.  A flipped bit of content can't be seen, as no file system
here has checksums; one of a structure may give another tree.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import re
import signal
import struct
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cfgdrive_virt import image
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.model.drive import ISO9660, VFAT, Contents
from cfgdrive_virt.model.tree import MetadataTree

from . import readers, strategies
from .instances import TIMESTAMP

FILES = {
    "openstack/2018-08-27/meta_data.json": b'{"uuid": "1"}' * 50,
    "openstack/2018-08-27/user_data": b"#!/bin/sh\n" * 1000,
    "openstack/latest/meta_data.json": b'{"uuid": "1"}' * 50,
    "openstack/latest/user_data": b"#!/bin/sh\n" * 1000,
    "openstack/latest/a long name that needs several entries.json": b"{}" * 9,
    "openstack/content/0000": bytes(range(256)) * 30,
    "empty": b"",
}
LARGE = FILES | {"large": b"<large>" * 400_000}
BASES = ("iso9660", "nova", "joliet", "fat12", "fat16")

MOST_SHOWN = 64
SECTOR = 512
#: Seconds: some thousand times what reading takes.
_HANGS = 30


@functools.cache
def base(name: str) -> bytes:
    """Return a whole image."""
    if name in ("nova", "joliet"):
        extensions = ("-J", "-r") if name == "nova" else ("-J",)
        return by_genisoimage(FILES, *extensions)
    files = LARGE if name == "fat16" else FILES
    form = ISO9660 if name == "iso9660" else VFAT
    tree = MetadataTree(files)
    return image.build(
        form, tree, label="config-2", timestamp=TIMESTAMP, serial=1
    ).data


def by_genisoimage(files: dict[str, bytes], *extensions: str) -> bytes:
    """Return what nova makes of files, if by Joliet and Rock Ridge."""
    with tempfile.TemporaryDirectory() as directory:
        for path, content in files.items():
            file = Path(directory, "tree", path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        made = Path(directory, "disk.config")
        readers.run(
            *("genisoimage", "-o", str(made), "-ldots", "-allow-lowercase"),
            *("-allow-multidot", "-l", "-quiet", *extensions),
            *("-V", "config-2", str(Path(directory, "tree"))),
        )
        return made.read_bytes()


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    def tell(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError("reading an image doesn't end")

    former = signal.signal(signal.SIGALRM, tell)
    signal.alarm(_HANGS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def read_or_refuse(data: bytes) -> Contents | None:
    """Return what an image holds, or None if it is refused as it should."""
    try:
        with no_hang():
            contents = image.read(data)
    except ImageError:
        return None
    files = contents.tree.files
    assert sum(map(len, files.values())) <= MOST_SHOWN * len(data)
    return contents


def refusal(data: bytes) -> str:
    with no_hang(), pytest.raises(ImageError) as caught:
        image.read(data)
    told = str(caught.value)
    assert told.isprintable()
    return told


@functools.cache
def spans(name: str) -> list[tuple[int, int]]:
    """Return where in an image content begins and ends, in order."""
    data = base(name)
    return sorted(
        (found.start(), found.end())
        for content in set(LARGE.values()) - {b""}
        for found in re.finditer(re.escape(content), data)
    )


@functools.cache
def structures(name: str) -> list[int]:
    """Return the offsets of all bytes that say something but content."""
    starts = [start for start, _ in spans(name)]
    found = []
    for offset, byte in enumerate(base(name)):
        place = bisect.bisect(starts, offset) - 1
        if byte and (place < 0 or offset >= spans(name)[place][1]):
            found.append(offset)
    return found


_bytes = st.sampled_from(b"\0\1\2\x7f\x80\xff./\\;") | st.integers(0, 255)
_numbers = st.sampled_from(
    (0, 1, 2, 16, 19, 28, 0xFF7, 0xFF8, 0xFFF, 0xFFF8, 0xFFFF, 2**24, 2**28,
     2**30, 2**31 - 1, 2**31, 2**32 - 2048, 2**32 - 1)
)  # fmt: skip
#: In which byte order a number is set: the latter is ISO9660's.
_formats = st.sampled_from(("<B", "<H", "<I", "<I>I", "<H>H"))


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """Make of a whole image another one, alike in most."""
    data = bytearray(base(name))
    offsets = st.sampled_from(structures(name)).flatmap(
        lambda offset: st.integers(max(0, offset - 2), offset + 2)
    )
    sectors = st.sampled_from(
        sorted({offset // SECTOR * SECTOR for offset in structures(name)})
    )
    for kind in draw(
        st.lists(
            st.sampled_from(
                ("bit", "byte", "number", "copy", "sector", "zero", "noise")
            ),
            min_size=1,
            max_size=4,
        )
    ):
        if kind == "bit":
            data[draw(offsets) % len(data)] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte":
            data[draw(offsets) % len(data)] = draw(_bytes)
        elif kind == "number":
            _set(data, draw(offsets), draw(_numbers), draw(_formats))
        elif kind == "copy":
            size = draw(st.sampled_from((2, 4, 8, 16, 32, 64)))
            _copy(data, draw(offsets), draw(offsets), size)
        elif kind == "sector":
            size = draw(st.sampled_from((SECTOR, 4 * SECTOR)))
            _copy(data, draw(sectors), draw(sectors), size)
        else:
            start = draw(sectors)
            noise = draw(st.binary(max_size=64)) if kind == "noise" else b""
            data[start : start + SECTOR] = (noise * 64).ljust(SECTOR, b"\0")[
                :SECTOR
            ]
    return bytes(data)


def _set(data: bytearray, offset: int, number: int, form: str) -> None:
    for part in (form[:2], form[2:]):
        if part:
            size = struct.calcsize(part)
            raw = number % 256**size
            order = "little" if part[0] == "<" else "big"
            _put(data, offset, raw.to_bytes(size, order))
            offset += size


def _copy(data: bytearray, source: int, target: int, size: int) -> None:
    _put(data, target, bytes(data[source : source + size]))


def _put(data: bytearray, offset: int, raw: bytes) -> None:
    raw = raw[: max(0, len(data) - offset)]
    data[offset : offset + len(raw)] = raw


@pytest.mark.parametrize("name", BASES)
def test_a_whole_image_is_read(name: str) -> None:
    contents = image.read(base(name))

    assert contents.format == (VFAT if name.startswith("fat") else ISO9660)
    assert contents.label == "config-2"
    assert contents.ours == (name not in ("nova", "joliet"))
    files = LARGE if name == "fat16" else FILES
    assert dict(contents.tree.files) == files


@settings(strategies.PROPERTY, max_examples=300)
@pytest.mark.parametrize("name", BASES)
@given(data=st.data())
def test_damage_is_refused_or_another_tree(
    name: str, data: st.DataObject
) -> None:
    read_or_refuse(data.draw(damaged(name)))


@settings(strategies.PROPERTY, max_examples=100)
@pytest.mark.parametrize("name", BASES)
@given(data=st.data())
def test_a_truncated_image_is_refused_wherever_it_ends(
    name: str, data: st.DataObject
) -> None:
    whole = base(name)
    structure = st.sampled_from(structures(name))
    length = data.draw(st.integers(0, len(whole) - 1) | structure)

    refusal(whole[:length])


@settings(strategies.PROPERTY, max_examples=50)
@pytest.mark.parametrize("name", BASES)
@given(data=st.data())
def test_a_flipped_bit_of_content_is_in_that_content(
    name: str, data: st.DataObject
) -> None:
    start, end = data.draw(st.sampled_from(spans(name)))
    changed = bytearray(base(name))
    changed[data.draw(st.integers(start, end - 1))] ^= 1
    whole = image.read(base(name)).tree.files
    found = image.read(bytes(changed)).tree.files

    assert set(found) == set(whole)
    differing = {path for path in whole if found[path] != whole[path]}
    assert len({whole[path] for path in differing}) == 1


@settings(strategies.PROPERTY, max_examples=100)
@pytest.mark.parametrize("name", BASES)
@given(keep=st.integers(0, 20), noise=st.binary(max_size=4096))
def test_noise_after_a_beginning_is_refused_or_a_tree(
    name: str, keep: int, noise: bytes
) -> None:
    whole = base(name)
    beginning = whole[: keep * 2048] if keep else whole[:512]

    read_or_refuse((beginning + noise * 256)[: len(whole)])


@settings(strategies.PROPERTY, max_examples=200)
@given(st.binary(max_size=5000))
@example(b"")
@example(bytes(16 * 2048) + b"\1CD001\1")
@example(b"\xeb\x3c\x90".ljust(510, b"\0") + b"\x55\xaa")
def test_anything_else_is_refused(data: bytes) -> None:
    refusal(data)


class Fat:
    """A VFAT image of plain names, to be damaged on purpose."""

    def __init__(self, width: int = 12) -> None:
        size = 2000 if width == 12 else 3_000_000
        files = {
            "A": b"a" * 2000,
            "B": b"b" * size,
            "D/C": b"c" * 2000,
            "D/E/F": b"f" * 2000,
        }
        tree = MetadataTree(files)
        whole = image.build(
            VFAT, tree, label="config-2", timestamp=TIMESTAMP, serial=1
        )
        self.data = bytearray(whole.data)
        self.width = width
        self.root = SECTOR + 2 * SECTOR * self.number("<H", 22)

    def number(self, form: str, offset: int) -> int:
        return int(struct.unpack_from(form, self.data, offset)[0])

    def put(self, form: str, offset: int, number: int) -> bytes:
        struct.pack_into(form, self.data, offset, number)
        return bytes(self.data)

    def entry(self, name: str) -> int:
        """Return where a directory has a short name."""
        return self.data.index(name.encode().ljust(11), self.root)

    def first(self, name: str) -> int:
        return self.number("<H", self.entry(name) + 26)

    def move(self, name: str, cluster: int) -> bytes:
        """Have a file or directory begin at another cluster."""
        return self.put("<H", self.entry(name) + 26, cluster)

    def resize(self, name: str, size: int) -> bytes:
        return self.put("<I", self.entry(name) + 28, size)

    def link(self, cluster: int, following: int, copies: int = 2) -> bytes:
        """Say in the FATs what follows a cluster."""
        for copy in range(copies):
            start = SECTOR + copy * SECTOR * self.number("<H", 22)
            if self.width == 16:
                self.put("<H", start + 2 * cluster, following)
                continue
            place = start + cluster * 3 // 2
            shift = cluster % 2 * 4
            kept = self.number("<H", place) & ~(0xFFF << shift)
            self.put("<H", place, kept | following << shift)
        return bytes(self.data)


def fat_with(form: str, offset: int, number: int) -> bytes:
    return Fat().put(form, offset, number)


def fat_chain(following: int, width: int = 12, copies: int = 2) -> bytes:
    """Have another cluster follow the second one of A."""
    fat = Fat(width)
    return fat.link(fat.first("A") + 1, following, copies)


def fat_named(name: bytes) -> bytes:
    fat = Fat()
    start = fat.entry("A")
    fat.data[start : start + 11] = name.ljust(11)
    return bytes(fat.data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(
            fat_chain(Fat().first("A")), r"'A' .* \d+ twice", id="cyclic-chain"
        ),
        pytest.param(
            fat_chain(Fat(16).first("A"), 16),
            r"'A' .* \d+ twice",
            id="cyclic-chain-of-fat16",
        ),
        pytest.param(
            fat_chain(Fat().first("A") + 1),
            r"'A' .* \d+ twice",
            id="cluster-after-itself",
        ),
        pytest.param(
            fat_chain(0xF00), "'A' .* 3840 after", id="chain-leaves-the-volume"
        ),
        pytest.param(
            fat_chain(0xFFF0, 16),
            "'A' .* 65520 after",
            id="chain-leaves-the-volume-of-fat16",
        ),
        pytest.param(fat_chain(0), "'A' .* 0 after", id="chain-ends-free"),
        pytest.param(fat_chain(1), "'A' .* 1 after", id="chain-at-1"),
        pytest.param(fat_chain(0xFF7), "'A' .* 4087", id="bad-cluster"),
        pytest.param(
            fat_chain(0xFFF), "'A' .* 1,024 bytes, .* 2,000", id="short-chain"
        ),
        pytest.param(
            fat_chain(0xFFF, copies=1), "FATs differ", id="fats-differ"
        ),
        pytest.param(
            Fat().move("B", Fat().first("A")),
            "'[AB]' .* '[AB]'",
            id="cross-linked",
        ),
        pytest.param(
            Fat().move("B", Fat().first("A") + 2),
            "'[AB]' .* '[AB]'",
            id="cross-linked-inside",
        ),
        pytest.param(
            Fat().move("E", Fat().first("D")), "'D/E'", id="directory-loop"
        ),
        pytest.param(
            Fat().move("E", Fat().first("E") + 90),
            "'D/E'",
            id="directory-beyond-the-volume",
        ),
        pytest.param(Fat().move("E", 0), "'D/E'", id="directory-is-the-root"),
        pytest.param(
            Fat().move("E", Fat().first("A")),
            "'A'|'D/E'",
            id="directory-is-a-file",
        ),
        pytest.param(Fat().resize("A", 2049), "'A'", id="size-one-more"),
        pytest.param(Fat().resize("A", 2**32 - 1), "'A'", id="size-4-GiB"),
        pytest.param(Fat().resize("A", 1536), "'A'", id="size-less"),
        pytest.param(Fat().resize("A", 0), "'A'", id="size-of-nothing"),
        pytest.param(Fat().resize("E", 512), "'D/E'", id="directory-size"),
        pytest.param(fat_named(b"."), r"'\.'", id="named-itself"),
        pytest.param(fat_named(b".."), r"'\.\.'", id="named-parent"),
        pytest.param(fat_named(b"X/Y"), "'X/Y'", id="named-with-slash"),
        pytest.param(fat_named(b"X\0"), r"'X\\x00", id="named-with-nul"),
        pytest.param(fat_named(b"B"), "'B' .* twice", id="named-twice"),
        pytest.param(fat_with("<H", 22, 0), "FAT32", id="fat32"),
        pytest.param(fat_with("<H", 22, 0xFFFF), "", id="fat-of-32-MiB"),
        pytest.param(fat_with("<B", 13, 0), "cluster", id="no-cluster"),
        pytest.param(fat_with("<B", 13, 3), "cluster", id="odd-cluster"),
        pytest.param(fat_with("<B", 13, 128), "", id="large-cluster"),
        pytest.param(fat_with("<H", 11, 0), "neither", id="no-sector"),
        pytest.param(fat_with("<H", 11, 4096), "", id="large-sector"),
        pytest.param(
            fat_with("<H", 14, 0), "0 reserved sectors", id="no-boot"
        ),
        pytest.param(fat_with("<H", 14, 0xFFFF), "", id="all-is-boot"),
        pytest.param(fat_with("<B", 16, 0), "neither", id="no-fat"),
        pytest.param(fat_with("<B", 16, 255), "255 FATs", id="255-fats"),
        pytest.param(fat_with("<H", 17, 0), "0 entries", id="no-root"),
        pytest.param(fat_with("<H", 17, 0xFFFF), "", id="all-is-root"),
        pytest.param(fat_with("<H", 19, 0xFFFF), "its 33,553,920", id="more"),
        pytest.param(fat_with("<H", 19, 1), "no room for", id="of-a-sector"),
    ],
)
def test_a_vfat_image_that_lies_is_refused(data: bytes, told: str) -> None:
    assert re.search(told, refusal(data))


def test_fat32_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "fat32"
    with path.open("wb") as file:
        file.truncate(34 << 20)
    readers.run("mkfs.vfat", "-F", "32", "-n", "config-2", str(path))

    assert "FAT32" in refusal(path.read_bytes())


def test_a_tenants_content_makes_no_other_format_of_a_vfat_image() -> None:
    # An ISO9660 image begins 32 KiB in, which is content here.
    hostile = base("iso9660")[16 * 2048 :]
    found = []
    for shift in range(0, 32 * 1024, SECTOR):
        files = {"user_data": bytes(shift) + hostile}
        tree = MetadataTree(files)
        built = image.build(
            VFAT, tree, label="config-2", timestamp=TIMESTAMP, serial=1
        )
        found.append(built.data[32769:32774] == b"CD001")
        contents = image.read(built.data)
        assert (contents.format, dict(contents.tree.files)) == (VFAT, files)
    assert any(found)


def test_a_partition_table_before_an_iso9660_image_is_none_of_vfat() -> None:
    data = bytearray(base("iso9660"))
    # As isohybrid makes for a disk: an active partition of the EFI's type.
    data[:3] = b"\x33\xed\x90"
    data[446:462] = struct.pack("<8B2I", 128, 0, 1, 0, 0xEF, 0, 0, 0, 64, 99)
    data[510:512] = b"\x55\xaa"

    assert dict(image.read(bytes(data)).tree.files) == FILES


def test_what_is_both_is_read_or_refused() -> None:
    read_or_refuse(base("fat12")[:SECTOR] + base("iso9660")[SECTOR:])
    read_or_refuse(base("fat16")[:32768] + base("iso9660")[32768:])


def iso_records(data: bytes, volume: int) -> Iterator[int]:
    """Yield where the root directory of a volume has its entries."""
    extent, size = struct.unpack_from("<I4xI", data, volume * 2048 + 158)
    offset = extent * 2048
    while offset < extent * 2048 + size and data[offset]:
        if data[offset + 32] > 1:
            yield offset
        offset += data[offset]


def iso_with(
    name: str, is_directory: bool, at: int, number: int | None
) -> bytes:
    """Return an image whose files or directories lie, in both its trees.

    :param number: of both byte orders; None for the root directory's sector
    """
    data = bytearray(base(name))
    for volume in (16, 17):
        root = struct.unpack_from("<I", data, volume * 2048 + 158)[0]
        for offset in iso_records(data, volume):
            if bool(data[offset + 25] & 2) == is_directory:
                value = root if number is None else number
                _set(data, offset + at, value, "<I>I")
    return bytes(data)


@pytest.mark.parametrize("name", ["iso9660", "nova", "joliet"])
@pytest.mark.parametrize(
    ("is_directory", "at", "number", "told"),
    [
        pytest.param(
            True, 2, None, "'openstack', .* twice", id="directory-loop"
        ),
        pytest.param(
            True, 2, 2**31, "'openstack': .* beyond", id="directory-beyond"
        ),
        pytest.param(
            True, 10, 2**32 - 2048, "'openstack': .* beyond", id="long"
        ),
        pytest.param(
            True, 10, 0, "'openstack': its 0 bytes", id="directory-of-none"
        ),
        pytest.param(
            False,
            10,
            2**30,
            "'empty', .* 1,073,741,824 b.* beyond",
            id="1-GiB",
        ),
        pytest.param(
            False, 10, 2**32 - 1, "'empty', .* 4,294,967,295 b", id="4-GiB"
        ),
    ],
)
def test_an_iso9660_image_that_lies_is_refused(
    name: str, is_directory: bool, at: int, number: int | None, told: str
) -> None:
    assert re.search(told, refusal(iso_with(name, is_directory, at, number)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            iso_with("iso9660", is_directory=False, at=10, number=2**30),
            id="iso9660-files",
        ),
        pytest.param(
            iso_with("iso9660", is_directory=True, at=10, number=2**30),
            id="iso9660-directories",
        ),
        pytest.param(Fat().resize("A", 2**30), id="vfat-file"),
        pytest.param(fat_chain(Fat().first("A")), id="vfat-chain"),
        pytest.param(fat_with("<H", 22, 0xFFFF), id="vfat-fat"),
        pytest.param(fat_with("<H", 17, 0xFFFF), id="vfat-root"),
        pytest.param(fat_with("<H", 19, 0xFFFF), id="vfat-sectors"),
    ],
)
def test_a_lie_of_gigabytes_takes_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        refusal(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(data) + 2**20


@settings(strategies.PROPERTY, max_examples=50)
@pytest.mark.parametrize("name", ["iso9660", "nova", "fat12"])
@given(data=st.data())
def test_damage_takes_no_more_memory_than_some_times_its_size(
    name: str, data: st.DataObject
) -> None:
    changed = data.draw(damaged(name))
    tracemalloc.start()
    try:
        read_or_refuse(changed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(changed) + 2**20
