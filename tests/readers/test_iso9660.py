"""Somebody else's readers give back the tree that went into an image."""

from __future__ import annotations

import collections
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model.tree import MetadataTree

from . import instances, readers

READERS = {
    "isoinfo-rock-ridge": readers.isoinfo_rock_ridge,
    "isoinfo-joliet": readers.isoinfo_joliet,
    "xorriso-rock-ridge": readers.xorriso_rock_ridge,
    "xorriso-joliet": readers.xorriso_joliet,
    "bsdtar-rock-ridge": readers.bsdtar_rock_ridge,
    "bsdtar-joliet": readers.bsdtar_joliet,
    "7z": readers.seven_zip,
}

LAST_TIMESTAMP = 5_869_583_999  # 2155-12-31 23:59:59 UTC

#: Builds the same drives in a process of its own.
_BUILD_AGAIN = """
import sys
sys.path.insert(0, sys.argv[1])
import instances
for name in instances.REQUESTS:
    sys.stdout.buffer.write(instances.image(name))
"""


@pytest.fixture(scope="module", params=list(instances.REQUESTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def image(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(name) / "disk.config"
    path.write_bytes(instances.image(name))
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(
        files: dict[str, bytes], timestamp: int = instances.TIMESTAMP
    ) -> Path:
        built = iso9660.build(
            MetadataTree(files), label="config-2", timestamp=timestamp
        )
        path = tmp_path / "disk.config"
        path.write_bytes(built.data)
        return path

    return write


@pytest.mark.parametrize("reader", list(READERS))
def test_a_reader_finds_the_tree_byte_for_byte(
    reader: str, name: str, image: Path
) -> None:
    assert READERS[reader](image) == dict(instances.tree(name).files)


def test_blkid_finds_the_label_and_the_type(image: Path) -> None:
    found = readers.blkid(image)

    assert found["LABEL"] == "config-2"
    assert found["TYPE"] == "iso9660"
    assert found["USAGE"] == "filesystem"


@pytest.mark.parametrize("extension", [[], ["-J"]], ids=["primary", "joliet"])
def test_the_label_is_lower_case_in_every_volume_descriptor(
    extension: list[str], image: Path
) -> None:
    assert readers.volume_label(image, *extension) == "config-2"


@pytest.mark.parametrize("extension", ["-R", "-J"], ids=["rock", "joliet"])
def test_equal_content_lies_in_one_place(
    extension: str, name: str, image: Path
) -> None:
    places = collections.defaultdict(set)
    files = instances.tree(name).files
    extents = readers.extents(image, extension)
    for path, content in files.items():
        places[content].add(extents[path])

    assert set(extents) == set(files)
    assert all(len(found) == 1 for found in places.values())
    assert len(set(extents.values())) == len(places)


def test_both_trees_of_names_lead_to_the_same_content(image: Path) -> None:
    assert readers.extents(image, "-R") == readers.extents(image, "-J")


def test_an_image_is_smaller_than_what_it_shows() -> None:
    files = instances.tree("large").files
    shown = sum(map(len, files.values()))
    distinct = sum(map(len, set(files.values())))
    size = len(instances.image("large"))

    # 20 of the 21 copies of the user data are links to the first.
    assert shown - distinct > 20 * 49_149
    assert distinct < size < distinct + 2048 * (len(files) + 128)


def test_a_shared_file_is_stored_once(write: Callable[..., Path]) -> None:
    content = bytes(1_000_000)
    path = write({f"{number}": content for number in range(50)})

    assert path.stat().st_size < 1_200_000


def test_every_date_is_the_one_given(image: Path) -> None:
    assert readers.rock_ridge_dates(image) == {instances.TIMESTAMP}
    assert readers.joliet_dates(image) == {instances.TIMESTAMP}


@pytest.mark.parametrize(
    ("timestamp", "date"),
    [
        pytest.param(0, "1970010100000000", id="first"),
        pytest.param(951_782_400, "2000022900000000", id="leap-day"),
        pytest.param(2**31, "2038011903140800", id="after-2038"),
        pytest.param(LAST_TIMESTAMP, "2155123123595900", id="last"),
    ],
)
def test_dates_hold_what_iso9660_can_say(
    timestamp: int, date: str, write: Callable[..., Path]
) -> None:
    path = write({"a/b": b"c"}, timestamp)

    assert readers.rock_ridge_dates(path) == {timestamp}
    assert readers.joliet_dates(path) == {timestamp}
    assert readers.volume_dates(path)["Modif. Time"] == date


def test_the_volume_has_the_given_dates(image: Path) -> None:
    assert readers.volume_dates(image) == {
        "Creation Time": "2023111422132000",
        "Modif. Time": "2023111422132000",
        "Expir. Time": "0000000000000000",
        "Eff. Time": "2023111422132000",
    }


def test_the_joliet_volume_has_the_dates_of_the_primary(image: Path) -> None:
    # ECMA-119, 8.4.26 and 8.5: 68 bytes at the same place in both.
    data = image.read_bytes()
    primary, joliet = (
        data[sector * 2048 : (sector + 1) * 2048] for sector in (16, 17)
    )

    assert (primary[:6], joliet[:6]) == (b"\x01CD001", b"\x02CD001")
    assert primary[813:881] == joliet[813:881]


def test_a_drive_is_the_same_twice_in_a_process(
    name: str, image: Path
) -> None:
    assert instances.image(name) == image.read_bytes()


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
    built = b"".join(map(instances.image, instances.REQUESTS))
    # The finest date of an image counts seconds.
    time.sleep(1 - time.time() % 1)
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

    assert again.stdout == built


@pytest.mark.parametrize("reader", list(READERS))
@pytest.mark.parametrize(
    "files",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"a": b"", "b": b"", "c/d": b""}, id="only-empty-files"),
        pytest.param({"a": b"", "b": b"x", "c": b""}, id="empty-and-not"),
        pytest.param(
            {f"{size}": b"\n" * size for size in (2047, 2048, 2049)},
            id="around-a-sector",
        ),
        pytest.param({"1/2/3/4/5/6/7/file": b"x"}, id="deepest"),
        pytest.param(
            {f"{n:064}": b"%d" % n for n in range(60)}, id="longest-names"
        ),
        pytest.param(
            {f"{n}/{n}": b"%d" % n for n in range(200)}, id="200-directories"
        ),
        pytest.param(
            {"rr_moved/a": b"1", "RR_MOVED/a": b"2", ".rr_moved/a": b"3"},
            id="names-of-rock-ridge-itself",
        ),
        pytest.param(
            {"a.b": b"1", "a_b": b"2", "A.B": b"3", "A_B1": b"4", "a b": b"5"},
            id="alike-in-plain-iso9660",
        ),
        pytest.param(
            {"-rf": b"1", "--": b"2", "@x": b"3", " x": b"4", "$x": b"5"},
            id="options-of-tools",
        ),
    ],
)
def test_a_reader_finds_an_odd_tree(
    files: dict[str, bytes], reader: str, write: Callable[..., Path]
) -> None:
    assert READERS[reader](write(files)) == files
