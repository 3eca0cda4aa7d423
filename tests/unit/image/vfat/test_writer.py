"""What VFAT can't hold, the short names, and the boot sector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.model.tree import MAX_ENTRIES

from .disk import Disk, built


def refusal(files: Mapping[str, bytes]) -> str:
    with pytest.raises(ImageError) as caught:
        built(files)
    return str(caught.value)


@pytest.mark.parametrize("character", '"*:<>?\\|\x01\n\x1f\uffff')
def test_a_character_that_no_name_has_is_refused(character: str) -> None:
    told = refusal({f"d/a{character}b": b""})

    assert told == (
        f"{f'a{character}b'!a} in 'd' can't be a name on VFAT: it must"
        f" not contain {character!a}; choose another one"
    )


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a.", "it must not end with a dot or a space"),
        ("...", "it must not end with a dot or a space"),
        ("a ", "it must not end with a dot or a space"),
        (" ", "it must not end with a dot or a space"),
        (" a", "it must not begin with a space"),
        ("x" * 256, "it must have at most 255 UTF-16 units"),
        ("😀" * 128, "it must have at most 255 UTF-16 units"),
    ],
)
def test_a_name_that_is_not_kept_to_the_letter_is_refused(
    name: str, rule: str
) -> None:
    told = refusal({name: b""})

    assert f"in the root can't be a name on VFAT: {rule}" in told


@pytest.mark.parametrize(
    "name",
    [
        "con", "PRN", "Aux", "nul", "NUL.txt", "nul.tar.gz", "com1", "LPT9.x",
        "COM0", "com¹", "CONIN$", "conout$", "nul .txt",
    ],
)  # fmt: skip
def test_a_name_that_windows_takes_for_a_device_is_refused(name: str) -> None:
    told = refusal({name: b""})

    assert "it must not be the name of a device on Windows" in told


@pytest.mark.parametrize(
    "name", ["con1", "console", "nulls", "aux_", "com", "com10", "x.con", "$"]
)
def test_a_name_that_only_resembles_a_device_is_kept(name: str) -> None:
    assert Disk(built({name: b"1"})).read() == {name: b"1"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "A"),
        ("user_data", "User_Data"),
        ("é", "É"),
        ("ß", "ẞ"),
        ("ß", "SS"),
        ("straße", "STRASSE"),
        ("ı", "I"),
        ("ı", "i"),
        ("İ", "i"),
        ("σ", "ς"),
        ("ſ", "S"),
        ("\u212a", "k"),
        ("Å", "å"),
        ("ǆ", "ǅ"),
        ("ﬁ", "FI"),
        ("𐐀", "𐐨"),
        ("µ", "μ"),
    ],
)
def test_two_names_that_differ_in_case_only_are_refused(
    one: str, other: str
) -> None:
    first, second = sorted((one, other))

    assert refusal({f"d/{one}": b"1", f"d/{other}": b"2"}) == (
        f"{first!a} and {second!a} in 'd' are the same name on VFAT,"
        " which ignores case; rename one"
    )
    assert "are the same name" in refusal({f"{one}/a": b"", f"{other}/b": b""})
    assert built({f"a/{one}": b"", f"b/{other}": b""})


def test_a_path_is_as_long_as_windows_can_open() -> None:
    assert built({"d/" * 127 + "ab": b""})

    told = refusal({"d/" * 127 + "abc": b""})
    assert (
        "can't be a path on VFAT: it has 257 UTF-16 units, more than 256"
        in told
    )


def test_more_names_than_a_drive_has_are_refused() -> None:
    told = refusal({f"d/{number}": b"" for number in range(MAX_ENTRIES)})

    assert told.startswith("more than 2,048 files and directories")


def test_the_largest_directory_is_read_back() -> None:
    files = {f"d/{number:0254}": b"" for number in range(MAX_ENTRIES - 1)}

    assert Disk(built(files)).read() == files


def test_the_largest_root_is_read_back() -> None:
    files = {f"{number:0255}": b"" for number in range(MAX_ENTRIES)}
    data = built(files)

    # Each name has 20 entries, and a short name; the label has one.
    assert Disk(data).number(17) == 43_024
    assert Disk(data).read() == files


def test_what_is_too_large_is_refused_with_the_largest_files() -> None:
    # Pages of zeroes that nobody touches.
    files = {"small": b"", "a/large": bytes(2 << 30), "b": b"x" * 1000}
    told = refusal(files)

    assert told.startswith("2,147,484,")
    assert "bytes are too much for VFAT" in told
    assert "'a/large' (2,147,483,648), 'b' (1,000)" in told


# Short names.


def short_names(data: bytes) -> Iterator[bytes]:
    disk = Disk(data)
    for at in range(disk.root, disk.first, 32):
        if disk.data[at] and disk.data[at + 11] & 8 == 0:
            yield bytes(disk.data[at : at + 11])


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("latest", b"LATEST     "),
        ("0000", b"0000       "),
        ("1.0", b"1       0  "),
        ("meta_data.json", b"META_D~1JSO"),
        ("user_data", b"USER_D~1   "),
        ("2012-08-10", b"2012-0~1   "),
        ("a.b.c", b"AB~1    C  "),
        (".profile", b"PROFIL~1   "),
        ("..a", b"A~1        "),
        ("a b", b"AB~1       "),
        ("a+b", b"A_B~1      "),
        ("é", b"_~1        "),
        ("ﬁ", b"FI~1       "),
        ("x.text", b"X~1     TEX"),
    ],
)
def test_a_short_name_is_what_linux_would_choose(
    name: str, short: bytes
) -> None:
    assert list(short_names(built({name: b""}))) == [short]


@pytest.mark.parametrize("name", ["0000", "1.0", "A.TXT", "A~1", "-RF"])
def test_a_short_name_in_upper_case_has_no_long_one(name: str) -> None:
    disk = Disk(built({name: b"1"}))

    assert disk.data[disk.root + 32 + 11] == 0x20
    assert disk.read() == {name: b"1"}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([f"long-name-{n}" for n in range(2000)], id="alike"),
        pytest.param([f"{n:05}-name" for n in range(2000)], id="begin-alike"),
        pytest.param([f"name.{n:05}" for n in range(2000)], id="endings"),
        pytest.param(
            ["long name"]
            + [f"longna~{n}" for n in range(1, 10)]
            + [f"LONGN~{n}" for n in range(10, 60)],
            id="aliases-taken",
        ),
        pytest.param([chr(0x4E00 + n) for n in range(2000)], id="no-latin"),
    ],
)
def test_short_names_are_unique_and_no_other_file_s_name(
    names: list[str],
) -> None:
    data = built(dict.fromkeys(names, b""))
    found = list(short_names(data))
    own = {name.upper() for name in names}
    aliases = [
        short
        for short in found
        if (short[:8].rstrip() + b"." + short[8:].rstrip())
        .decode()
        .rstrip(".")
        not in own
    ]

    assert len(found) == len(set(found)) == len(names)
    assert all(b"~" in short for short in aliases)
    assert set(Disk(data).read()) == set(names)


# What a boot sector says.


def test_a_bios_that_starts_it_is_sent_on() -> None:
    data = built()

    assert (data[0], data[2]) == (0xEB, 0x90)
    # INT 18h
    assert data[2 + data[1] :][:2] == b"\xcd\x18"
    assert data[62:75] == b"CFGDRIVE_VIRT"
