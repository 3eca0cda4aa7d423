"""What a guest needs only once, taken out of a tree."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.metadata import json_file
from cfgdrive_virt.model.request import ONE_SHOT
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show

ADMIN_PASS, USER_DATA = ONE_SHOT

_USER_DATA_FILES = ("user_data", "user-data")


def without(tree: MetadataTree, names: Collection[str]) -> MetadataTree:
    """Return the tree that the request without some secrets gives.

    :raises ImageError: if a file that may hold one cannot be read
    """
    return MetadataTree(dict(_files(tree, names)))


def _files(
    tree: MetadataTree, names: Collection[str]
) -> Iterator[tuple[str, bytes]]:
    stripped: dict[bytes, bytes] = {}
    for path, content in tree.files.items():
        name = path.rpartition("/")[2]
        if USER_DATA in names and name in _USER_DATA_FILES:
            continue
        if ADMIN_PASS in names and name == "meta_data.json":
            if content not in stripped:
                stripped[content] = _without_password(tree, path)
            yield path, stripped[content]
        else:
            yield path, content


def _without_password(tree: MetadataTree, path: str) -> bytes:
    try:
        document = json_file.document(tree, path)
    except ValueError:
        document = None
    if not isinstance(document, Mapping):
        # Not chained: the error holds the text.
        raise ImageError(
            f"{show(path)} is not a JSON object; cannot tell which secrets it"
            " holds"
        )
    if document.get(ADMIN_PASS) is None:
        return tree.files[path]
    rest = {key: document[key] for key in document if key != ADMIN_PASS}
    return json_file.encode(rest)
