"""Rules on the fields of a frozen dataclass, all checked when it is made.

A field is declared with :func:`checked` (a scalar), :func:`nested` (another
value), :func:`many` (a tuple of values) or :func:`kinds_of` (a tuple of values
of several kinds).  Making a :class:`Value` runs every rule and raises one
``InvalidRequest`` that lists every broken one, so that all can be fixed in
one go.  :func:`from_mapping` does the same for a whole document.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from cfgdrive_virt.exception import InvalidRequest, Problem
from cfgdrive_virt.model.rules import Rule, canonical_uuid

_SPEC = "cfgdrive_virt"
_PRINTED_BITS = 256
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_V = TypeVar("_V", bound="Value")


@dataclasses.dataclass(frozen=True, slots=True)
class _Spec:
    """How a field is checked and read from a document."""

    rule: Rule
    secret: bool = False
    optional: bool = False
    required: bool = False
    of: type[Value] | Mapping[str, type[Value]] | None = None
    many: bool = False


def _field(
    spec: _Spec,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
) -> Any:
    return dataclasses.field(
        default=default,
        default_factory=default_factory,
        repr=not spec.secret,
        metadata={_SPEC: spec},
    )


def checked(
    rule: Rule,
    *,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    secret: bool = False,
) -> Any:
    """Declare a scalar field; a default of None makes it optional."""
    required = default is default_factory is dataclasses.MISSING
    spec = _Spec(rule, secret, default is None, required)
    return _field(spec, default, default_factory)


def nested(kind: type[Value], *, optional: bool = False) -> Any:
    """Declare a field with one value of a kind.

    :param optional: the default is None; else an empty value
    """
    spec = _Spec(_instance_of(kind), optional=optional, of=kind)
    if optional:
        return _field(spec, None)
    return _field(spec, default_factory=kind)


def many(kind: type[Value], rule: Rule = tuple) -> Any:
    """Declare a tuple of values of one kind, with a rule on the tuple."""
    return _field(_Spec(_tuple_of(kind, rule), of=kind, many=True), ())


def kinds_of(kinds: Mapping[str, type[Value]], rule: Rule = tuple) -> Any:
    """Declare a tuple of values; ``type`` in a document selects the kind."""
    kind = tuple(kinds.values())
    return _field(_Spec(_tuple_of(kind, rule), of=kinds, many=True), ())


def _instance_of(kind: type[Value]) -> Rule:
    def rule(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError(f"must be a {kind.__name__}")
        return value

    return rule


def _tuple_of(kind: type[Value] | tuple[type[Value], ...], then: Rule) -> Rule:
    def rule(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError("must be a list")
        if not all(isinstance(item, kind) for item in value):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            names = " or ".join(item.__name__ for item in kinds)
            raise ValueError(f"must contain only {names} values")
        return then(tuple(value))

    return rule


class Value:
    """Base class of frozen, slotted dataclasses whose fields have rules."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        for name, spec in self._specs().items():
            given = getattr(self, name)
            try:
                kept = _apply(spec, given)
            except ValueError as error:
                problems.append(_problem(name, spec, given, error))
            else:
                object.__setattr__(self, name, kept)
        if not problems:
            problems.extend(self._conflicts())
        if problems:
            raise InvalidRequest(problems)

    def _conflicts(self) -> Iterator[Problem]:
        """Yield problems between fields that are valid by themselves."""
        return iter(())

    @classmethod
    @functools.cache
    def _specs(cls) -> Mapping[str, _Spec]:
        fields = dataclasses.fields(cls)
        return {field.name: field.metadata[_SPEC] for field in fields}


def _apply(spec: _Spec, given: Any) -> Any:
    return None if given is None and spec.optional else spec.rule(given)


def _problem(path: str, spec: _Spec, given: Any, error: ValueError) -> Problem:
    hidden = spec.secret or spec.of is not None
    value = show(given, secret=hidden)
    # If an item is wrong, the container's size does not help.
    scalar = given is None or isinstance(given, (str, bytes, int, float))
    if not scalar and not str(error).startswith("must be a "):
        value = ""
    return Problem(path, value, str(error))


def show(value: Any, *, secret: bool = False) -> str:
    """Return a value for an error: short, and without secrets."""
    kinds = {
        "str": "a string", "bytes": "bytes", "int": "a number",
        "float": "a number", "bool": "a boolean", "NoneType": "nothing",
        "list": "a list", "tuple": "a list", "dict": "a mapping",
    }  # fmt: skip
    kind = kinds.get(type(value).__name__, type(value).__name__)
    simple = value is None or isinstance(value, (str, int, float))
    # Python refuses to print integers of more than some thousand digits.
    long = isinstance(value, int) and value.bit_length() > _PRINTED_BITS
    if secret or long or not simple:
        size = f" of {len(value)}" if hasattr(value, "__len__") else ""
        return kind + size
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} long)"


def from_mapping(kind: type[_V], document: Any) -> _V:
    """Make a value, with its nested values, from a parsed document.

    :param document: the result of a YAML or JSON parser
    :raises InvalidRequest: with every problem of the document; the value of a
        secret or of an unknown field is never shown
    """
    problems: list[Problem] = []
    value = _read(kind, document, "", problems)
    if problems or value is None:
        raise InvalidRequest(problems)
    return value


def _read(
    kind: type[_V], document: Any, path: str, problems: list[Problem]
) -> _V | None:
    """Return the value, or add to problems and return None."""
    if not isinstance(document, Mapping):
        problems.append(
            Problem(path, show(document, secret=True), "must be a mapping")
        )
        return None
    before = len(problems)
    specs = kind._specs()
    problems.extend(_unknown(specs, document, path))
    arguments: dict[str, Any] = {}
    for name, spec in specs.items():
        where = f"{path}.{name}" if path else name
        # An absent key and an empty one ("user_data:") mean the same.
        if document.get(name) is not None:
            found = len(problems)
            value = _read_field(spec, document[name], where, problems)
            if len(problems) == found:
                arguments[name] = value
        elif spec.required:
            problems.append(Problem(where, "", "must be given"))
    if len(problems) == before:
        try:
            return kind(**arguments)
        except InvalidRequest as error:
            problems.extend(problem.below(path) for problem in error.problems)
            return None
    # It can't be made; report problems of the other fields, too.
    for name, value in arguments.items():
        try:
            _apply(specs[name], value)
        except ValueError as error:
            problem = _problem(name, specs[name], value, error)
            problems.append(problem.below(path))
    return None


def _read_field(
    spec: _Spec, given: Any, path: str, problems: list[Problem]
) -> Any:
    if spec.many and isinstance(given, (list, tuple)):
        return [
            _read_item(spec.of, item, f"{path}[{index}]", problems)
            for index, item in enumerate(given)
        ]
    if isinstance(spec.of, type) and not spec.many:
        return _read(spec.of, given, path, problems)
    return given


def _read_item(
    of: type[Value] | Mapping[str, type[Value]] | None,
    item: Any,
    path: str,
    problems: list[Problem],
) -> Value | None:
    if isinstance(of, type):
        return _read(of, item, path, problems)
    assert of is not None
    named = item.get("type") if isinstance(item, Mapping) else None
    kind = of.get(named) if isinstance(named, str) else None
    if kind is None:
        rule = f"must be one of {', '.join(of)}"
        problems.append(Problem(f"{path}.type", show(named), rule))
        return None
    rest = {key: item[key] for key in item if key != "type"}
    return _read(kind, rest, path, problems)


def _unknown(
    specs: Mapping[str, _Spec], document: Mapping[Any, Any], path: str
) -> Iterator[Problem]:
    # Never show the value: a password in a misspelt field is a password.
    for key in document:
        if key not in specs:
            # An invalid name may be a line of another file, or a secret.
            plain = isinstance(key, str) and _NAME.fullmatch(key)
            name = str(key) if plain else show(key, secret=True)
            close = difflib.get_close_matches(name, specs, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            where = f"{path}.{name}" if path else name
            yield Problem(where, "", f"unknown field{hint}")


def checked_uuid(uuid: Any) -> str:
    """Return an instance's UUID as the stores have it.

    :raises InvalidRequest: if it isn't one
    """
    try:
        return canonical_uuid(uuid)
    except ValueError as error:
        problem = Problem("uuid", show(uuid), str(error))
        raise InvalidRequest([problem]) from error
