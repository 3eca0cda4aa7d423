"""Drives as a guest wrote them, and what the driver makes of them."""

from __future__ import annotations

import dataclasses
import functools
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt import image as images
from cfgdrive_virt.adapters.cli import drive_view
from cfgdrive_virt.driver import build
from cfgdrive_virt.driver.verification import as_found, examine, verify
from cfgdrive_virt.exception import ImageError, InvalidRequest
from cfgdrive_virt.image import stamp
from cfgdrive_virt.metadata import layout_in
from cfgdrive_virt.model.drive import (
    ISO9660,
    VFAT,
    Contents,
    FileLocation,
)
from cfgdrive_virt.model.request import RenderedRequest, Request
from cfgdrive_virt.model.status import FRESH, Status
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.readers import READERS
from fuzz import corpus, documents, mutate, scratch
from fuzz.limits import Hang, Limits
from fuzz.target import SECRET, Target, Violation, secret_in

_LOCATION = FileLocation(corpus.UUID, Path("/instances/disk.config"))
_TOO_LARGE = "max_drive_size"
_MOST_DETAILS, _LONGEST_DETAIL = 1000, 210
#: Bytes that a rebuilt drive may have beside those of the old one.
_BESIDE = 1 << 20
#: Keys of JSON files below which a secret belongs.
_SECRET_KEYS = {
    "admin_pass", "random_seed", "cloud-init", "inventory", "static",
}  # fmt: skip
_VERSIONS = ("latest", "2018-08-27", "2025-04-04", "content", "..", "é" * 60)
_NAMES = (
    "meta_data.json", "vendor_data2.json", "network_data.json", "user_data",
    "user-data", "meta_data.json.json", "0000", "0001", "x" * 64, "A", "a",
)  # fmt: skip
_LARGEST_SHARED = 1_000_000


class Drive(Target):
    """Images of trees with hostile JSON, paths, aliases and stamps."""

    name = "drive"
    # Many versions of a document are parsed, and compared with ours.
    limits = Limits(memory=24 << 20, factor=24)

    def corpus(self) -> list[bytes]:
        """Return images of both formats."""
        return [
            corpus.image(tree, image_format)
            for tree in (*corpus.trees()[:2] * 3, corpus.trees()[2])
            for image_format in (ISO9660, VFAT)
        ]

    def mutate(
        self, data: bytes, chance: Random, pool: Sequence[bytes]
    ) -> bytes:
        """Change a tree and build it again, with a stamp that may match."""
        tree = _tree(data)
        other = _tree(chance.choice(pool))
        files = dict(tree.files)
        for _ in range(1 + int(chance.random() ** 2 * 4)):
            _change(files, chance, other.files)
        image_format = chance.choice((ISO9660, VFAT))
        try:
            built = images.build(
                image_format,
                MetadataTree(files),
                label=chance.choice((*[corpus.LABEL] * 9, "CONFIG-2")),
                timestamp=corpus.TIMESTAMP,
                serial=1,
                without=chance.choice(
                    ((), (), (), ("admin_pass",), ("admin_pass", "user_data"))
                ),
            )
        except ImageError:
            return data
        return _restamped(built.data, image_format, chance)

    def run(self, data: bytes) -> str:
        """Examine a drive, recall from it, and rebuild it."""
        status = _examined(data, None)
        if status.contents is None:
            return f"{status.state} {len(status.details).bit_length()}"
        contents = status.contents
        _recall(contents)
        if self.sampled(data, 4):
            _verify(data)
        if self.sampled(data, 8):
            json.dumps(drive_view.describe(contents.tree, show_secrets=False))
        kinds = [contents.format]
        for request, image_format in self._wanted(data):
            kinds.append(_examined(data, request).state)
            kinds.append(_rebuild(data, contents, request, image_format))
        if self.sampled(data, 16):
            _spawn(data)
        return " ".join(kinds)

    def _wanted(self, data: bytes) -> Iterator[tuple[Request, str]]:
        """Yield a request and a format: one of all, or all.

        Rebuilding takes most of the time.
        """
        wanted = [
            (request, image_format)
            for request in (corpus.bare(), corpus.request(), _rendered())
            for image_format in (ISO9660, VFAT)
        ]
        if self.thorough:
            yield from wanted
        else:
            yield wanted[zlib.crc32(data) % len(wanted)]

    def close(self) -> None:
        """Remove the driver's directory."""
        scratch.remove()


def _examined(data: bytes, request: Request | None) -> Status:
    """Return the state of a drive, whose details a log can hold."""
    status = examine(_LOCATION, data, corpus.settings(), request)
    if len(status.details) > _MOST_DETAILS:
        raise Violation(f"{len(status.details):,} details")
    for detail in status.details:
        if len(detail) > _LONGEST_DETAIL or not detail.isprintable():
            raise Violation(f"a detail that no log can hold: {detail!a}")
        if secret_in(detail) and not _moved(data):
            raise Violation(f"a detail shows the secret: {detail!a}")
    return status


def _moved(data: bytes) -> bool:
    """Tell whether a mutation put the secret where none belongs."""
    return any(
        secret_in(text)
        for path, content in images.read(data).tree.files.items()
        for text in (path, *documents.texts(_parsed(content), _SECRET_KEYS))
    )


def _verify(data: bytes) -> None:
    """List what every reader loses of a drive."""
    found = verify(
        images.read(data),
        corpus.settings(),
        readers=READERS.values(),
        size=len(data),
    )
    if len(found.losses) > _MOST_DETAILS:
        raise Violation(f"{len(found.losses):,} losses")
    for loss in found.losses:
        if secret_in(str(loss)) and not _moved(data):
            raise Violation(f"a loss shows the secret: {str(loss)!a}")


def _recall(contents: Contents) -> None:
    """Recall what nova does, and make a request of it."""
    tree = contents.tree
    recalled = layout_in(tree.files).recall(corpus.UUID, tree)
    if secret_in(repr(recalled)):
        raise Violation("the repr of what is recalled shows the secret")
    json.dumps(dict(recalled.vendor_data2))
    # What a drive says may be more than a request can hold.
    try:
        request = dataclasses.replace(
            corpus.bare(),
            admin_pass=recalled.admin_pass,
            injected_files=recalled.injected_files,
            vendor_data2=recalled.vendor_data2,
        )
    except InvalidRequest as error:
        if secret_in(str(error)):
            raise Violation(f"an error shows the secret: {error}") from error
        return
    build.tree_of(request, corpus.settings(), b"seed")


def _rebuild(
    data: bytes, contents: Contents, request: Request, image_format: str
) -> str:
    """Rebuild a drive for a request; it must be whole and not much larger."""
    settings = corpus.settings()
    try:
        request = as_found(request, contents)
    except ImageError as error:
        return type(error).__name__
    tree = build.tree_of(request, settings, b"seed")
    try:
        new = build.image_of(
            tree,
            image_format,
            settings,
            uuid=corpus.UUID,
            timestamp=corpus.TIMESTAMP,
            without=contents.left_out,
        ).data
    except ImageError as error:
        if _TOO_LARGE not in str(error):
            raise Violation(f"can't be rebuilt: {error}") from error
        return _TOO_LARGE
    # VFAT holds every version of a file.
    times = 2 if image_format == ISO9660 else 16
    if len(new) > times * len(data) + _BESIDE:
        raise Violation(f"rebuilt, {len(data):,} bytes become {len(new):,}")
    status = _examined(new, request)
    if status.state != FRESH:
        raise Violation(f"rebuilt, it is {status}")
    return f"{image_format} {len(tree).bit_length()}"


def _spawn(data: bytes) -> None:
    """Spawn the instance of a drive that is there, with the real driver."""
    scratch.put(corpus.UUID, data)
    request: ConfigDriveRequest = corpus.bare()
    scratch.driver().spawn(request)
    found = scratch.driver().status(request)
    if found.state != FRESH:
        raise Violation(f"after spawn, it is {found}")


@functools.cache
def _rendered() -> RenderedRequest:
    return RenderedRequest(
        uuid=corpus.UUID, files=corpus.trees()[1].files, config_drive=True
    )


@functools.lru_cache(maxsize=256)
def _tree(data: bytes) -> MetadataTree:
    try:
        return images.read(data).tree
    except (Exception, Hang):
        return corpus.trees()[0]


def _change(
    files: dict[str, bytes], chance: Random, others: Mapping[str, bytes]
) -> None:
    kind = chance.randrange(16)
    if kind < 9:
        _change_document(files, chance, others)
    elif kind == 9 and files:
        del files[chance.choice(list(files))]
    elif kind == 10 and files:
        files[_path(chance)] = files[chance.choice(list(files))]
    elif kind == 11:
        files[_path(chance)] = chance.choice((b"{}", b"[]", b"", b"\xff"))
    elif kind == 12 and files:
        path = chance.choice(list(files))
        some = bytearray(files[path])
        mutate.mutate(some, chance, [b"{}", *others.values()], _SOME)
        files[path] = bytes(some)
    elif kind == 13 and files:
        path = chance.choice(list(files))
        times = chance.choice((*[2] * 9, 10, 100))
        files[path] = (files[path] or b"x") * times
    elif kind == 14 and chance.random() < 0.4:
        _share(files, chance)
    elif files:
        files[_path(chance)] = files.pop(chance.choice(list(files)))


_SOME = (*mutate.IN_PLACE, *mutate.OF_SIZE)


def _change_document(
    files: dict[str, bytes], chance: Random, others: Mapping[str, bytes]
) -> None:
    """Change a JSON file, most often the same one in all versions."""
    paths = [path for path in files if path.endswith(".json")]
    # What is read of a drive is in these.
    paths += [path for path in paths if "/latest/meta" in path] * 3
    if not paths:
        return
    path = chance.choice(paths)
    document = _parsed(files[path])
    taken = [_parsed(other) for other in list(others.values())[:3]]
    if isinstance(document, dict) and chance.random() < 0.4:
        _change_known(document, chance)
    else:
        document = documents.change(document, chance, taken)
    try:
        coded = documents.encode(document, chance)
    except (RecursionError, ValueError):
        return
    name = path.rpartition("/")[2]
    alike = chance.random() < 0.7
    for other in list(files):
        if other == path or (alike and other.endswith(f"/{name}")):
            files[other] = coded


def _change_known(document: dict[str, Any], chance: Random) -> None:
    """Change what is recalled of a drive, and little else."""
    kind = chance.randrange(6)
    if kind == 0:
        document["admin_pass"] = documents.some_value(chance)
    elif kind == 1:
        document["random_seed"] = chance.choice(
            ("", "QUJD", "QUI", "QUJD" * 60_000, documents.some_value(chance))
        )
    elif kind == 2:
        entry = {"path": "/x", "content_path": "/content/0000"}
        some = [
            documents.change(entry, chance) if chance.random() < 0.4 else entry
            for _ in range(chance.choice((*[1, 2, 3] * 9, 2000)))
        ]
        document["files"] = some
    elif kind == 3:
        device = {"mac": corpus.MAC, "bus": "pci", "address": "0000:00:03.0"}
        some = [documents.change(device, chance)]
        document["devices"] = some * chance.choice((*[1, 2] * 9, 5000))
    elif kind == 4:
        document["uuid"] = documents.some_value(chance)
    else:
        document["network_config"] = chance.choice(
            (
                documents.some_value(chance),
                {"content_path": documents.some_value(chance)},
            )
        )


def _share(files: dict[str, bytes], chance: Random) -> None:
    """Give many files one content, which ISO9660 stores once."""
    size = int(chance.random() ** 12 * _LARGEST_SHARED)
    unit = chance.choice((b"{},", b"[],", b'"a",', b"1,", b"[{}],", b" "))
    content = b"[" + unit * (size // len(unit)) + b"1]"
    if chance.random() < 0.3:
        content = b'{"uuid": "x", "devices": %s}' % content
    for number in range(chance.choice((1, 3, 20, 60))):
        files[f"openstack/content/{number}.json"] = content
    if chance.random() < 0.3:
        files["openstack/latest/meta_data.json"] = content


def _path(chance: Random) -> str:
    top = chance.choice(("openstack", "openstack", "ec2", "a", "OpenStack"))
    return f"{top}/{chance.choice(_VERSIONS)}/{chance.choice(_NAMES)}"


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return {"uuid": corpus.UUID, "admin_pass": SECRET}


def _restamped(data: bytes, image_format: str, chance: Random) -> bytes:
    """Return an image with its stamp as it is, wrong, or away."""
    kind = chance.randrange(5)
    if kind > 1:
        return data
    changed = bytearray(data)
    at = stamp.OFFSETS[image_format]
    if kind == 0:
        mutate.put(changed, at, bytes(32))
    else:
        mutate.put(changed, at + chance.randrange(40, 60), b"0123")
    return bytes(changed)
