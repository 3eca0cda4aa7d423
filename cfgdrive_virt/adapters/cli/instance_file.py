"""Turn an instance file (YAML or JSON) into a request.

Beyond what the request's own rules refuse, a file must not contain repeated
keys, merge keys, numbers that are not valid JSON (such as NaN), or YAML's
anchors, aliases and tags, except for !!binary.  A few lines of aliases can
expand to terabytes, and a password that begins with & or ! would be parsed as
an anchor or a tag, and be lost.

An error gives the place in the file, but never quotes the file: the invalid
line may be the one with the password.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any, NoReturn

import yaml

from cfgdrive_virt.exception import InvalidRequest, Problem
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.value import from_mapping, show

#: More than any drive can contain.
MAX_BYTES = 256 * 1024 * 1024

#: PyYAML takes seconds for a megabyte of short lines.
_MAX_YAML = 16 * 1024 * 1024
_TAGS = (None, "!", "tag:yaml.org,2002:binary")


def load(data: bytes, source: str) -> ConfigDriveRequest:
    """Return the request in an instance file.

    :param source: the file's name, for errors
    :raises InvalidRequest: with all problems of the file
    """
    try:
        return from_mapping(ConfigDriveRequest, _parse(data))
    except InvalidRequest as error:
        raise InvalidRequest(error.problems, source) from None
    except RecursionError:
        problem = Problem("", "", "must not be nested too deeply")
        raise InvalidRequest([problem], source) from None


def _parse(data: bytes) -> Any:
    if len(data) > MAX_BYTES:
        _refuse("", f"must be at most {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(f"byte {error.start}", "must be UTF-8")
    # Parse JSON as JSON: YAML has other escapes. What is not JSON may still
    # be a YAML mapping in braces.
    if not text.lstrip().startswith("{"):
        return _parse_yaml(text)
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        try:
            return _parse_yaml(text)
        except InvalidRequest:
            _refuse(where, "must be JSON, or YAML")
    except ValueError:
        _refuse("", "must not contain such a long number")


def _parse_yaml(text: str) -> Any:
    if len(text) > _MAX_YAML:
        _refuse("", f"must be JSON if it is larger than {_MAX_YAML:,} bytes")
    try:
        # _Loader is a SafeLoader, but ruff recognizes only that name.
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = (
            f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        )
        # After the first quote, the text may quote the file.
        problem = (error.problem or "").partition("'")[0].strip()
        _refuse(where, f"must be YAML ({problem})")
    except (yaml.YAMLError, ValueError, OverflowError):
        _refuse("", "must be YAML")


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses anchors, tags, merge and repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        where = f"line {event.start_mark.line + 1}"
        if event.anchor is not None:
            _refuse(
                where,
                "must not contain anchors or aliases (&, *); quote the text",
            )
        if getattr(event, "tag", None) not in _TAGS:
            _refuse(where, "must not contain tags (!); quote the text")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            where = f"line {key_node.start_mark.line + 1}"
            if key_node.tag == "tag:yaml.org,2002:merge":
                _refuse(where, "must not contain merge keys (<<)")
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue
            if key in seen:
                _refuse(where, "must not repeat a key")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            _refuse(show(name, secret=True), "must not appear twice")
        found[name] = value
    return found


def _no_constant(name: str) -> NoReturn:
    _refuse("", f"must not contain {name}, which is not valid JSON")


def _refuse(where: str, rule: str) -> NoReturn:
    # "from None": the parser's error quotes the file, and a traceback would
    # show it.
    raise InvalidRequest([Problem(where, "", rule)]) from None
