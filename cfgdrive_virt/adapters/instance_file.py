"""An instance file (YAML or JSON) becomes a request.

Refused, beyond what the request's own rules refuse: a key given twice,
aliases (a few lines of them can mean terabytes), numbers that JSON hasn't.
An error tells where in the file, and never quotes it: the line that is wrong
may be the one with the password.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any, NoReturn

import yaml

from cfgdrive_virt.exception import InvalidRequest, Problem
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.value import from_mapping, show

#: Far above what any drive may hold.
_MOST_BYTES = 256 * 1024 * 1024


def load(data: bytes, source: str) -> ConfigDriveRequest:
    """Return the request that an instance file makes.

    :param source: the file's name, for errors
    :raises InvalidRequest: with all that is wrong
    """
    try:
        return from_mapping(ConfigDriveRequest, _parse(data))
    except InvalidRequest as error:
        raise InvalidRequest(error.problems, source) from error
    except RecursionError:
        _refuse("", "must not be nested so deeply")


def _parse(data: bytes) -> Any:
    if len(data) > _MOST_BYTES:
        _refuse("", f"must be at most {_MOST_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(f"byte {error.start}", "must be UTF-8")
    # JSON is read as JSON, not as the YAML it nearly is: their escapes
    # differ. What isn't JSON may still be YAML's {}.
    if text.lstrip().startswith("{"):
        try:
            return json.loads(
                text,
                object_pairs_hook=_object,
                parse_constant=_no_constant,
            )
        except json.JSONDecodeError:
            pass
        except ValueError:
            _refuse("", "must not hold a number so long")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = (
            f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        )
        _refuse(where, f"must be YAML ({error.problem})")
    except (yaml.YAMLError, ValueError, OverflowError):
        _refuse("", "must be YAML")


class _Loader(yaml.SafeLoader):
    """YAML's plain values, less what can surprise."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            line = event.start_mark.line + 1
            _refuse(f"line {line}", "must not hold aliases")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                line = key_node.start_mark.line + 1
                _refuse(f"line {line}", "must not give a key twice")
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        _refuse(show(twice), "must not be given twice")
    return found


def _no_constant(name: str) -> NoReturn:
    _refuse("", f"must not hold {name}, which JSON hasn't")


def _refuse(where: str, rule: str) -> NoReturn:
    raise InvalidRequest([Problem(where, "", rule)])
