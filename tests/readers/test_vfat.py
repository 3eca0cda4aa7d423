"""Somebody else's readers give back the tree that went into a VFAT image.

A guest's kernel reads it in tests/guest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cfgdrive_virt.image import vfat
from cfgdrive_virt.model.tree import MetadataTree

from . import instances, readers

SERIAL = 0x8367_9162
SECTOR = 512
NOVA_SIZE = 64 << 20


def ours(image: Path) -> dict[str, bytes]:
    return dict(vfat.read(image.read_bytes()).tree.files)


READERS = {"mtools": readers.mtools, "7z": readers.seven_zip, "ours": ours}

#: Builds the same drives in a process of its own.
_BUILD_AGAIN = """
import sys
sys.path.insert(0, sys.argv[1])
import instances
from cfgdrive_virt.image import vfat
for name in instances.REQUESTS:
    built = vfat.build(
        instances.tree(name),
        label="config-2",
        timestamp=instances.TIMESTAMP,
        serial=0x83679162,
    )
    sys.stdout.buffer.write(built.data)
"""


def built(files: Mapping[str, bytes], timestamp: int) -> bytes:
    tree = MetadataTree(files)
    return vfat.build(
        tree, label="config-2", timestamp=timestamp, serial=SERIAL
    ).data


def instance(name: str) -> bytes:
    return built(instances.tree(name).files, instances.TIMESTAMP)


@pytest.fixture(scope="module", params=list(instances.REQUESTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def image(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(name) / "disk.config"
    path.write_bytes(instance(name))
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(
        files: Mapping[str, bytes], timestamp: int = instances.TIMESTAMP
    ) -> Path:
        path = tmp_path / "disk.config"
        path.write_bytes(built(files, timestamp))
        return path

    return write


@pytest.mark.parametrize("reader", list(READERS))
def test_a_reader_finds_the_tree_byte_for_byte(
    reader: str, name: str, image: Path
) -> None:
    assert READERS[reader](image) == dict(instances.tree(name).files)


def test_fsck_has_nothing_to_say(image: Path) -> None:
    assert readers.fsck_fat(image) == []


def test_blkid_finds_the_label_the_type_and_the_serial_number(
    image: Path,
) -> None:
    found = readers.blkid(image)

    assert found["LABEL"] == "config-2"
    assert found["LABEL_FATBOOT"] == "config-2"
    assert found["TYPE"] == "vfat"
    assert found["SEC_TYPE"] == "msdos"
    assert found["UUID"] == "8367-9162"
    assert found["USAGE"] == "filesystem"


def test_the_label_is_lower_case_in_both_places(image: Path) -> None:
    data = image.read_bytes()
    reserved, fats, fat = data[14], data[16], data[22]
    root = (reserved + fats * fat) * SECTOR

    assert data[43:54] == b"config-2   "
    assert data[root : root + 12] == b"config-2   \x08"
    assert readers.mlabel(image) == b"config-2   "


def test_mtools_finds_a_usual_boot_sector(image: Path) -> None:
    found = readers.minfo(image)

    assert found["banner"] == "MSWIN4.1"
    assert found["sector size"] == "512 bytes"
    assert found["reserved (boot) sectors"] == "1"
    assert found["fats"] == "2"
    assert found["max available root directory slots"] == "512"
    assert found["media descriptor byte"] == "0xf8"
    assert found["hidden sectors"] == "0"
    assert found["serial number"] == "83679162"
    assert found["disk label"] == "config-2   "
    assert found["disk type"] in ("FAT12   ", "FAT16   ")


def test_an_image_looks_like_no_partition_table(image: Path) -> None:
    # A master boot record has four entries of 16 bytes there.
    assert not any(image.read_bytes()[446:510])
    assert "PTTYPE" not in readers.blkid(image)


def test_every_date_is_the_one_given(image: Path) -> None:
    assert readers.mtools_dates(image) == {instances.TIMESTAMP}
    assert readers.seven_zip_dates(image) == {
        "Modified": {"2023-11-14 22:13:20"},
        "Created": {"2023-11-14 22:13:20.00"},
        "Accessed": {"2023-11-14 00:00:00"},
    }


@pytest.mark.parametrize(
    ("timestamp", "date", "moment"),
    [
        pytest.param(-1, "1980-01-01", "00:00:00", id="negative"),
        pytest.param(0, "1980-01-01", "00:00:00", id="epoch"),
        pytest.param(315_532_799, "1980-01-01", "00:00:00", id="too-early"),
        pytest.param(315_532_802, "1980-01-01", "00:00:02", id="first"),
        pytest.param(951_782_401, "2000-02-29", "00:00:00", id="odd-second"),
        pytest.param(2**31, "2038-01-19", "03:14:08", id="after-2038"),
        pytest.param(4_354_819_199, "2107-12-31", "23:59:58", id="last"),
        pytest.param(2**40, "2107-12-31", "23:59:58", id="too-late"),
    ],
)
def test_dates_are_the_nearest_that_fat_can_say(
    timestamp: int, date: str, moment: str, write: Callable[..., Path]
) -> None:
    assert readers.seven_zip_dates(write({"a/b": b"c"}, timestamp)) == {
        "Modified": {f"{date} {moment}"},
        "Created": {f"{date} {moment}.00"},
        "Accessed": {f"{date} 00:00:00"},
    }


def test_a_drive_is_the_same_twice_in_a_process(
    name: str, image: Path
) -> None:
    assert instance(name) == image.read_bytes()


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"TZ": "XST-14"}, id="time-zone-east"),
        pytest.param({"TZ": "XST12:34"}, id="time-zone-west"),
        pytest.param(
            {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
            id="ascii-locale",
        ),
        pytest.param({"PYTHONHASHSEED": "0"}, id="hash-seed-0"),
        pytest.param({"PYTHONHASHSEED": "4242"}, id="hash-seed-4242"),
        pytest.param({"PYTHONOPTIMIZE": "2"}, id="optimized"),
    ],
)
def test_a_drive_is_the_same_in_another_process_at_a_later_time(
    environment: dict[str, str],
) -> None:
    first = b"".join(map(instance, instances.REQUESTS))
    # Dates are in steps of two seconds.
    time.sleep(2 - time.time() % 2)
    again = subprocess.run(
        [
            sys.executable,
            "-c",
            _BUILD_AGAIN,
            str(Path(instances.__file__).parent),
        ],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )

    assert again.stdout == first


def test_the_serial_number_is_the_only_difference_it_makes() -> None:
    tree = instances.tree("sample")
    one, other = (
        vfat.build(tree, label="config-2", timestamp=0, serial=serial).data
        for serial in (0, 0xFFFF_FFFF)
    )

    assert one[39:43] == bytes(4)
    assert other[39:43] == b"\xff" * 4
    assert one[:39] + one[43:] == other[:39] + other[43:]


def long_entries(name: str) -> int:
    """Return how many entries a name takes at least, by the standard."""
    return -(-len(name.encode("utf-16-le")) // 26) + 1


def needed(
    files: Mapping[str, bytes], cluster: int = SECTOR, least: int = 1
) -> int:
    """Return the bytes that files take at most on the smallest FAT.

    As many clusters as files and directories have, if every name is long; 16
    bits for each in two FATs; the boot sector, 512 entries in the root, and
    at most 4095 bytes to fill up.

    :param least: clusters that there have to be
    """
    directories: dict[str, set[str]] = {"": set()}
    for path in files:
        rest = path
        while rest:
            above, _, name = rest.rpartition("/")
            directories.setdefault(above, set()).add(name)
            rest = above
    del directories[""]
    sizes = [len(content) for content in files.values()]
    for names in directories.values():
        sizes.append(32 * (2 + sum(map(long_entries, names))))
    clusters = max(least, sum(-(-size // cluster) for size in sizes))
    # What fills up may be seven more.
    fat = -(-2 * (clusters + 2 + 7) // SECTOR)
    return (1 + 2 * fat + 32) * SECTOR + clusters * cluster + 4095


def test_an_image_is_no_larger_than_its_data_needs(
    name: str, image: Path
) -> None:
    size = image.stat().st_size

    assert size % 4096 == 0
    assert size <= needed(instances.tree(name).files)


def test_an_image_of_nothing_has_20_kib(write: Callable[..., Path]) -> None:
    # Boot sector, two FATs, the root and a cluster: 36 sectors.
    assert write({}).stat().st_size == 20_480


@pytest.mark.parametrize("reader", list(READERS))
@pytest.mark.parametrize(
    "files",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"a": b"", "b": b"", "c/d": b""}, id="only-empty-files"),
        pytest.param({"a": b"", "b": b"x", "c": b""}, id="empty-and-not"),
        pytest.param(
            {f"{size}": b"\n" * size for size in (511, 512, 513, 1023, 1025)},
            id="around-a-cluster",
        ),
        pytest.param(
            {f"{size}": b"\n" * size for size in (2047, 4095, 4096, 4097)},
            id="around-a-page",
        ),
        pytest.param({"d/" * 127 + "ff": b"x"}, id="deepest"),
        pytest.param({"d/" + "x" * 254: b"x"}, id="longest-path"),
        pytest.param(
            {f"{n:0255}": b"%d" % n for n in range(30)}, id="longest-names"
        ),
        pytest.param(
            {f"{'x' * n}": b"%d" % n for n in (12, 13, 14, 25, 26, 27, 39)},
            id="around-an-entry",
        ),
        pytest.param(
            {f"d/{n}-long-name": b"%d" % n for n in range(2000)},
            id="2000-names",
        ),
        pytest.param(
            {f"{n}-long-name": b"%d" % n for n in range(2000)},
            id="2000-names-in-the-root",
        ),
        pytest.param(
            {f"{n}/{n}": b"%d" % n for n in range(200)}, id="200-directories"
        ),
        pytest.param(
            {f"long-name-{n}.text": b"%d" % n for n in range(1200)},
            id="alike-in-8.3",
        ),
        pytest.param(
            {"A~1": b"1", "a b": b"2", "AB~1": b"3", "a.b.c": b"4"}
            | {"ABCDEF~1": b"5", "abcdefghi": b"6", "ABCDE~10": b"7"},
            id="names-that-look-like-aliases",
        ),
        pytest.param(
            {"-rf": b"1", "--": b"2", "@x": b"3", "$x": b"4", "~x": b"5"},
            id="options-of-tools",
        ),
        pytest.param(
            {"é": b"1", "e\u0301": b"2", "שלם": b"3", "ﬁ": b"4", "ẞ": b"5"},
            id="accents",
        ),
        pytest.param(
            {
                "same": b"x" * 5000,
                "a/same": b"x" * 5000,
                "b/same": b"x" * 5000,
            },
            id="equal-content",
        ),
    ],
)
def test_a_reader_finds_an_odd_tree(
    files: dict[str, bytes], reader: str, write: Callable[..., Path]
) -> None:
    path = write(files)

    assert READERS[reader](path) == files
    assert readers.fsck_fat(path) == []


def test_characters_of_two_units_are_kept(write: Callable[..., Path]) -> None:
    # In the middle, and where an entry of a long name ends in a pair.
    files = {"😀": b"1", "x" * 12 + "👩\u200d🚀" * 9: b"2", "\U0010ffff": b"3"}
    path = write(files)

    assert readers.seven_zip(path) == files
    assert ours(path) == files
    assert readers.fsck_fat(path) == []


@pytest.mark.parametrize(
    ("sectors", "width", "cluster"),
    [
        pytest.param(1, 12, 512, id="fat12-smallest"),
        pytest.param(4063, 12, 512, id="fat12-largest"),
        pytest.param(4064, 16, 512, id="fat12-but-for-rounding"),
        pytest.param(4069, 16, 512, id="fat12-but-for-rounding-last"),
        pytest.param(4070, 16, 512, id="too-near-below"),
        pytest.param(4085, 16, 512, id="threshold"),
        pytest.param(4100, 16, 512, id="too-near-above"),
        pytest.param(4101, 16, 512, id="fat16-first"),
        pytest.param(4102, 16, 512, id="fat16-second"),
        pytest.param(64_987, 16, 512, id="total-of-16-bits"),
        pytest.param(64_995, 16, 512, id="total-of-32-bits"),
        pytest.param(65_503, 16, 512, id="512-bytes-largest"),
        pytest.param(65_504, 16, 1024, id="1-kib-but-for-rounding"),
        pytest.param(65_526, 16, 1024, id="1-kib"),
        pytest.param(2 * 65_510, 16, 2048, id="2-kib"),
    ],
)
def test_the_number_of_clusters_leaves_no_doubt_of_their_width(
    sectors: int, width: int, cluster: int, write: Callable[..., Path]
) -> None:
    files = {"a": b"x" * (sectors * SECTOR - 5), "b": b""}
    path = write(files)
    found_width, found_cluster, clusters = readers.fat_layout(path)

    assert (found_width, found_cluster) == (width, cluster)
    assert clusters <= 4069 if width == 12 else 4101 <= clusters <= 65_509
    assert readers.blkid(path)["VERSION"] == f"FAT{width}"
    assert readers.minfo(path)["disk type"] == f"FAT{width}   "
    assert readers.fsck_fat(path) == []
    assert readers.mtools(path) == files
    assert readers.seven_zip(path) == files
    assert ours(path) == files
    least = 4101 if width == 16 else 1
    assert path.stat().st_size <= needed(files, cluster, least)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(NOVA_SIZE, id="as-nova-has-it"),
        pytest.param(4 << 20, id="fat12"),
        pytest.param(300 << 20, id="large-clusters"),
    ],
)
def test_an_image_of_mkfs_and_mtools_is_read_byte_for_byte(
    size: int, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "disk.config"
    files = instances.tree(name).files
    readers.mkfs_vfat(path, size, files)
    found = vfat.read(path.read_bytes())

    assert dict(found.tree.files) == dict(files)
    assert (found.label, found.ours) == ("config-2", False)


@pytest.fixture(params=["ours", "nova"])
def changed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return an image of either kind, which mtools has changed."""
    path = tmp_path / "disk.config"
    files = {f"d/{n}-long-name": b"%d" % n * 400 for n in range(20)}
    files |= {"gone/a": b"1", "gone.txt": b"2", "old.txt": b"3"}
    if request.param == "ours":
        path.write_bytes(built(files, 0))
    else:
        readers.mkfs_vfat(path, 1 << 20, files)
    image = str(path)
    for number in range(0, 20, 2):
        readers.run("mdel", "-i", image, f"::d/{number}-long-name")
    readers.run("mdel", "-i", image, "::gone/a", "::gone.txt")
    readers.run("mrd", "-i", image, "::gone")
    readers.run("mren", "-i", image, "::old.txt", "::new name.txt")
    readers.run("mmd", "-i", image, "::lower", "::lower/Mixed Case")
    readers.mcopy_to(path, "lower/short.txt", b"lower case in 8.3")
    readers.mcopy_to(path, "UPPER.TXT", b"upper case in 8.3")
    readers.mcopy_to(path, "lower/Mixed Case/é.text", b"accent" * 99)
    readers.mcopy_to(path, "d/1-long-name", b"")
    readers.run("mlabel", "-i", image, "::CONFIG-2")
    return path


def test_an_image_that_mtools_changed_is_read_as_mtools_reads_it(
    changed: Path,
) -> None:
    expected = {f"d/{n}-long-name": b"%d" % n * 400 for n in range(3, 20, 2)}
    expected |= {
        "d/1-long-name": b"",
        "new name.txt": b"3",
        "lower/short.txt": b"lower case in 8.3",
        "UPPER.TXT": b"upper case in 8.3",
        "lower/Mixed Case/é.text": b"accent" * 99,
    }

    assert readers.fsck_fat(changed) == []
    assert readers.mtools(changed) == expected
    assert ours(changed) == expected
    assert vfat.read(changed.read_bytes()).label == "CONFIG-2"


def test_the_root_directory_has_the_last_word_on_the_label(
    write: Callable[..., Path],
) -> None:
    path = write({"a": b"1"})
    data = bytearray(path.read_bytes())
    data[43:54] = b"BOOT SECTOR"
    path.write_bytes(data)

    assert readers.blkid(path)["LABEL"] == "config-2"
    assert vfat.read(bytes(data)).label == "config-2"


def test_a_label_that_was_removed_is_none(write: Callable[..., Path]) -> None:
    path = write({"a": b"1"})
    readers.run("mlabel", "-c", "-i", str(path), "::")

    assert "LABEL" not in readers.blkid(path)
    assert vfat.read(path.read_bytes()).label == ""


def test_what_lies_behind_a_volume_does_no_harm(
    write: Callable[..., Path],
) -> None:
    # As on a device that is larger.
    path = write({"a": b"1"})
    path.write_bytes(path.read_bytes() + b"\xff" * 5000)

    assert ours(path) == {"a": b"1"}
