"""Paths and contents that a compute service renders, built in both formats.

An input is JSON: ``{"files": {path: [text in Latin-1, times]}}``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from cfgdrive_virt import image as images
from cfgdrive_virt.driver import build
from cfgdrive_virt.exception import ConfigDriveError, InvalidRequest
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.model.request import RenderedRequest
from cfgdrive_virt.model.tree import MetadataTree
from fuzz import corpus
from fuzz.limits import Limits
from fuzz.target import SECRET, Target, Violation

_MOST_BYTES = 1 << 20
_PARTS = (
    "openstack", "ec2", "latest", "content", "meta_data.json", "user_data",
    "0000", "a", "A", "a.", "a ", " a", ".a", "..a", "...", ".", "..", "",
    "a.b.c", "A~1", "a~1.txt", "LONGNA~1.JSO", "con", "NUL.txt", "com1",
    "com¹", "a*", "a?", "a:b", 'a"', "a<b>", "a|b", "a\\b", "a;1", ";1",
    "\0", "a\nb", "\x1b[1m", "\x7f", "\x85", "\xa0", "\u200b", "\u2028",
    "\u202e", "\ufeff", "\uffff", "\ue000", "\udc80", "\ud800", "e\u0301",
    "é", "É", "ß", "SS", "ſ", "s", "İ", "i̇", "ı", "K", "k", "ﬁ", "Å",
    "\u212b", "שלם", "😀", "\U0010ffff", "x" * 63, "x" * 64, "x" * 65,
    "x" * 254, "x" * 255, "x" * 256, "é" * 32, "é" * 33, "😀" * 16, "😀" * 63,
    "rr_moved", ".rr_moved", "boot.cat", "%41", "TRANS.TBL", "-rf",
)  # fmt: skip
_SIZES = (*[0, 1, 2, 511, 512, 513, 2047, 2048, 2049] * 6, 65_536, 300_000)
#: What readers take for a meta_data.json, and for other files.
_JSON = '{"uuid": "u"}'
_CONTENTS = (
    "", "x", "{}", _JSON, "\0", "CD001", "\xff\xfe", "U\xaa", SECRET,
)  # fmt: skip
_COUNTS = (*[1, 2, 3, 5] * 8, 20, 100, 1500)


class Build(Target):
    """Trees of hostile paths and contents, built and read again."""

    name = "build"
    # Trees repeat contents; an image is several MiB.
    limits = Limits(memory=96 << 20)

    def corpus(self) -> list[bytes]:
        """Return the trees of the other targets, and some more."""
        some: list[dict[str, Any]] = [
            {
                path: [_JSON, 1]
                if path.endswith(".json")
                else ["x", len(content)]
                for path, content in tree.files.items()
            }
            for tree in corpus.trees()[:2]
        ]
        parts = {f"openstack/latest/{part}": ["x", 1] for part in _PARTS[2:8]}
        some.append(parts | {"openstack/latest/meta_data.json": [_JSON, 1]})
        some += [{"openstack/latest/meta_data.json": [_JSON, 1]}] * 5
        return [_coded(files) for files in some]

    def mutate(
        self, data: bytes, chance: Random, pool: Sequence[bytes]
    ) -> bytes:
        """Rename, add, nest and repeat files."""
        files = _files(data)
        for _ in range(1 + int(chance.random() ** 2 * 5)):
            _change(files, chance)
        if chance.random() < 0.1:
            files |= _files(chance.choice(pool))
        while len(files) > 3000:
            files.popitem()
        return _coded(files)

    def run(self, data: bytes) -> str:
        """Build a tree in both formats, and read it again."""
        files = _contents(data)
        kinds = []
        errors: list[ConfigDriveError] = []
        for image_format in (ISO9660, VFAT):
            try:
                tree = MetadataTree(files)
                kinds.append(_built(tree, image_format))
            except ConfigDriveError as error:
                errors.append(error)
                kinds.append(type(error).__name__)
        try:
            request = RenderedRequest(uuid=corpus.UUID, files=files)
            build.tree_of(request, corpus.settings(), b"")
            kinds.append("rendered")
        except InvalidRequest as error:
            kinds.append(str(len(error.problems).bit_length()))
            errors.append(error)
        if errors:
            raise errors[len(data) % len(errors)]
        return " ".join(kinds)


def _built(tree: MetadataTree, image_format: str) -> str:
    built = build.image_of(
        tree,
        image_format,
        corpus.settings(),
        uuid=corpus.UUID,
        timestamp=corpus.TIMESTAMP,
    ).data
    contents = images.read(built)
    if contents.tree != tree:
        raise Violation(f"{image_format} holds other files when read again")
    if not contents.is_as_built or contents.format != image_format:
        raise Violation(f"{image_format} isn't as it was built")
    return image_format


def _change(files: dict[str, list[Any]], chance: Random) -> None:
    kind = chance.randrange(8)
    known = list(files) or ["openstack/a"]
    path = chance.choice(known)
    if kind == 0:
        files.pop(path, None)
    elif kind < 4:
        files[_other(path, chance)] = files.pop(path, ["x", 1])
    elif kind < 6:
        files[_other(path, chance)] = _content(chance)
    elif kind == 6:
        files[path] = _content(chance)
    else:
        stem = _other(path, chance)
        content = _content(chance)
        for number in range(chance.choice(_COUNTS)):
            files[f"{stem}{number}"] = content


def _other(path: str, chance: Random) -> str:
    """Return a path that has some of another one's parts."""
    parts = path.split("/")
    kind = chance.randrange(6)
    at = chance.randrange(len(parts))
    if kind < 2:
        parts[at] = chance.choice(_PARTS)
    elif kind == 2:
        parts.insert(at, chance.choice(_PARTS))
    elif kind == 3:
        part = parts[at]
        where = chance.randrange(len(part) + 1)
        parts[at] = part[:where] + chance.choice(_PARTS) + part[where:]
    elif kind == 4:
        parts[at] = parts[at].swapcase()
    else:
        parts[at:at] = [chance.choice(_PARTS)] * chance.choice(
            (1, 5, 6, 7, 99)
        )
    return "/".join(parts)


def _content(chance: Random) -> list[Any]:
    return [chance.choice(_CONTENTS), chance.choice(_SIZES)]


def _coded(files: dict[str, list[Any]]) -> bytes:
    return json.dumps({"files": files}).encode()


def _files(data: bytes) -> dict[str, list[Any]]:
    files: dict[str, list[Any]] = json.loads(data)["files"]
    return files


def _contents(data: bytes) -> dict[str, bytes]:
    """Return the files of an input, together of limited size."""
    left = _MOST_BYTES
    found = {}
    for path, (unit, times) in _files(data).items():
        content = unit.encode("latin-1") * times
        found[path] = content[: max(0, left)]
        left -= len(found[path])
    return found
