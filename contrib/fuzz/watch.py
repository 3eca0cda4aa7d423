"""Run a target on one input, and tell what is wrong with how it went."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import resource
import time
import traceback
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

from cfgdrive_virt.exception import ConfigDriveError, InvalidRequest
from fuzz.limits import Hang, limited
from fuzz.target import Target, Violation

ACCEPTED, REFUSED, FINDING = "accepted", "refused", "finding"

#: Share of the CPU limit above which memory isn't measured as a sample.
_SLOW = 0.1
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|b'[^']*'|[0-9a-f]*\d[\d,a-f]*")
_LONGEST_KIND = 160
#: Of a list of problems: a hundred, the first line and the last.
_MOST_LINES = 102


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a target took an input.

    :param state: accepted, refused or finding
    :param kind: the same one for similar inputs
    :param text: the error, or what is wrong
    :param trace: where, if that is an exception
    """

    state: str
    kind: str
    text: str = ""
    trace: str = ""


def judge(target: Target, data: bytes, *, measure: bool = False) -> Outcome:
    """Run a target on an input.

    :param measure: measure the memory too, in a second run that takes
        several times as long
    """
    limits = target.limits
    seconds = limits.seconds_for(len(data))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    outcome = _run(target, data, seconds)
    took = time.process_time() - started
    if outcome.state != FINDING and took > seconds:
        outcome = _finding("slow", f"took {took:.2f} s of CPU time")
    if outcome.state == FINDING:
        return outcome
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = (after - before) * 1024 > limits.memory_for(len(data)) // 2
    few = target.thorough or took < seconds * _SLOW
    if grown or (measure and few):
        return _measured(target, data, outcome)
    return outcome


def _measured(target: Target, data: bytes, outcome: Outcome) -> Outcome:
    """Run a target once more; its peak of memory may be a finding."""
    tracemalloc.start()
    try:
        # Tracing makes it several times slower.
        seconds = 10 * target.limits.seconds_for(len(data))
        _run(target, data, seconds)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if peak <= target.limits.memory_for(len(data)):
        return outcome
    return _finding(
        "memory",
        f"took {peak:,} bytes of memory for {len(data):,} bytes",
        where=outcome.state,
    )


def _run(target: Target, data: bytes, seconds: float) -> Outcome:
    try:
        _log.messages.clear()
        with limited(seconds):
            kind = target.run(data)
        if wrong := _wrong_in_log(target, data):
            return wrong
        return Outcome(ACCEPTED, f"{ACCEPTED}: {kind}")
    except Violation as error:
        trace = traceback.format_exc()
        return _finding("violation", str(error), trace=trace)
    except ConfigDriveError as error:
        return _refusal(target, data, error)
    except Hang:
        trace = traceback.format_exc(limit=-12)
        text = f"took more than {seconds:.2f} s of CPU time"
        return _finding("hang", text, trace=trace, where=_place(trace))
    # Any other error is what this program looks for.
    except Exception as error:
        trace = traceback.format_exc(limit=-12)
        text = f"{type(error).__name__}: {ascii(str(error))[:300]}"
        return _finding("error", text, trace=trace, where=_place(trace))


def _refusal(target: Target, data: bytes, error: ConfigDriveError) -> Outcome:
    """Return the outcome for an error that a target may raise."""
    text = str(error)
    name = type(error).__name__
    if wrong := _wrong_in_log(target, data):
        return wrong
    if wrong := _wrong_in_text(target, data, name, text):
        return wrong
    return Outcome(REFUSED, f"{name}: {kind_of(text)}", text)


def _wrong_in_log(target: Target, data: bytes) -> Outcome | None:
    for message in _log.messages:
        if wrong := _wrong_in_text(target, data, "log", message):
            return wrong
    return None


def _wrong_in_text(
    target: Target, data: bytes, name: str, text: str
) -> Outcome | None:
    """Return a finding if an error or a message is not as it should be."""
    # A list of problems has a line for each.
    lines = text.split("\n") if name == InvalidRequest.__name__ else [text]
    if len(lines) > _MOST_LINES or max(map(len, lines)) > target.limits.text:
        kind, what = "text", f"{name} of {len(text):,} characters"
    elif not all(line.isprintable() for line in lines):
        kind, what = "text", f"{name} is not printable: {ascii(text)[:500]}"
    elif len(text) < 2:
        kind, what = "text", f"{name} says nothing"
    elif secret := target.leak(text, data):
        kind, what = "secret", f"{name} shows {secret!r}: {text!a}"
    else:
        return None
    trace = traceback.format_exc(limit=-12)
    return _finding(kind, what, trace=trace, where=_place(trace))


class _Log(logging.Handler):
    """Keeps the messages of the product's loggers."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


_log = _Log()


@contextlib.contextmanager
def logged() -> Iterator[None]:
    """Check messages of all levels, too; nothing is printed."""
    logger = logging.getLogger("cfgdrive_virt")
    former = logger.level, logger.propagate
    logger.addHandler(_log)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(_log)
        logger.setLevel(former[0])
        logger.propagate = former[1]


def kind_of(text: str) -> str:
    """Return a text without what differs from input to input."""
    return _VARIABLE.sub("#", text)[:_LONGEST_KIND]


def digest(data: bytes) -> str:
    """Return a name for an input."""
    return hashlib.sha256(data).hexdigest()[:16]


def _finding(
    what: str, text: str, *, trace: str = "", where: str = ""
) -> Outcome:
    kind = f"{what}: {where or kind_of(text)}"
    return Outcome(FINDING, kind, text, trace)


def _place(trace: str) -> str:
    """Return the innermost place in the product, and the error."""
    places = re.findall(r"cfgdrive_virt/(\S+\.py)\", line (\d+)", trace)
    file, line = places[-1] if places else ("", "")
    errors = re.findall(r"^(\w[\w.]*)(?::|$)", trace, re.MULTILINE)
    error = errors[-1] if errors else ""
    return f"{error.rpartition('.')[2]} at {file}:{line}"
