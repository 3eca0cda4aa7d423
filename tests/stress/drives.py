"""What a tenant wishes for, and what a drive says, by the bytes it has.

Every part of a wish is a text that occurs nowhere else, so that a drive says
what its bytes, searched for such texts, hold: read by whatever program, or by
none.  Only one that readers take, and that is what was written, counts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from cfgdrive_virt import ConfigDriveRequest, InjectedFile, Keypair, image
from cfgdrive_virt.exception import ImageError

from ..readers import readers

ADMIN_PASS, USER_DATA = "admin_pass", "user_data"
ONE_SHOT = frozenset({ADMIN_PASS, USER_DATA})
ISO9660, VFAT = "iso9660", "vfat"

_PARTS = ("meta", "key", "password", "userdata", "injected", "big")
_TEXT = re.compile(rb"\b(%s)-([0-9]+)\b" % "|".join(_PARTS).encode())
SECRET = re.compile(rb"\b(password|userdata|key)-[0-9]+\b")

#: Too much for a volume of one object of Ceph's usual size.
_BIG = os.urandom(5 << 20)


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What a request says; each number is one of the part's texts.

    :param password: None leaves it open
    :param injected: of a file; without one, and a big one, they are open
    """

    meta: int = 0
    key: int = 0
    password: int | None = 0
    userdata: int = 0
    injected: int | None = None
    big: int | None = None
    launched: bool = False

    def request(self, uuid: str) -> ConfigDriveRequest:
        """Return the request, which leaves the seed open."""
        key = Keypair(name="k", public_key=f"ssh-rsa key-{self.key} k")
        script = f"#!/bin/sh\n# userdata-{self.userdata}-of-{uuid}\n"
        files = []
        if self.injected is not None:
            content = b"injected-%d" % self.injected
            files.append(InjectedFile(path="/injected", content=content))
        if self.big is not None:
            content = b"big-%d " % self.big + _BIG
            files.append(InjectedFile(path="/big", content=content))
        return ConfigDriveRequest(
            uuid=uuid,
            name="guest",
            hostname="guest",
            config_drive=True,
            metadata={"m": f"meta-{self.meta}"},
            keypairs=(key,),
            admin_pass=password(self.password, uuid),
            user_data=script.encode(),
            injected_files=files,
            launched=self.launched,
        )

    def completed(self, found: Said) -> Wish:
        """Return it with what it leaves open as a drive has it."""
        wish = self
        if wish.password is None:
            wish = dataclasses.replace(wish, password=found.password)
        if (wish.injected, wish.big) == (None, None):
            wish = dataclasses.replace(
                wish, injected=found.injected, big=found.big
            )
        return wish


def password(number: int | None, uuid: str) -> str | None:
    """Return an instance's password of a number."""
    return None if number is None else f"password-{number}-of-{uuid}"


def secrets_in(data: bytes, uuid: str) -> set[bytes]:
    """Return an instance's one-shot secrets that some bytes hold."""
    one = rb"\b(?:password|userdata)-[0-9]+-of-%s" % uuid.encode()
    return {*re.findall(one, data)}


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """What a whole drive says.

    :param password: None where it is left out, as is userdata
    :param without: what was left out on purpose
    :param seed: None in what is expected: any
    :param sum: of its bytes but the zeros at its end, of which a volume may
        have more; None in what is expected: any
    """

    meta: int
    key: int
    password: int | None
    userdata: int | None
    injected: int | None
    big: int | None
    without: frozenset[str]
    format: str
    seed: str | None
    sum: str | None = None

    @classmethod
    def of(
        cls,
        wish: Wish,
        without: frozenset[str],
        image_format: str,
        seed: str | None,
    ) -> Said:
        """Return what a drive says that is made for a wish."""
        return cls(
            wish.meta,
            wish.key,
            None if ADMIN_PASS in without else wish.password,
            None if USER_DATA in without else wish.userdata,
            wish.injected,
            wish.big,
            without,
            image_format,
            seed,
        )

    def says(self, wish: Wish) -> bool:
        """Tell whether it needs no change for a wish."""
        known = wish.completed(self)
        made = Said.of(known, self.without, self.format, self.seed)
        return self == dataclasses.replace(made, sum=self.sum)

    def is_just(self, other: Content) -> bool:
        """Tell whether another one has the same bytes."""
        return self == other

    def without_secrets(self) -> Said:
        """Return what it says once its one-shot secrets are taken off."""
        if self.without >= ONE_SHOT:
            return self
        return dataclasses.replace(
            self,
            password=None,
            userdata=None,
            without=self.without | ONE_SHOT,
            sum=None,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Harmed:
    """A drive that isn't whole; it is some bytes, and zeros."""

    data: bytes = dataclasses.field(repr=False)
    size: int = dataclasses.field(compare=False)

    def is_just(self, other: Content) -> bool:
        """Tell whether another one has the same bytes."""
        return self == other and self.size == other.size


Content = Said | Harmed | None


def read(data: bytes | None) -> Content:
    """Return what is in a drive's place.

    A text of an earlier wish beside the present one's fails the test.
    """
    if data is None:
        return None
    try:
        found = image.read(data)
    except ImageError:
        return Harmed(data.rstrip(b"\0"), len(data))
    if not found.is_as_built:
        return Harmed(data.rstrip(b"\0"), len(data))
    document = json.loads(found.tree.files["openstack/latest/meta_data.json"])
    texts = {(part.decode(), int(n)) for part, n in _TEXT.findall(data)}
    parts = {part: [n for p, n in texts if p == part] for part in _PARTS}
    assert all(len(numbers) <= 1 for numbers in parts.values()), parts
    values = {part: (*parts[part], None)[0] for part in _PARTS}
    assert values["meta"] is not None
    assert values["key"] is not None
    left_out = found.stamp.without if found.stamp else ()
    return Said(
        values["meta"],
        values["key"],
        values["password"],
        values["userdata"],
        values["injected"],
        values["big"],
        frozenset(left_out),
        found.format,
        document["random_seed"],
        hashlib.sha256(data.rstrip(b"\0")).hexdigest(),
    )


def same(expected: Content, found: Content) -> bool:
    """Tell whether what is expected has been found."""
    if isinstance(expected, Said) and isinstance(found, Said):
        seed, sum_ = expected.seed or found.seed, expected.sum or found.sum
        return dataclasses.replace(expected, seed=seed, sum=sum_) == found
    return expected == found


def others_read(data: bytes) -> dict[str, bytes]:
    """Return the files that somebody else's program finds in a drive."""
    reader = (
        readers.mtools
        if data[510:512] == b"\x55\xaa"
        else readers.xorriso_rock_ridge
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "drive"
        path.write_bytes(data)
        return reader(path)


def made_by_nova(files: dict[str, bytes]) -> bytes:
    """Return an image as nova has genisoimage make it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for path, content in files.items():
            target = directory / "files" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        subprocess.run(
            [
                "genisoimage", "-o", directory / "iso", "-ldots",
                "-allow-lowercase", "-allow-multidot", "-l", "-publisher",
                "OpenStack Compute 1", "-quiet", "-J", "-r", "-V",
                "config-2", directory / "files",
            ],
            check=True,
            timeout=60,
        )  # fmt: skip
        return (directory / "iso").read_bytes()
