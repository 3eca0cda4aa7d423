"""Images that are damaged, or made to do damage, or by others.

What becomes of whole ones is for other people's readers: tests/readers.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from cfgdrive_virt import image as images
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import vfat
from cfgdrive_virt.model.tree import MAX_ENTRIES

from .disk import FILES, SECTOR, Disk, built, without


def test_an_image_of_ours_is_known_as_ours() -> None:
    data = built()
    found = images.read(data)

    assert (found.format, found.label, found.ours) == (
        "vfat",
        "config-2",
        True,
    )
    assert not images.read(data.replace(b"CFGDRIVE", b"CFGDRIVF")).ours


def test_content_that_imitates_iso9660_makes_no_iso9660_of_it() -> None:
    # Wherever it lies, an image's sector of 2 KiB has it at its beginning.
    content = b"\x01CD001\x01".ljust(SECTOR, b"\0") * 200
    data = built({"a": content})

    assert data[16 * 2048 :].startswith(b"\x01CD001")
    assert dict(images.read(data).tree.files) == {"a": content}


# What is no FAT12 or FAT16.


def test_fat32_is_told_apart(disk: Disk) -> None:
    disk.set(22, 0)
    disk.set(17, 0)

    assert vfat.recognizes(bytes(disk.data))
    assert disk.refused() == (
        "not a supported VFAT image: it looks like FAT32; only FAT12 and"
        " FAT16 are supported"
    )


@pytest.mark.parametrize(
    ("offset", "size", "value", "told"),
    [
        pytest.param(13, 1, 0, "clusters can't have 0 bytes", id="no-cluster"),
        pytest.param(13, 1, 3, "t have 1,536 bytes", id="odd-cluster"),
        pytest.param(11, 2, 4096, "truncated", id="sectors-too-large"),
        pytest.param(14, 2, 0, "0 reserved sectors", id="no-boot-sector"),
        pytest.param(14, 2, 9999, "no room for", id="all-reserved"),
        pytest.param(16, 1, 3, "3 FATs", id="three-fats"),
        pytest.param(17, 2, 0, "0 entries in its root", id="no-root"),
        pytest.param(17, 2, 65_535, "no room for", id="root-too-large"),
        pytest.param(19, 2, 0, "no room for", id="no-sectors"),
        pytest.param(19, 2, 10, "no room for", id="too-few-sectors"),
        pytest.param(19, 2, 65_535, "truncated", id="too-many-sectors"),
        pytest.param(22, 2, 65_535, "no room for", id="fat-too-large"),
    ],
)
def test_geometry_that_lies_is_refused(
    offset: int, size: int, value: int, told: str, disk: Disk
) -> None:
    disk.set(offset, value, size)

    assert told in disk.refused()


def test_a_cluster_larger_than_64_kib_is_refused(disk: Disk) -> None:
    disk.set(11, 1024)
    disk.set(13, 128, 1)

    assert "clusters can't have 131,072 bytes" in disk.refused()


def test_a_fat_too_small_for_its_clusters_is_refused() -> None:
    disk = Disk(built({"a": b"x" * 400 * SECTOR}))
    disk.set(22, 1)

    assert "is too small for" in disk.refused()


def test_clusters_beyond_fat16_are_refused(disk: Disk) -> None:
    disk.set(19, 0)
    disk.set(32, 70_000, 4)
    disk.data += bytes(70_000 * SECTOR)

    assert "too many for FAT16" in disk.refused()


# Damaged chains: 'z' has three clusters, user_data as well.


def test_fats_that_differ_are_refused(disk: Disk) -> None:
    cluster = disk.cluster(b"Z")
    disk.link(cluster, 0xFFF, copies=1)

    assert disk.refused() == (
        f"damaged VFAT image: its FATs differ at cluster {cluster}"
    )


def test_flags_in_the_first_entries_of_a_fat_may_differ(disk: Disk) -> None:
    # A volume that wasn't unmounted: fatgen103, "FAT Data Structure".
    disk.link(1, 0x7FF, copies=1)
    disk.data[37] = 1

    assert disk.read() == FILES


@pytest.mark.parametrize("size", [SECTOR, 9 * SECTOR])
def test_what_a_fat_says_of_no_cluster_does_no_harm(size: int) -> None:
    files = {"a": b"x" * size}
    disk = Disk(built(files))
    disk.link(disk.clusters() + 2, 0x123, copies=1)

    assert disk.read() == files


def test_one_fat_is_enough(disk: Disk) -> None:
    root = disk.root
    disk.data[16] = 1
    disk.data[root - disk.fat : root] = b""
    disk.set(19, disk.number(19) - disk.number(22))

    assert disk.read() == FILES


@pytest.mark.parametrize(
    ("link", "told"),
    [
        pytest.param(0, "has cluster 0 after", id="free"),
        pytest.param(1, "has cluster 1 after", id="reserved"),
        pytest.param(0xFF7, "has cluster 4087 after", id="bad"),
        pytest.param(900, "has cluster 900 after", id="behind-the-volume"),
        pytest.param(
            0xFFF,
            "'z' has clusters of 512 bytes, but a size of 1,100",
            id="early",
        ),
    ],
)
def test_a_chain_that_breaks_is_refused(
    link: int, told: str, disk: Disk
) -> None:
    disk.link(disk.cluster(b"Z"), link)
    found = disk.refused()

    assert found.startswith("damaged VFAT image: 'z' has cluster")
    assert told in found


def test_a_chain_in_a_circle_is_refused(disk: Disk) -> None:
    first = disk.cluster(b"Z")
    disk.link(first + 1, first)

    assert disk.refused() == (
        f"damaged VFAT image: 'z' has cluster {first} twice"
    )


def test_files_that_share_clusters_are_refused(disk: Disk) -> None:
    other = disk.cluster(b"USER_D~1")
    disk.link(disk.cluster(b"Z") + 1, other + 2)

    assert disk.refused() == (
        "damaged VFAT image: 'openstack/latest/user_data' has cluster"
        f" {other + 2}, which belongs to 'z'"
    )


@pytest.mark.parametrize("size", [0, 1, 1024, 1537, 0xFFFF_FFFF])
def test_a_size_that_lies_is_refused(size: int, disk: Disk) -> None:
    disk.set(disk.entry(b"Z") + 28, size, 4)

    assert disk.refused() == (
        "damaged VFAT image: 'z' has clusters of 1,536 bytes, but a size of"
        f" {size:,} bytes"
    )


@pytest.mark.parametrize("cluster", [1, 500, 0xFF8, 0xFFF, 0xFFFF])
def test_a_first_cluster_outside_of_the_volume_is_refused(
    cluster: int, disk: Disk
) -> None:
    disk.set(disk.entry(b"Z") + 26, cluster)

    assert f"'z' has cluster {cluster}, outside the range" in disk.refused()


def test_bytes_without_a_cluster_are_refused(disk: Disk) -> None:
    disk.set(disk.entry(b"Z") + 26, 0)

    assert "'z' has clusters of 0 bytes, but a size of 1,100" in disk.refused()


# Damaged directories.


@pytest.mark.parametrize(
    ("ancestor", "path"),
    [(b"OPENST~1", "openstack"), (b"LATEST", "openstack/latest")],
)
def test_a_directory_that_holds_its_ancestor_is_refused(
    ancestor: bytes, path: str, disk: Disk
) -> None:
    cluster = disk.cluster(ancestor)
    entry = disk.entry(b"USER_D~1")
    disk.data[entry + 11] = 0x10
    disk.set(entry + 26, cluster)
    disk.set(entry + 28, 0, 4)

    assert disk.refused() == (
        "damaged VFAT image: 'openstack/latest/user_data' has cluster"
        f" {cluster}, which belongs to {path!r}"
    )


def test_a_directory_without_a_cluster_is_refused(disk: Disk) -> None:
    # To some it would be the root directory again.
    disk.set(disk.entry(b"LATEST") + 26, 0)

    assert disk.refused() == (
        "damaged VFAT image: the directory 'openstack/latest' has no cluster"
    )


def test_a_directory_with_a_size_is_refused(disk: Disk) -> None:
    disk.set(disk.entry(b"LATEST") + 28, 512, 4)

    assert "'openstack/latest' has a size of 512 bytes" in disk.refused()


@pytest.mark.parametrize("name", [".", ".."])
def test_dots_that_lead_elsewhere_are_refused(name: str, disk: Disk) -> None:
    latest = disk.cluster(b"LATEST")
    at = disk.offset(latest) + 32 * (len(name) - 1)
    disk.set(at + 26, disk.cluster(b"CONTENT"))

    told = disk.refused()
    assert f"{name!r} in 'openstack/latest' has cluster" in told


def test_a_directory_beyond_its_limit_is_refused() -> None:
    disk = Disk(built({"d/a": b"", "z": b"x" * (2 << 20)}))
    first = disk.cluster(b"Z")
    disk.set(disk.entry(b"D") + 26, first)
    disk.data[disk.entry(b"Z")] = 0xE5
    last = first + (2 << 20) // SECTOR
    for copy in (0, 1):
        at = SECTOR + copy * disk.fat
        disk.set(at + 2 * (last - 1), last)
        disk.set(at + 2 * last, 0xFFFF)

    assert "'d' has 2,097,664 bytes, more than 2,097,152" in disk.refused()


@pytest.mark.parametrize(
    "name",
    [
        "user/data", "/etc/passwd", "../../etc", "..", ".", "a\udc00b",
        "a\ud83d", "\ude00\ud83d", "a\nb", "a\\b", "C:a", "a*", "a\x1b[31m",
    ],
)  # fmt: skip
def test_a_long_name_that_no_file_can_have_is_refused(
    name: str, disk: Disk
) -> None:
    disk.rename(b"USER_D~1", name)

    path = f"openstack/latest/{name}"
    assert disk.refused() == (
        f"damaged VFAT image: {path!a} has an invalid name"
    )


def test_a_long_name_ends_where_a_nul_is(disk: Disk) -> None:
    disk.rename(b"USER_D~1", "user\0/../../etc")

    assert disk.read()["openstack/latest/user"] == b"x" * 1500


@pytest.mark.parametrize(
    "short", [b"..", b".", b"A/B", b"A\0B", b"A:B", b"A\\B", b"\x1fB", b" "]
)
def test_a_short_name_that_no_file_can_have_is_refused(
    short: bytes,
) -> None:
    disk = Disk(built({"Z": b"1"}))
    at = disk.entry(b"Z")
    disk.data[at : at + 11] = short.ljust(11)

    assert "has an invalid name" in disk.refused()


def test_a_name_that_is_there_twice_is_refused() -> None:
    disk = Disk(built({"Y": b"1", "Z": b"2"}))
    disk.data[disk.entry(b"Z")] = ord("Y")

    assert disk.refused() == "damaged VFAT image: 'Y' appears twice"


def test_a_path_longer_than_readers_take_is_refused() -> None:
    disk = Disk(built({"d/" * 127 + "ab": b""}))
    disk.rename(b"AB", "abc")

    assert "longer than 256 UTF-16 units" in disk.refused()


# What others leave behind, and is no damage.


def test_deleted_files_are_passed_over(disk: Disk) -> None:
    entry = disk.entry(b"USER_D~1")
    disk.data[entry] = disk.data[entry - 32] = 0xE5

    assert disk.read() == without("openstack/latest/user_data")


def test_what_follows_the_end_of_a_directory_is_passed_over(
    disk: Disk,
) -> None:
    disk.data[disk.entry(b"Z") - 32] = 0

    assert disk.read() == without("z")


def test_a_long_name_counts_behind_others_that_lost_their_files(
    disk: Disk,
) -> None:
    short = disk.entry(b"EMPTY")
    disk.data[short : short + 32] = disk.data[short - 32 : short]

    assert disk.read() == without("empty")


def test_a_long_name_does_not_count_beyond_a_deleted_file(
    disk: Disk,
) -> None:
    short = disk.entry(b"EMPTY")
    # In place of the long name of the next.
    assert disk.data[short + 43] == 0x0F
    disk.data[short + 32 : short + 64] = disk.data[short : short + 32]
    disk.data[short] = 0xE5

    found = disk.read()
    assert "EMPTY" in found
    assert "empty" not in found


def orphan(disk: Disk) -> None:
    """Delete a short name only."""
    disk.data[disk.entry(b"EMPTY")] = 0xE5


def unordered(disk: Disk) -> None:
    disk.data[disk.entry(b"EMPTY") - 32] = 0x42


def unfinished(disk: Disk) -> None:
    disk.data[disk.entry(b"EMPTY") - 32] = 1


def wrong_checksum(disk: Disk) -> None:
    disk.data[disk.entry(b"EMPTY") - 32 + 13] ^= 1


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (orphan, None),
        (unordered, "EMPTY"),
        (unfinished, "EMPTY"),
        (wrong_checksum, "EMPTY"),
    ],
)
def test_a_long_name_that_is_not_a_file_s_is_passed_over(
    damage: Callable[[Disk], None], name: str | None, disk: Disk
) -> None:
    damage(disk)
    expected: dict[str, bytes] = without("empty")
    if name:
        expected[name] = b""

    assert disk.read() == expected


@pytest.mark.parametrize(
    ("short", "case", "name"),
    [
        (b"AB      TXT", 0x00, "AB.TXT"),
        (b"AB      TXT", 0x08, "ab.TXT"),
        (b"AB      TXT", 0x10, "AB.txt"),
        (b"AB      TXT", 0x18, "ab.txt"),
        (b"\x05B         ", 0x00, "σB"),
        (b"\x82B         ", 0x00, "éB"),
        (b"\x90B         ", 0x08, "éb"),
        (b"A B        ", 0x00, "A B"),
    ],
)
def test_a_short_name_is_read_as_linux_does(
    short: bytes, case: int, name: str
) -> None:
    disk = Disk(built({"Z": b"1"}))
    at = disk.entry(b"Z")
    disk.data[at : at + 11] = short
    disk.data[at + 12] = case

    assert disk.read() == {name: b"1"}


def test_a_label_may_be_anywhere_in_the_root(disk: Disk) -> None:
    entry = disk.entry(b"EMPTY")
    disk.data[disk.root] = disk.data[entry - 32] = 0xE5
    disk.data[entry : entry + 12] = b"\x05THER      \x08"

    found = vfat.read(bytes(disk.data))
    assert found.label == "σTHER"
    assert dict(found.tree.files) == without("empty")


@pytest.mark.parametrize(
    ("label", "extended", "found"),
    [
        (b"Boot Label ", 0x29, "Boot Label"),
        (b"NO NAME    ", 0x29, ""),
        (b"Boot Label ", 0x28, ""),
    ],
)
def test_the_boot_sector_s_label_is_the_second_choice(
    label: bytes, extended: int, found: str, disk: Disk
) -> None:
    disk.data[disk.root] = 0xE5
    disk.data[43:54] = label
    disk.data[38] = extended

    assert vfat.read(bytes(disk.data)).label == found


# Anything.


def test_any_damage_is_an_error_of_ours_or_none() -> None:
    chance = random.Random(0)
    whole = built()
    used = [offset for offset, byte in enumerate(whole) if byte]
    values = (0, 1, 2, 5, 0x0F, 0x10, 0x40, 46, 47, 0xE5, 0xF8, 255)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8, 40))):
            offset = chance.choice(used) + chance.randrange(3)
            data[offset % len(data)] = chance.choice(values)
        try:
            found = images.read(bytes(data))
        except ImageError:
            continue
        files = found.tree.files
        assert sum(map(len, files.values())) <= len(data)


def test_more_files_than_a_drive_has_are_refused() -> None:
    paths = [f"d/F{number}" for number in range(MAX_ENTRIES - 1)]
    disk = Disk(built(dict.fromkeys(paths, b"")))
    assert len(disk.read()) == MAX_ENTRIES - 1

    # One more, where the directory has ended.
    at = disk.entry(b"F1")
    end = disk.data.index(bytes(32), at)
    end += -(end - at) % 32
    disk.data[end : end + 11] = b"G          "
    assert disk.refused().startswith("more than 2,048 files and directories")


def test_directories_full_of_deleted_entries_are_refused() -> None:
    # The root has the label and two of the largest directories.
    assert deleted(65_536, 65_533).read() == {}
    assert deleted(65_536, 65_534).refused() == (
        "damaged VFAT image: its directories have more than 131,072 entries"
    )


def deleted(*counts: int) -> Disk:
    """Return a disk whose two directories have so many deleted entries."""
    size = 65_536 * 32
    disk = Disk(built({"A": bytes(size), "B": bytes(size)}))
    for name, used in zip((b"A", b"B"), counts, strict=True):
        first = disk.cluster(name)
        start = disk.offset(first)
        entries = b"\xe5".ljust(32, b"x") * used
        disk.data[start : start + len(entries)] = entries
        disk.data[disk.entry(name) + 11] = 0x10
        disk.set(disk.entry(name) + 28, 0, 4)
    return disk


def test_of_a_directory_only_the_used_entries_are_parsed() -> None:
    size = 65_536 * 32
    disk = Disk(built({f"D{n}": bytes(size) for n in range(4)}))
    for number in range(4):
        at = disk.entry(b"D%d" % number)
        disk.data[at + 11] = 0x10
        disk.set(at + 28, 0, 4)
    assert disk.read() == {}


@pytest.mark.parametrize("order", [1, -1], ids=["in-pieces", "reversed"])
def test_a_file_is_put_together_in_the_order_of_its_clusters(
    order: int,
) -> None:
    content = b"".join(b"%0512d" % n for n in range(8))
    disk = Disk(built({"F": content + b"end"}))
    first = disk.cluster(b"F")
    # All but the last, in the other order, or in pairs.
    clusters = list(range(first, first + 8))[::order]
    if order == 1:
        clusters = [clusters[n ^ 2] for n in range(8)]
    for place, cluster in enumerate(clusters):
        at = disk.offset(cluster)
        disk.data[at : at + 512] = content[place * 512 :][:512]
        following = (*clusters, first + 8)[place + 1]
        disk.link(cluster, following)
    disk.set(disk.entry(b"F") + 26, clusters[0])

    assert disk.read() == {"F": content + b"end"}


def test_a_bomb_is_refused_by_its_first_shared_cluster() -> None:
    # Every entry of a directory is that directory, or one huge file.
    disk = Disk(built({f"d/F{n}": b"" for n in range(2000)}))
    first = disk.cluster(b"D")
    for number in range(2000):
        at = disk.entry(b"F%d" % number)
        struct.pack_into("<H", disk.data, at + 26, first)
        disk.data[at + 11] = 0x10

    assert f"has cluster {first}, which belongs to 'd'" in disk.refused()
