"""Other programs read an image; each returns None if it refuses."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ENVIRONMENT = {
    "PATH": f"/usr/sbin:/sbin:{os.defpath}",
    "MTOOLS_SKIP_CHECK": "1",
    "LC_ALL": "C.UTF-8",
}
_SECONDS = 20


def bsdtar(data: bytes) -> dict[str, bytes] | None:
    """Return the files that libarchive finds by Rock Ridge, if it is there."""
    # Like us, it prefers Rock Ridge.  Without that, it and we choose among
    # the names in other ways.
    if b"RRIP_1991A" not in data and b"IEEE_P1282" not in data:
        return None
    with tempfile.NamedTemporaryFile(prefix="cfgdrive-fuzz-") as file:
        file.write(data)
        file.flush()
        archive = _run(
            *("bsdtar", "-c", "-f", "-", "--format", "pax"),
            f"@{file.name}",
        )
    if archive is None:
        return None
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                found = tar.extractfile(member)
                if found is not None:
                    files[member.name.removeprefix("./")] = found.read()
    except (tarfile.TarError, KeyError):
        return None
    return files


def mtools(data: bytes) -> dict[str, bytes] | None:
    """Return the files that mtools find."""
    with tempfile.TemporaryDirectory(prefix="cfgdrive-fuzz-") as directory:
        image, into = Path(directory, "image"), Path(directory, "into")
        image.write_bytes(data)
        into.mkdir()
        copied = _run("mcopy", "-s", "-n", "-i", str(image), "::", str(into))
        return None if copied is None else dict(_files(into))


def _run(program: str, *arguments: str) -> bytes | None:
    """Return what a program prints; None if it fails or complains."""
    found = shutil.which(program, path=_ENVIRONMENT["PATH"])
    if found is None:
        return None
    try:
        done = subprocess.run(
            [found, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env=_ENVIRONMENT,
        )
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode or done.stderr else done.stdout


def _files(top: Path) -> Iterator[tuple[str, bytes]]:
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            if stat.S_ISREG(path.lstat().st_mode):
                relative = os.fsencode(path.relative_to(top))
                yield relative.decode("utf-8", "replace"), path.read_bytes()
