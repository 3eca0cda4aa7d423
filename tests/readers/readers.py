"""Somebody else's readers of an image: its path becomes paths to bytes.

Names come back as they left us, in Unicode, whatever the locale of whoever
runs the tests.  A reader that complains fails the test, as does one that
isn't installed.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

Files = dict[str, bytes]

#: What to install on Debian to have a tool.
PACKAGES = {
    "7z": "p7zip-full",
    "blkid": "util-linux",
    "bsdtar": "libarchive-tools",
    "fsck.fat": "dosfstools",
    "isoinfo": "genisoimage",
    "mkfs.vfat": "dosfstools",
    "xorriso": "xorriso",
} | dict.fromkeys(
    ("mcopy", "mdel", "minfo", "mlabel", "mmd", "mrd", "mren"), "mtools"
)

#: The only charsets of isoinfo are of one byte; it has no UTF-8.
_ISOINFO_CHARSET = "iso8859-1"

_LISTING = "Directory listing of "


def run(tool: str, *arguments: str | bytes) -> bytes:
    """Return what a tool prints; fail the test if it does."""
    # blkid lies where not every user's PATH looks.
    found = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
    if found is None:
        pytest.fail(
            f"{tool} is missing: install the Debian package {PACKAGES[tool]}"
        )
    done = subprocess.run(
        [found, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
        env={"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.defpath},
    )
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace")
        pytest.fail(f"{tool} {arguments}: exit {done.returncode}\n{told}")
    return done.stdout


def isoinfo_rock_ridge(image: Path) -> Files:
    """Read through Rock Ridge, a process for each file."""
    return dict(_isoinfo(image, ["-R"], "utf-8"))


def isoinfo_joliet(image: Path) -> Files:
    """Read through Joliet, names in Latin-1 only."""
    flags = ["-J", "-j", _ISOINFO_CHARSET]
    return dict(_isoinfo(image, flags, _ISOINFO_CHARSET))


def xorriso_rock_ridge(image: Path) -> Files:
    """Read through Rock Ridge."""
    return _xorriso(image, "nojoliet")


def xorriso_joliet(image: Path) -> Files:
    """Read through Joliet."""
    return _xorriso(image, "norock")


def bsdtar_rock_ridge(image: Path) -> Files:
    """Read through Rock Ridge."""
    return _bsdtar(image, "!joliet")


def bsdtar_joliet(image: Path) -> Files:
    """Read through Joliet."""
    return _bsdtar(image, "!rockridge")


def seven_zip(image: Path) -> Files:
    """Read as 7z does, which prefers Joliet."""
    with _directory() as into:
        run("7z", "x", "-y", "-bd", "-spd", f"-o{into}", "--", _name(image))
        return dict(_files_below(into))


def mtools(image: Path) -> Files:
    """Read VFAT as mtools does, which has no characters of two units."""
    with _directory() as into:
        run("mcopy", "-s", "-n", "-i", _name(image), "::", into)
        return dict(_files_below(into))


def extract(image: Path, into: Path, read_fs: str = "nojoliet") -> None:
    """Put the files of an image below a directory, with xorriso."""
    run(
        "xorriso",
        *("-no_rc", "-report_about", "WARNING"),
        *("-read_fs", read_fs, "-osirrox", "on"),
        *("-indev", _name(image), "-extract", "/", _name(into)),
    )


def blkid(image: Path) -> dict[str, str]:
    """Return what blkid's low-level probe finds, by tag."""
    told = run("blkid", "-p", "-o", "export", _name(image)).decode()
    tags = (line.partition("=") for line in told.splitlines())
    return {key: value.replace("\\", "") for key, _, value in tags}


def extents(image: Path, extension: str) -> dict[str, int]:
    """Return at what sector each file begins.

    :param extension: ``-R`` for Rock Ridge, ``-J`` for Joliet
    """
    found = {}
    directory = ""
    told = run("isoinfo", extension, "-l", "-i", _name(image)).decode()
    for line in told.splitlines():
        if line.startswith(_LISTING):
            directory = line.removeprefix(_LISTING).strip().strip("/")
        elif line.startswith("-"):
            _, _, rest = line.partition("[")
            place, _, name = rest.partition("]")
            path = f"{directory}/{name.strip()}".lstrip("/")
            found[path] = int(place.split()[0])
    return found


def rock_ridge_dates(image: Path) -> set[float]:
    """Return every date of a file or directory that libarchive finds."""
    archive = run(
        "bsdtar", "-c", "-f", "-", "--format", "pax", f"@{_name(image)}"
    )
    found = set()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            found.add(float(member.mtime))
            for key in ("atime", "ctime", "LIBARCHIVE.creationtime"):
                if key in member.pax_headers:
                    found.add(float(member.pax_headers[key]))
    return found


def joliet_dates(image: Path) -> set[float]:
    """Return every date that libarchive gives to what it extracts."""
    with _directory() as into:
        _extract_with_bsdtar(image, into, "!rockridge")
        return {path.stat().st_mtime for path in Path(into).rglob("*")}


def volume_dates(image: Path) -> dict[str, str]:
    """Return the dates of the primary volume descriptor, as xorriso does."""
    told = run("xorriso", "-no_rc", "-indev", _name(image), "-pvd_info")
    lines = (line.partition(":") for line in told.decode().splitlines())
    return {
        key.strip(): value.strip() for key, _, value in lines if "Time" in key
    }


def volume_label(image: Path, *extension: str) -> str:
    """Return the label that isoinfo finds; ``-J`` for the Joliet volume's."""
    told = run("isoinfo", *extension, "-d", "-i", _name(image)).decode()
    _, _, rest = told.partition("Volume id: ")
    return rest.partition("\n")[0]


def fsck_fat(image: Path) -> list[str]:
    """Return what fsck.fat has to say, but for its name and its sum."""
    told = run("fsck.fat", "-n", _name(image)).decode().splitlines()
    return told[1:-1]


def fat_layout(image: Path) -> tuple[int, int, int]:
    """Return bits of a FAT's entry, bytes of a cluster, and clusters."""
    told = run("fsck.fat", "-n", "-v", _name(image)).decode()
    patterns = (
        r"2 FATs, (\d+) bit entries",
        r"(\d+) bytes per cluster",
        r"(\d+) data clusters",
    )
    width, cluster, clusters = (
        int(re.findall(pattern, told)[0]) for pattern in patterns
    )
    return width, cluster, clusters


def mlabel(image: Path) -> bytes:
    """Return the label that mtools finds in a VFAT's root directory."""
    told = run("mlabel", "-s", "-i", _name(image), "::")
    return told.removeprefix(b" Volume label is ").removesuffix(b"\n")


def minfo(image: Path) -> dict[str, str]:
    """Return what mtools finds in a VFAT's boot sector, by name."""
    told = run("minfo", "-i", _name(image), "::").decode()
    lines = (re.split(r"[:=] *", line) for line in told.splitlines())
    return {line[0]: line[1].strip('"') for line in lines if len(line) == 2}


def mtools_dates(image: Path) -> set[float]:
    """Return when all that is in a VFAT was written, as mtools has it."""
    with _directory() as into:
        run("mcopy", "-s", "-n", "-m", "-i", _name(image), "::", into)
        return {path.stat().st_mtime for path in Path(into).rglob("*")}


def seven_zip_dates(image: Path) -> dict[str, set[str]]:
    """Return all dates of a VFAT, as 7z has them: of what kind, which."""
    told = run("7z", "l", "-slt", "--", _name(image)).decode()
    found: dict[str, set[str]] = {}
    for line in told.splitlines():
        key, _, value = line.partition(" = ")
        if key in ("Modified", "Created", "Accessed"):
            found.setdefault(key, set()).add(value)
    return found


def mkfs_vfat(image: Path, size: int, files: Mapping[str, bytes]) -> None:
    """Make the VFAT that nova makes; its files are copied by mtools.

    :param size: in bytes; nova's is 64 MiB
    """
    with image.open("wb") as out:
        out.truncate(size)
    run("mkfs.vfat", "-n", "config-2", _name(image))
    with _directory() as directory:
        for path, content in files.items():
            place = Path(directory, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        tops = sorted(str(path) for path in Path(directory).iterdir())
        if tops:
            run("mcopy", "-s", "-i", _name(image), *tops, "::")


def mcopy_to(image: Path, path: str, content: bytes) -> None:
    """Add a file to a VFAT, or write it anew, with mtools."""
    with _directory() as directory:
        source = Path(directory, "source")
        source.write_bytes(content)
        run("mcopy", "-o", "-i", _name(image), str(source), f"::{path}")


def _isoinfo(
    image: Path, flags: list[str], charset: str
) -> Iterator[tuple[str, bytes]]:
    options = [*flags, "-i", _name(image)]
    paths = run("isoinfo", *options, "-f").decode(charset).split("\n")
    paths.remove("")
    # A file is what nothing lies below: we make no empty directories.
    above = {path.rpartition("/")[0] for path in paths}
    for path in paths:
        if path not in above:
            coded = path.encode(charset)
            yield path[1:], run("isoinfo", *options, "-x", coded)


def _xorriso(image: Path, read_fs: str) -> Files:
    with _directory() as into:
        extract(image, Path(into), read_fs)
        return dict(_files_below(into))


def _bsdtar(image: Path, option: str) -> Files:
    with _directory() as into:
        _extract_with_bsdtar(image, into, option)
        return dict(_files_below(into))


def _extract_with_bsdtar(image: Path, into: str, option: str) -> None:
    run(
        "bsdtar",
        *("-x", "-f", _name(image), "-C", into),
        *("--options", f"iso9660:{option}"),
        *("--no-same-owner", "--no-same-permissions"),
    )


def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cfgdrive-readers-")


def _name(image: Path) -> str:
    # An absolute path is no option to any tool.
    return str(image.resolve(strict=True))


def _files_below(top: str) -> Iterator[tuple[str, bytes]]:
    for directory, below, names in os.walk(top):
        for name in below + names:
            path = Path(directory, name)
            mode = path.lstat().st_mode
            # What an image says is never followed to elsewhere.
            assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), path
            if name in names:
                relative = os.fsencode(path.relative_to(top))
                yield relative.decode(), path.read_bytes()
