"""Images that are damaged, or made to do damage, or by others.

What becomes of our whole ones is for other people's readers: tests/readers.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping

import pytest

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model.tree import MAX_ENTRIES, MetadataTree

from .. import crafted
from ..crafted import DIRECTORY, FIRST, SECTOR, directory, record

FILES = {
    "openstack/latest/meta_data.json": b'{"uuid": 1}',
    "openstack/latest/user_data": b"x" * 5000,
    "z": b"y" * 3000,
}
#: The root directory's sector, and what a test puts behind it.
ROOT, A, B, C = range(FIRST, FIRST + 4)
CONTENT = b"content"


@pytest.fixture(scope="module")
def image() -> bytes:
    return iso9660.build(
        MetadataTree(FILES), label="config-2", timestamp=0
    ).data


def files(data: bytes) -> Mapping[str, bytes]:
    return iso9660.read(data).tree.files


def refused(data: bytes) -> str:
    """Return what an image is refused for."""
    assert iso9660.recognizes(data)
    with pytest.raises(ImageError) as caught:
        iso9660.read(data)
    told = str(caught.value)
    assert told.startswith("can't read the ISO9660 image: ")
    return told.removeprefix("can't read the ISO9660 image: ")


def of_root(*records: bytes, rock_ridge: bool = False) -> bytes:
    """Return an image with these records, and content in sector A."""
    use = crafted.ROCK_RIDGE if rock_ridge else b""
    return crafted.image(directory(ROOT, *records, system_use=use), CONTENT)


def patched(data: bytes, offset: int, raw: bytes) -> bytes:
    return data[:offset] + raw + data[offset + len(raw) :]


def test_an_image_by_others_is_not_ours() -> None:
    contents = iso9660.read(of_root(record(b"A.;1", A, len(CONTENT))))

    assert not contents.ours
    assert dict(contents.tree.files) == {"A": CONTENT}


def test_what_files_share_is_held_once() -> None:
    tree = MetadataTree({f"{n}": b"x" * 300_000 for n in range(50)})
    found = files(iso9660.build(tree, label="config-2", timestamp=0).data)

    assert len({id(content) for content in found.values()}) == 1


def test_a_truncated_image_is_refused_wherever_it_ends(image: bytes) -> None:
    accepted = []
    for length in range(0, len(image), SECTOR // 4):
        try:
            iso9660.read(image[:length])
        except ImageError:
            continue
        accepted.append(length / SECTOR)
    assert accepted == []


def test_what_follows_an_image_does_no_harm(image: bytes) -> None:
    # As on a device that is larger than its volume.
    assert files(image + b"\xff" * 5000) == FILES


def test_rock_ridge_is_preferred_to_joliet_and_to_plain_names() -> None:
    use = crafted.name(b"rock") + crafted.mode()
    data = crafted.image(
        directory(
            ROOT,
            record(b"PLAIN.;1", B, len(CONTENT), system_use=use),
            system_use=crafted.ROCK_RIDGE,
        ),
        directory(
            A, record("joliet".encode("utf-16-be"), B, len(CONTENT)), parent=A
        ),
        CONTENT,
        joliet=A,
    )
    assert files(data) == {"rock": CONTENT}
    without = data.replace(b"RRIP_1991A", b"SOMETHING.")
    assert files(without) == {"joliet": CONTENT}
    assert files(without.replace(b"%/E", b"\0\0\0")) == {"PLAIN": CONTENT}


@pytest.mark.parametrize(
    ("plain", "name"),
    [
        (b"A.;1", "A"),
        (b"A.B;1", "A.B"),
        (b"a.b.c;1", "a.b.c"),
        (b"meta_data.json", "meta_data.json"),
        (b"A", "A"),
    ],
)
def test_a_plain_name_is_without_its_version(plain: bytes, name: str) -> None:
    assert list(files(of_root(record(plain, A, 1)))) == [name]


def test_a_name_of_several_parts_is_put_together() -> None:
    use = (
        crafted.name(b"x" * 60, 1)
        + crafted.name(b"y" * 60, 1)
        + crafted.continued(B, 100, 100)
    )
    data = crafted.image(
        directory(
            ROOT,
            record(b"X", A, 1, system_use=use),
            system_use=crafted.ROCK_RIDGE,
        ),
        CONTENT,
        bytes(100) + crafted.name(b"z" * 60).ljust(100, b"\0"),
    )
    assert "its entry" in refused(data)
    whole = data.replace(
        crafted.both(100) + crafted.both(100),
        crafted.both(100) + crafted.both(65),
    )
    assert list(files(whole)) == ["x" * 60 + "y" * 60 + "z" * 60]


def test_entries_may_stand_behind_others() -> None:
    # SUSP, 5.3: as CD-ROM XA has 14 bytes there.
    use = bytes(14) + crafted.name(b"name")
    data = of_root(record(b"X", A, 1, system_use=use), rock_ridge=True)
    data = data.replace(b"\xbe\xef\0", b"\xbe\xef\x0e")

    assert list(files(data)) == ["name"]


def test_entries_end_where_they_say_so() -> None:
    use = crafted.name(b"name") + b"ST\4\1" + b"\xff" * 8
    data = of_root(record(b"X", A, 1, system_use=use), rock_ridge=True)

    assert list(files(data)) == ["name"]


def test_what_is_no_part_of_the_tree_is_not_read() -> None:
    data = of_root(record(b"X", A, len(CONTENT)))
    # Path tables' length and places (ECMA-119, 8.4.12 to 8.4.17).
    lying = patched(data, 16 * SECTOR + 132, b"\xff" * 24)

    assert files(lying) == {"X": CONTENT}


def test_a_file_may_be_empty_wherever_it_lies() -> None:
    assert files(of_root(record(b"X", 0xFFFFFFFF, 0))) == {"X": b""}


def test_a_tree_may_be_empty() -> None:
    assert files(of_root()) == {}


def in_descriptor(offset: int, raw: bytes) -> bytes:
    return patched(of_root(), 16 * SECTOR + offset, raw)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(
            in_descriptor(0, b"\3"),
            "it has no primary volume descriptor",
            id="no-primary",
        ),
        pytest.param(
            patched(of_root(), 18 * SECTOR, b"\3"),
            "sector 19 is not a volume descriptor",
            id="no-end",
        ),
        pytest.param(
            of_root()[: 18 * SECTOR + 100],
            "its volume descriptors don't end within its 36,964 bytes",
            id="ends-in-descriptors",
        ),
        pytest.param(
            in_descriptor(128, crafted.both(512, "H")),
            "its blocks have 512 bytes; only 2,048 bytes are supported",
            id="block-size",
        ),
        pytest.param(
            in_descriptor(80, crafted.both(0xFFFFFFFF)),
            "it is truncated to 43,008 of its 8,796,093,020,160 bytes",
            id="volume-of-8-TiB",
        ),
        pytest.param(
            in_descriptor(80, crafted.both(FIRST)),
            "the root directory: its 2,048 bytes from sector 19 end beyond"
            " the volume, which has 19 sectors",
            id="volume-too-small",
        ),
        pytest.param(
            in_descriptor(80, b"\1"),
            "a volume descriptor: byte 80 says 1 in one byte order and 21 in"
            " the other",
            id="volume-of-two-sizes",
        ),
        pytest.param(
            in_descriptor(156 + 10, crafted.both(0xFFFFF800)),
            "the root directory: its 4,294,965,248 bytes from sector 19 end"
            " beyond the volume, which has 21 sectors",
            id="root-of-4-GiB",
        ),
        pytest.param(
            in_descriptor(156 + 10, crafted.both(0)),
            "the root directory: its 0 bytes are not a directory",
            id="root-of-nothing",
        ),
        pytest.param(
            in_descriptor(156 + 10, crafted.both(2000)),
            "the root directory: its 2,000 bytes are not a directory",
            id="root-of-part-of-a-sector",
        ),
        pytest.param(
            in_descriptor(156 + 2, crafted.both(A)),
            "the root directory, sector 20, byte 0: ",
            id="root-is-content",
        ),
        pytest.param(
            in_descriptor(156 + 2, crafted.both(0)),
            "the root directory: its 2,048 bytes are not a directory",
            id="root-is-nothing",
        ),
    ],
)
def test_a_volume_that_lies_is_refused(data: bytes, told: str) -> None:
    assert refused(data).startswith(told)


def plain(*, name: bytes = b"X", size: int = 1, flags: int = 0) -> bytes:
    return record(name, A, size, flags)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        pytest.param(
            plain(size=0xFFFFFFFF),
            "'X', sector 19, byte 68: its 4,294,967,295 bytes from sector 20"
            " end beyond the volume, which has 21 sectors",
            id="4-GiB",
        ),
        pytest.param(
            record(b"X", 0xFFFFFFFF, 1),
            "'X', sector 19, byte 68: its 1 bytes from sector 4,294,967,295"
            " end beyond the volume, which has 21 sectors",
            id="beyond-the-volume",
        ),
        pytest.param(
            patched(plain(), 2, b"\xff"),
            "the root directory, sector 19, byte 68: byte 2 says 255 in one"
            " byte order and 20 in the other",
            id="two-places",
        ),
        pytest.param(
            patched(plain(), 13, b"\1"),
            "the root directory, sector 19, byte 68: byte 10 says 16,777,217"
            " in one byte order and 1 in the other",
            id="two-sizes",
        ),
        pytest.param(
            patched(plain(), 0, b"\0"),
            "the root directory, sector 19, byte 68: data follows the"
            " sector's last record",
            id="no-length",
        ),
        pytest.param(
            patched(plain(), 0, b"\1"),
            "the root directory, sector 19, byte 68: a record of 1 bytes"
            " can't have a name of 0",
            id="short",
        ),
        pytest.param(
            patched(plain(), 32, b"\xff"),
            "the root directory, sector 19, byte 68: a record of 34 bytes"
            " can't have a name of 255",
            id="long-name",
        ),
        pytest.param(
            patched(plain(), 32, b"\0"),
            "the root directory, sector 19, byte 68: a record of 34 bytes"
            " can't have a name of 0",
            id="no-name",
        ),
        pytest.param(
            record(b"X" * 100, A, 1) * 15,
            "the root directory, sector 19, byte 202: 'XXX",
            id="one-name-twice",
        ),
        pytest.param(
            b"".join(record(b"%099d" % n, A, 1) for n in range(14))
            + record(b"Y" * 140, A, 1),
            "the root directory, sector 19, byte 1916: the record exceeds",
            id="over-the-sector's-end",
        ),
        pytest.param(
            plain(flags=0x80),
            "the root directory, sector 19, byte 68: associated and"
            " multi-extent files are not supported",
            id="several-extents",
        ),
        pytest.param(
            plain(flags=4),
            "the root directory, sector 19, byte 68: associated and"
            " multi-extent files are not supported",
            id="associated",
        ),
        pytest.param(
            patched(plain(), 1, b"\1"),
            "the root directory, sector 19, byte 68: extended attributes",
            id="extended-attributes",
        ),
        pytest.param(
            patched(plain(), 26, b"\1\1"),
            "the root directory, sector 19, byte 68: extended attributes",
            id="interleaved",
        ),
        pytest.param(
            patched(plain(), 28, crafted.both(2, "H")),
            "the root directory, sector 19, byte 68: extended attributes",
            id="another-volume",
        ),
        pytest.param(
            plain(flags=DIRECTORY),
            "'X': its 1 bytes are not a directory",
            id="directory-of-part-of-a-sector",
        ),
        pytest.param(
            plain(flags=DIRECTORY, size=SECTOR),
            "'X', sector 20, byte 0: ",
            id="directory-is-content",
        ),
        pytest.param(
            record(b"X", ROOT, flags=DIRECTORY),
            "'X', sector 19, byte 68: the directory in sector 19 appears"
            " twice",
            id="directory-in-itself",
        ),
        pytest.param(
            plain(name=b"\0"),
            "the root directory, sector 19, byte 68: '\\x00' is not a valid"
            " name",
            id="itself-again",
        ),
    ],
)
def test_a_record_that_lies_is_refused(raw: bytes, told: str) -> None:
    assert refused(of_root(raw)).startswith(told)


@pytest.mark.parametrize("name", [".", "..", "a/b", "/", "a\0", "\xff"])
@pytest.mark.parametrize("flags", [0, DIRECTORY], ids=["file", "directory"])
def test_what_is_no_name_is_refused(name: str, flags: int) -> None:
    use = crafted.name(name.encode("latin-1"))
    data = of_root(
        record(b"X", A, flags=flags, system_use=use), rock_ridge=True
    )
    assert refused(data).startswith("the root directory, sector 19, byte 94: ")


@pytest.mark.parametrize(
    "raw",
    [b"\xd8\0", b"\0a\xdc\0", b"\0a\0", b"\0.", b"\0/", b"\0\0", b"\0;\0001"],
    ids=["surrogate", "low", "odd", "dot", "slash", "nul", "version-only"],
)
def test_what_is_no_name_of_joliet_is_refused(raw: bytes) -> None:
    data = crafted.image(
        directory(ROOT), directory(A, record(raw, B, 1)), CONTENT, joliet=A
    )
    assert refused(data).startswith("the root directory, sector 20, byte 68: ")


@pytest.mark.parametrize(
    ("use", "told"),
    [
        pytest.param(
            crafted.mode(stat.S_IFLNK | 0o777),
            "symbolic links are not supported",
            id="link-by-mode",
        ),
        pytest.param(
            crafted.mode(stat.S_IFBLK), "its mode, 60000, is not", id="device"
        ),
        pytest.param(
            crafted.mode(stat.S_IFDIR), "its mode, 40000, is not", id="folder"
        ),
        pytest.param(
            crafted.mode(0xFFFFFFFF), "its mode, 37777777777, is", id="all"
        ),
        pytest.param(
            b"SL\x05\1\0", "symbolic links are not supported", id="link"
        ),
        pytest.param(
            b"CL\x0c\1" + crafted.both(ROOT),
            "relocated directories are not supported",
            id="relocated",
        ),
        pytest.param(
            b"ZF\x10\1pz\4\x0f" + crafted.both(9),
            "compressed files are not supported",
            id="compressed",
        ),
        pytest.param(
            b"PX\x05\1\0", "its entry 'PX' can't have 5 bytes", id="short"
        ),
        pytest.param(
            b"NM\0\1\0", "its entry 'NM' can't have 0 bytes", id="empty"
        ),
        pytest.param(
            b"NM\xff\1\0", "its entry 'NM' can't have 255 bytes", id="long"
        ),
        pytest.param(
            crafted.name(b"a", 1), "its name is incomplete", id="half-a-name"
        ),
        pytest.param(
            crafted.name(b"a") * 2,
            "it has two names, or one that refers to no file",
            id="two-names",
        ),
        pytest.param(
            crafted.name(b"", 4),
            "it has two names, or one that refers to no file",
            id="parent",
        ),
        pytest.param(
            crafted.continued(ROOT, 2000, 49),
            "its entries continue for 49 bytes at byte 2,000 of sector 19,"
            " beyond the sector or the image",
            id="beyond-a-sector",
        ),
        pytest.param(
            crafted.continued(0xFFFFFFFF, 0, 28),
            "its entries continue for 28 bytes at byte 0 of sector"
            " 4,294,967,295, beyond the sector or the image",
            id="beyond-the-volume",
        ),
    ],
)
def test_rock_ridge_that_lies_is_refused(use: bytes, told: str) -> None:
    data = of_root(record(b"X", A, 1, system_use=use), rock_ridge=True)

    assert refused(data).startswith(
        f"the root directory, sector 19, byte 94: {told}"
    )


def continued_in(area: bytes, *records: bytes) -> bytes:
    """Return an image with an area for entries to go on in, in sector A."""
    root = directory(ROOT, *records, system_use=crafted.ROCK_RIDGE)
    return crafted.image(root, area)


def test_entries_that_go_on_in_themselves_are_refused() -> None:
    more = crafted.continued(A, 0, 28)
    data = continued_in(more, record(b"X", A, 1, system_use=more))

    assert refused(data).endswith("its entries continue in more than 32 areas")


def test_a_name_without_end_is_refused() -> None:
    part = crafted.name(b"x" * 200, 1) + crafted.continued(A, 0, 233)
    data = continued_in(part, record(b"X", A, 1, system_use=part[205:]))

    assert refused(data).endswith("its name is longer than 255 bytes")


def test_areas_that_files_share_without_end_are_refused() -> None:
    # 1,600 records with 2 KiB of entries each, in an image of 100 KiB.
    area = (b"XX\x80\1".ljust(128, b"x")) * 16
    use = crafted.continued(A, 0, SECTOR)
    names = [
        record(b"%02d%02d" % (block, n), A, 0, system_use=use)
        for block in range(40)
        for n in range(20)
    ]
    blocks = [
        directory(C + n, *names[n * 20 :][:20], parent=ROOT) for n in range(40)
    ]
    root = directory(
        ROOT,
        *(record(b"%02d" % n, C + n, flags=DIRECTORY) for n in range(40)),
        system_use=crafted.ROCK_RIDGE,
    )
    data = crafted.image(root, area, bytes(SECTOR), *blocks)

    assert refused(data).endswith(
        ": directories overlap: together they exceed the image's size"
    )


@pytest.mark.parametrize(
    ("first", "told"),
    [
        pytest.param(
            directory(C),
            "the '.' record points to sector 22, not 20",
            id="another",
        ),
        pytest.param(
            record(b"X", A, flags=DIRECTORY),
            "the '.' or '..' record is missing",
            id="named",
        ),
        pytest.param(
            record(b"\0", A), "the '.' or '..' record is missing", id="file"
        ),
    ],
)
def test_a_directory_that_does_not_begin_as_one_is_refused(
    first: bytes, told: str
) -> None:
    root = directory(ROOT, record(b"D", A, flags=DIRECTORY))
    data = crafted.image(root, first)

    assert refused(data) == f"'D', sector 20, byte 0: {told}"


def test_a_directory_in_another_and_in_itself_is_refused() -> None:
    data = crafted.image(
        directory(ROOT, record(b"A", A, flags=DIRECTORY)),
        directory(A, record(b"B", B, flags=DIRECTORY)),
        directory(B, record(b"A", A, flags=DIRECTORY), parent=A),
    )
    assert refused(data) == (
        "'A/B/A', sector 21, byte 68: the directory in sector 20 appears twice"
    )


def test_a_directory_in_itself_in_joliet_is_refused() -> None:
    data = crafted.image(
        directory(ROOT),
        directory(A, record(b"\0A", A, flags=DIRECTORY), parent=A),
        joliet=A,
    )
    assert refused(data) == (
        "'A', sector 20, byte 68: the directory in sector 20 appears twice"
    )


def test_directories_that_overlap_are_refused() -> None:
    # Y is all of X but its first sector: as Rock Ridge gives names to its
    # records of itself and its parent, they may stand in X, too.
    size = 100 * SECTOR
    end = A + 100
    root = directory(
        ROOT,
        record(b"X", A, size, DIRECTORY),
        system_use=crafted.ROCK_RIDGE,
    )
    y = record(
        b"\0", B, size - SECTOR, DIRECTORY, crafted.name(b"Y")
    ) + record(b"\1", end, SECTOR, DIRECTORY, crafted.name(b"Z"))
    data = crafted.image(
        root, directory(A), y.ljust(size - SECTOR, b"\0"), directory(end)
    )
    assert refused(data) == (
        "'X/Y': directories overlap: together they exceed the image's size"
    )


@pytest.mark.parametrize("depth", [7, 8, 200])
def test_directories_are_read_as_deep_as_they_are_built(depth: int) -> None:
    sectors = [
        directory(ROOT + n, record(b"D", ROOT + n + 1, flags=DIRECTORY))
        for n in range(depth)
    ]
    last = directory(ROOT + depth, record(b"F", 0, 0))
    data = crafted.image(*sectors, last)
    if depth == 7:
        assert list(files(data)) == ["D/" * 7 + "F"]
    else:
        path = "/".join("D" * 8)
        assert refused(data) == (
            f"{path!r}: it is nested deeper than the 7 directories that"
            " ISO9660 allows"
        )


def test_a_tree_of_many_times_its_image_is_refused() -> None:
    content = bytes(500 * SECTOR)
    names = [record(b"%02d" % n, A, len(content)) for n in range(50)]
    blocks = [directory(A + 500 + n, *names, parent=ROOT) for n in range(4)]
    root = directory(
        ROOT,
        *(record(b"D%d" % n, A + 500 + n, flags=DIRECTORY) for n in range(4)),
    )
    data = crafted.image(root, content, *blocks)

    assert refused(data).endswith(": files share more than 67,108,864 bytes")


def test_files_that_overlap_are_refused() -> None:
    content = bytes(500 * SECTOR)
    names = [record(b"%02d" % n, A, len(content) - n) for n in range(3)]
    data = crafted.image(directory(ROOT, *names), content)

    assert re.fullmatch(
        r"'01', sector 19, byte \d+: files overlap: together they exceed the"
        " image's size",
        refused(data),
    )


def test_a_tree_of_long_paths_is_refused() -> None:
    # 750 records below 1,407 bytes of path: 1 MiB.
    assert refused(crowded(750, b"x" * 200)).endswith(
        ": the paths have more than 1,048,576 bytes in all; a drive can't"
        " have so many, use shorter ones"
    )
    assert len(files(crowded(700, b"x" * 200))) == 700


def test_more_files_than_a_drive_has_are_refused() -> None:
    # With the seven directories.
    assert len(files(crowded(MAX_ENTRIES - 7))) == MAX_ENTRIES - 7
    assert refused(crowded(MAX_ENTRIES - 6)).endswith(
        ": more than 2,048 files and directories; a drive can't have so"
        " many, use fewer"
    )


def crowded(count: int, name: bytes = b"x") -> bytes:
    """Return an image with so many empty files in the deepest directory.

    :param name: of each directory
    """
    use = crafted.name(name)
    last = ROOT + 7
    records = [record(b"%04d" % n, 0, 0) for n in range(count)]
    deepest = directory(last, *records[:50]) + b"".join(
        b"".join(records[n : n + 53]).ljust(SECTOR, b"\0")
        for n in range(50, len(records), 53)
    )
    sizes = [SECTOR] * 6 + [len(deepest)]
    above = [
        directory(
            ROOT + n,
            record(b"D", ROOT + n + 1, size, DIRECTORY, use),
            system_use=b"" if n else crafted.ROCK_RIDGE,
        )
        for n, size in enumerate(sizes)
    ]
    return crafted.image(*above, deepest)


def test_directories_of_many_sectors_are_refused() -> None:
    # A record in each sector costs little, and so do sectors without any.
    size = 5000 * SECTOR
    root = directory(ROOT, record(b"D", A, size, DIRECTORY))
    data = crafted.image(root, directory(A).ljust(size, b"\0"))

    assert refused(data).startswith(
        "'D': the directories have more than 4,718,592 bytes"
    )


def test_many_continuation_areas_are_refused() -> None:
    # 2 KiB of the least entries in each area, and an area for each file.
    area = b"XX\4\1" * (SECTOR // 4)
    records = [
        record(b"%03d" % n, A, 0, 0, crafted.continued(C + n, 0, SECTOR))
        for n in range(300)
    ]
    root = directory(
        ROOT,
        record(b"D", C + 300, 20 * SECTOR, DIRECTORY),
        system_use=crafted.ROCK_RIDGE,
    )
    blocks = directory(C + 300, *records[:20]) + b"".join(
        b"".join(records[n : n + 20]).ljust(SECTOR, b"\0")
        for n in range(20, 300, 20)
    )
    data = crafted.image(
        root,
        bytes(2 * SECTOR),
        *[area] * 300,
        blocks.ljust(20 * SECTOR, b"\0"),
    )
    assert refused(data).endswith(
        ": the continuation areas have more than 262,144 bytes"
    )


@pytest.mark.parametrize(
    ("name", "hostile"),
    [
        (b"user_data", b"../../../"),
        (b"user_data", b"/etc/pass"),
        (b"openstack", b"../../../"),
        (b"openstack", b"..\0\0\0\0\0\0\0"),
        (b"user_data", b"..\0\0\0\0\0\0\0"),
        (b"meta_data.json", b"../../x/y.json"),
        (b"user_data", b"\xff\xfe\xfd_data"),
    ],
)
def test_names_that_lead_out_of_the_tree_are_refused(
    image: bytes, name: bytes, hostile: bytes
) -> None:
    assert name in image
    with pytest.raises(ImageError):
        iso9660.read(image.replace(name, hostile))
