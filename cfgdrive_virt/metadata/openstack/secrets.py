"""What a guest needs once, and then no more: its password, its user data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterator
from typing import Any

from cfgdrive_virt.exception import ImageError, InvalidRequest, Problem
from cfgdrive_virt.metadata.openstack import json_file
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.request import ONE_SHOT, RenderedRequest, Request
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show

ADMIN_PASS, USER_DATA = ONE_SHOT

_USER_DATA_FILES = ("user_data", "user-data")


def named(names: Collection[str]) -> set[str]:
    """Return the names.

    :raises InvalidRequest: if one is no name of a secret
    """
    rule = rules.one_of(*ONE_SHOT)
    for name in names:
        try:
            rule(name)
        except ValueError as error:
            problem = Problem("names", show(name), str(error))
            raise InvalidRequest([problem]) from error
    return set(names)


def request_without(request: Request, names: Collection[str]) -> Request:
    """Return a request without some of its secrets.

    :raises ImageError: if a file that was rendered, and may hold one, can't
        be read
    """
    if not names:
        return request
    if isinstance(request, RenderedRequest):
        tree = tree_without(MetadataTree(request.files), names)
        return dataclasses.replace(request, files=tree.files)
    changes: dict[str, Any] = dict.fromkeys(names)
    return dataclasses.replace(request, **changes)


def tree_without(tree: MetadataTree, names: Collection[str]) -> MetadataTree:
    """Return a tree without some of its secrets.

    It is the one that the request without them gives.

    :raises ImageError: if a file that may hold one can't be read
    """
    return MetadataTree(dict(_files(tree, names)))


def _files(
    tree: MetadataTree, names: Collection[str]
) -> Iterator[tuple[str, bytes]]:
    for path, content in tree.files.items():
        name = path.rpartition("/")[2]
        if USER_DATA in names and name in _USER_DATA_FILES:
            continue
        if ADMIN_PASS in names and name == "meta_data.json":
            yield path, _without_password(path, content)
        else:
            yield path, content


def _without_password(path: str, content: bytes) -> bytes:
    try:
        document = json.loads(content)
        if document.pop(ADMIN_PASS, None) is None:
            return content
        return json_file.encode(document)
    except (ValueError, AttributeError, TypeError, RecursionError):
        # The error holds the text.
        raise ImageError(
            f"{show(path)} is no JSON object, so nobody can tell what secrets"
            " it holds"
        ) from None
