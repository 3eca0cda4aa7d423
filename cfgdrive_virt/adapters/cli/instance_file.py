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

import contextlib
import json
import re
from typing import Any, NoReturn

import yaml

from cfgdrive_virt.exception import InvalidRequest, Problem
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.value import from_mapping, show

#: More than any drive can contain.
MAX_BYTES = 256 * 1024 * 1024

#: PyYAML takes seconds for a megabyte of short lines.
_MAX_YAML = 16 * 1024 * 1024
#: PyYAML takes seconds for half a megabyte of nested brackets: what begins
#: as JSON, and is larger, has to be JSON.
_MAX_IN_BRACES = 64 * 1024
_STRING, _MERGE, _BINARY = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "merge", "binary")
)
_NO_TAGS = "must not contain tags (!); quote the text"

#: libyaml's parser takes a tenth of the time; not every PyYAML has it.
_FAST = getattr(yaml, "CSafeLoader", None)
#: With these, libyaml accepts what PyYAML's own parser refuses: a tab, a byte
#: order mark, a question mark (in a flow mapping), and a comment right behind
#: the head of a block, such as |-#.  It takes minutes for many %TAG lines.
_NOT_FOR_LIBYAML = ("\t", "\ufeff", "?", "%TAG")
_BLOCK_COMMENT = re.compile(r"#(?<=[|>0-9+-]#)")


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
        if len(text) > _MAX_IN_BRACES:
            _refuse(where, "must be JSON")
        try:
            return _parse_yaml(text)
        except InvalidRequest:
            _refuse(where, "must be JSON, or YAML")
    except ValueError:
        _refuse("", "must not contain such a long number")


def _parse_yaml(text: str) -> Any:
    if len(text) > _MAX_YAML:
        _refuse("", f"must be JSON if it is larger than {_MAX_YAML:,} bytes")
    if _FAST is not None and _is_for_libyaml(text):
        # Read again what this refuses: the error must be the same everywhere.
        with contextlib.suppress(
            yaml.YAMLError, ValueError, OverflowError, InvalidRequest
        ):
            return _document(_FAST(text))
    try:
        return _document(yaml.SafeLoader(text))
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


def _is_for_libyaml(text: str) -> bool:
    has_any = any(part in text for part in _NOT_FOR_LIBYAML)
    return not has_any and not _BLOCK_COMMENT.search(text)


def _document(loader: Any) -> Any:
    """Return the value of a file's only document; None if it has none."""
    loader.get_event()  # The file begins.
    if loader.check_event(yaml.StreamEndEvent):
        return None
    loader.get_event()  # The document begins.
    value = _value(loader, loader.get_event())
    loader.get_event()  # The document ends.
    if not loader.check_event(yaml.StreamEndEvent):
        _refuse(_line(loader.get_event()), "must not have a second document")
    return value


def _value(loader: Any, event: Any) -> Any:
    """Return the value that begins with an event."""
    # Nodes in between, as PyYAML makes them, would take twice the time, and
    # have no anchors.
    if event.anchor is not None:
        _refuse(
            _line(event),
            "must not contain anchors or aliases (&, *); quote the text",
        )
    kind = type(event)
    if kind is yaml.ScalarEvent:
        return _scalar(loader, event)
    if event.tag is not None:
        _refuse(_line(event), _NO_TAGS)
    following = loader.get_event
    if kind is yaml.SequenceStartEvent:
        items = []
        while type(event := following()) is not yaml.SequenceEndEvent:
            items.append(_value(loader, event))
        return items
    mapping: dict[Any, Any] = {}
    while type(event := following()) is not yaml.MappingEndEvent:
        key = _value(loader, event)
        if isinstance(key, (list, dict)):
            _refuse(_line(event), "must not have a list or mapping as a key")
        if key in mapping:
            _refuse(_line(event), "must not repeat a key")
        mapping[key] = _value(loader, following())
    return mapping


def _scalar(loader: Any, event: Any) -> Any:
    tag = event.tag
    if tag is None:
        if not event.implicit[0]:
            return event.value
        tag = loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == _STRING:
            return event.value
        if tag == _MERGE:
            _refuse(_line(event), "must not contain merge keys (<<)")
    elif tag != _BINARY:
        _refuse(_line(event), _NO_TAGS)
    node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
    # Not construct_object: it would keep all nodes.
    make = loader.yaml_constructors.get(tag, loader.yaml_constructors[None])
    return make(loader, node)


def _line(event: Any) -> str:
    return f"line {event.start_mark.line + 1}"


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
