"""What was logged, and which secrets of which requests are in it."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cfgdrive_virt.model import value

#: What is shorter, or says little, is in many a text by chance.
_LEAST_LENGTH, _LEAST_LETTERS = 8, 5


class Recorder(logging.Handler):
    """Write all that there is in records to a file, of forks as well."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.NOTSET)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._handle = os.open(path, flags, 0o600)

    def emit(self, record: logging.LogRecord) -> None:
        # Where nova is the oracle, what it logs is its own affair.
        if record.name.startswith("nova."):
            return
        # With attributes, arguments, and what an exception says.
        self.format(record)
        text = f"{record.getMessage()}\n{vars(record)!r}\n"
        os.write(self._handle, text.encode(errors="replace"))

    def close(self) -> None:
        os.close(self._handle)
        super().close()


@contextlib.contextmanager
def recorded(path: Path) -> Iterator[None]:
    """Have all that is logged in a file, whatever its level."""
    recorder = Recorder(path)
    loggers = [logging.getLogger(name) for name in (None, "cfgdrive_virt")]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(recorder)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        loggers[0].removeHandler(recorder)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        recorder.close()


@contextlib.contextmanager
def secrets_used() -> Iterator[set[bytes]]:
    """Collect the secrets of all values that are made meanwhile."""
    found: set[bytes] = set()
    original = value.Value.__post_init__

    def collect(made: value.Value) -> None:
        original(made)
        for name, spec in made._specs().items():
            if spec.secret:
                found.update(_leaves(getattr(made, name)))

    value.Value.__post_init__ = collect  # type: ignore[method-assign]
    try:
        yield found
    finally:
        value.Value.__post_init__ = original  # type: ignore[method-assign]


def leaks(text: bytes, secrets: set[bytes]) -> list[bytes]:
    """Return the secrets that a text gives away, in one coding or another."""
    return sorted(
        secret
        for secret in secrets
        if any(
            _is_telling(coded) and coded in text
            for coded in (
                secret,
                base64.b64encode(secret),
                repr(secret)[2:-1].encode(),
                repr(secret.decode(errors="replace"))[1:-1].encode(),
            )
        )
    )


def _leaves(given: Any) -> Iterator[bytes]:
    if isinstance(given, str):
        yield given.encode(errors="replace")
    elif isinstance(given, bytes):
        yield given
    elif isinstance(given, Mapping):
        for one in given.values():
            yield from _leaves(one)
    elif isinstance(given, tuple):
        for one in given:
            yield from _leaves(one)


def _is_telling(secret: bytes) -> bool:
    return len(secret) >= _LEAST_LENGTH and len(set(secret)) >= _LEAST_LETTERS
