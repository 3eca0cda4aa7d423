"""Instance files: YAML and JSON, as an operator may have written them."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Sequence
from random import Random
from typing import Any

import yaml

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt import image as images
from cfgdrive_virt.adapters.cli import instance_file
from cfgdrive_virt.driver import build
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.model.drive import ISO9660, VFAT
from fuzz import ROOT, corpus, documents, mutate
from fuzz.limits import Limits
from fuzz.target import SECRET, Target, Violation, secret_in

_SOURCE = "instance.yaml"
#: Fields that no error may show, and those of their parts.
_SECRET_FIELDS = {
    "admin_pass", "user_data", "vendor_data", "vendor_data2", "random_seed",
    "network_config", "content", "public_key",
}  # fmt: skip
_FORMATS = (ISO9660, VFAT)
#: Larger YAML takes most of the time, so it is rare.
_SLOW_YAML = 2000
_SNIPPETS = (
    b"&a ", b"*a", b"<<: ", b"!!binary ", b"!!python/object:os.system ",
    b"!", b"? ", b"- ", b": ", b"|\n", b">-\n", b"---\n", b"...\n", b"%TAG ",
    b"\t", b"'", b'"', b"#", b"{", b"}", b"[", b"]", b",", b"~", b"0o17",
    b"0x_", b"1:60:60", b"12:30:45.6", b"2001-01-01", b"2001-99-99",
    b"2001-12-14t21:59:43.10-05:00", b".inf", b".nan", b"=", b"null",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\x85", b"\xe2\x80\xa8", b"\\x00", b"\\ud8",
    b"uuid: 1\n", SECRET.encode(),
)  # fmt: skip
_LARGE = (
    b"[" * 300, b"{a: " * 300, b"- " * 300, b"? " * 300, b"9" * 5000,
    b"0x" + b"f" * 5000, b"1_" * 3000, b"1:" * 1500, b"x" * 70_000,
    b"a: 1\n" * 500, b"? a\n: b\n" * 300, b"[a: " * 200,
)  # fmt: skip


class InstanceFile(Target):
    """Texts of instance files."""

    name = "instance"
    # PyYAML is slow, and has many objects for each byte.
    limits = Limits(seconds=4, memory=24 << 20, factor=1000)

    def corpus(self) -> list[bytes]:
        """Return files of both syntaxes, with and without most fields."""
        sample = (ROOT / "etc" / "instance.sample.yaml").read_text()
        for secret in ("correct horse battery staple", "Etc/UTC"):
            sample = sample.replace(secret, SECRET)
        lines = [line for line in sample.splitlines() if "#" not in line[:3]]
        document = yaml.safe_load(sample)
        document["random_seed"] = {"base64": _base64(SECRET)}
        document["user_data"] = SECRET
        small = {
            name: document[name]
            for name in ("uuid", "name", "hostname", "admin_pass", "devices")
        }
        in_json = json.dumps(document, default=_plain).encode()
        small_json = json.dumps(small).encode()
        small_yaml = yaml.safe_dump(small).encode()
        return [
            "\n".join(lines).encode(),
            yaml.safe_dump(document).encode(),
            *[in_json] * 5,
            *[small_json, small_yaml] * 20,
        ]

    def mutate(
        self, data: bytes, chance: Random, pool: Sequence[bytes]
    ) -> bytes:
        """Change the document, its text, or both."""
        kind = chance.random()
        if kind < 0.45:
            data = _changed(data, chance, pool)
        if kind > 0.35:
            some = bytearray(data)
            for _ in range(1 + int(chance.random() ** 2 * 4)):
                _change_text(some, chance, chance.choice(pool))
            data = bytes(some)
        return data

    def run(self, data: bytes) -> str:
        """Load a file; build the drive of its instance."""
        request = instance_file.load(data, _SOURCE)
        if self.leak(repr(request), data):
            raise Violation("the repr of a request shows the secret")
        if not self.sampled(data, 8):
            return "loaded"
        kinds = [_built(request, image_format) for image_format in _FORMATS]
        return " ".join(kinds)

    def leak(self, text: str, data: bytes) -> str | None:
        """Return a secret that an error shows.

        A mutation may have put it where no secret belongs.
        """
        shown = secret_in(text)
        if shown is None:
            return None
        plain = documents.texts(_document(data), _SECRET_FIELDS)
        if any(shown in text for text in plain):
            return None
        return shown


def _built(request: ConfigDriveRequest, image_format: str) -> str:
    tree = build.tree_of(request, corpus.settings(), b"seed")
    try:
        built = build.image_of(
            tree,
            image_format,
            corpus.settings(),
            uuid=request.uuid,
            timestamp=corpus.TIMESTAMP,
        )
    except ImageError as error:
        return type(error).__name__
    if images.read(built.data).tree != tree:
        raise Violation(f"{image_format} holds other files when read again")
    return image_format


def _changed(data: bytes, chance: Random, pool: Sequence[bytes]) -> bytes:
    document = _document(data)
    if document is None:
        return data
    other = chance.choice(pool)
    others = [] if len(other) > _SLOW_YAML else [_document(other)]
    changed = documents.change(document, chance, others)
    try:
        if len(data) > _SLOW_YAML or chance.random() < 0.5:
            return documents.encode(changed, chance)
        return yaml.safe_dump(changed, allow_unicode=True).encode()
    except (ValueError, TypeError, RecursionError, yaml.YAMLError):
        return data


def _document(data: bytes) -> Any:
    """Return what a file says, by a parser that allows more."""
    if len(data) > 1 << 17:
        return None
    try:
        text = data.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            # What isn't JSON may be YAML.
            with contextlib.suppress(ValueError):
                return json.loads(text)
        return yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError, TypeError):
        return None


def _change_text(data: bytearray, chance: Random, other: bytes) -> None:
    if not data or chance.random() < 0.4:
        at = chance.randrange(len(data) + 1)
        # Where a line, or its value, begins.
        mark = chance.choice((b"\n", b": ", b"- ", b'"', b","))
        found = data.find(mark, at)
        at = found + len(mark) if found >= 0 else at
        some = _LARGE if chance.random() < 0.02 else _SNIPPETS
        data[at:at] = chance.choice(some)
    elif chance.random() < 0.4:
        lines = bytes(data).split(b"\n")
        one, two = chance.randrange(len(lines)), chance.randrange(len(lines))
        if chance.random() < 0.5:
            lines[one] = b" " * chance.choice((1, 2, 4)) + lines[one]
        elif chance.random() < 0.5:
            lines.insert(one, lines[two])
        else:
            del lines[one]
        data[:] = b"\n".join(lines)
    else:
        mutations = (*mutate.IN_PLACE, *mutate.OF_SIZE)
        chance.choice(mutations)(data, chance, other)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else str(value)
