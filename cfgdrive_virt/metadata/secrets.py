"""What a guest needs only once: its password and its user data."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from cfgdrive_virt.exception import InvalidRequest, Problem
from cfgdrive_virt.metadata import layout_of
from cfgdrive_virt.model import rules
from cfgdrive_virt.model.request import ONE_SHOT, RenderedRequest, Request
from cfgdrive_virt.model.value import show


def named(names: Collection[str]) -> set[str]:
    """Return the names of secrets, checked.

    :raises InvalidRequest: if one is not the name of a secret
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

    :raises InvalidRequest: if a rendered request's files cannot be a drive's
    :raises ImageError: if a rendered file that may hold a secret cannot be
        read
    """
    if not names:
        return request
    if isinstance(request, RenderedRequest):
        layout = layout_of(request)
        tree = layout.without(layout.rendered(request), names)
        return dataclasses.replace(request, files=tree.files)
    changes: dict[str, Any] = dict.fromkeys(names)
    return dataclasses.replace(request, **changes)
