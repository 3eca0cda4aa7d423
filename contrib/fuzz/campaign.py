"""Run targets in processes of their own, and gather what they find."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import dataclasses
import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

from fuzz import scratch, watch
from fuzz.limits import Hang, limited
from fuzz.target import Target
from fuzz.targets import TARGETS

#: Inputs that gave something new and are mutated further.
_POOL = 256
#: Of which the largest has so many bytes.
_LARGEST = 1 << 19
_LARGEST_INPUT = 1 << 22
#: Share of the inputs that are mutations of the corpus itself.
_FROM_CORPUS = 0.6
#: One of so many inputs is measured for its memory.
_MEASURED = 64
#: Seconds without a new input after which a process is killed.
SILENT = 120
_MEMORY = 3 << 30
#: Seconds of CPU for one mutation.
_MUTATION = 10
_SAVED_OF_KIND = 3
_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that a target doesn't take as it should."""

    target: str
    kind: str
    text: str
    trace: str
    data: bytes = dataclasses.field(repr=False)


@dataclass(slots=True)
class Result:
    """What became of the inputs of a target.

    :param seconds: that it took, of wall clock time
    :param kinds: of inputs that were accepted or refused, by what happened
    """

    target: str
    inputs: int = 0
    accepted: int = 0
    findings: int = 0
    seconds: float = 0.0
    kinds: set[str] = dataclasses.field(default_factory=set)
    found: dict[str, list[Finding]] = dataclasses.field(default_factory=dict)

    def add(self, other: Result) -> None:
        """Add what became of more inputs of the target."""
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.findings += other.findings
        self.seconds += other.seconds
        self.kinds |= other.kinds
        for kind, found in other.found.items():
            self.found.setdefault(kind, []).extend(found)


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a process stops: after so many seconds, or inputs.

    :param inputs: None for as many as there is time for
    """

    seconds: float
    inputs: int | None = None


class _Current:
    """The input that a process works on, which outlives the process."""

    _SIZE = 1 << 25

    def __init__(self) -> None:
        self._size = _fork.RawValue(ctypes.c_uint64, 0)
        self._count = _fork.RawValue(ctypes.c_uint64, 0)
        self._data = _fork.RawArray(ctypes.c_char, self._SIZE)

    def set(self, data: bytes) -> None:
        size = min(len(data), self._SIZE)
        ctypes.memmove(self._data, data, size)
        self._size.value = size
        self._count.value += 1

    @property
    def data(self) -> bytes:
        return ctypes.string_at(self._data, self._size.value)

    @property
    def count(self) -> int:
        return int(self._count.value)


def run(
    names: Sequence[str], seed: str, bounds: Bounds, jobs: int
) -> dict[str, Result]:
    """Run targets, so many at a time, and return what became of each."""
    results = {name: Result(name) for name in names}
    waiting = list(names)
    running: list[_Job] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(_Job(waiting.pop(0), seed, bounds))
        wait([one for job in running for one in job.events], timeout=1)
        for job in list(running):
            result = job.result()
            if result is None:
                continue
            running.remove(job)
            results[job.name].add(result)
            if again := job.rest(results[job.name]):
                running.append(again)
    return results


class _Job:
    """A process that runs one target."""

    def __init__(
        self, name: str, seed: str, bounds: Bounds, part: int = 0
    ) -> None:
        self.name = name
        self._seed, self._bounds, self._part = seed, bounds, part
        self._current = _Current()
        self._started = self._heard = time.monotonic()
        self._count = 0
        self._killed = False
        self._receiver, sender = _fork.Pipe(duplex=False)
        self.process: BaseProcess = _fork.Process(
            target=_work,
            args=(
                TARGETS[name],
                f"{seed}/{name}/{part}",
                bounds,
                self._current,
                sender,
            ),
        )
        self.process.start()
        sender.close()

    @property
    def events(self) -> tuple[int | Connection, ...]:
        """Return what to wait for."""
        return self.process.sentinel, self._receiver

    def result(self) -> Result | None:
        """Return the result of a process that has ended; None for others."""
        if self._receiver.poll():
            with contextlib.suppress(EOFError):
                result: Result = self._receiver.recv()
                self.process.join()
                return result
        if self.process.is_alive():
            self._watch()
            return None
        return self._died()

    def rest(self, so_far: Result) -> _Job | None:
        """Return a process for what is left after one that died."""
        if self.process.exitcode == 0:
            return None
        left = self._bounds.seconds - (time.monotonic() - self._started)
        inputs = self._bounds.inputs
        if inputs is not None:
            inputs -= self._current.count
        if left <= 1 or (inputs is not None and inputs < 1):
            return None
        if so_far.findings > 100:
            return None
        part = self._part + 1
        return _Job(self.name, self._seed, Bounds(left, inputs), part)

    def _watch(self) -> None:
        now = time.monotonic()
        if self._current.count != self._count:
            self._count, self._heard = self._current.count, now
        elif now - self._heard > SILENT:
            self._killed = True
            self.process.kill()

    def _died(self) -> Result:
        how = f"the process died: {self.process.exitcode}"
        if self._killed:
            how = f"the process didn't go on for {SILENT} s"
        self.process.join()
        assert self.process.pid is not None
        scratch.remove_of(self.process.pid)
        kind = "killed" if self._killed else "died"
        finding = Finding(self.name, kind, how, "", self._current.data)
        return Result(
            self.name,
            self._current.count,
            findings=1,
            seconds=time.monotonic() - self._started,
            found={kind: [finding]},
        )


def _work(
    target: Target,
    seed: str,
    bounds: Bounds,
    current: _Current,
    sender: Connection,
) -> None:
    """Run one target, in a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        result = fuzz(target, seed, bounds, current.set)
    finally:
        target.close()
    sender.send(result)
    sender.close()


def fuzz(
    target: Target,
    seed: str,
    bounds: Bounds,
    before_each: Callable[[bytes], object] = len,
) -> Result:
    """Run one target in this process.

    :param before_each: is given each input before the target is
    """
    chance = Random(seed)
    corpus = target.corpus()
    pool = list(corpus)
    result = Result(target.name)
    started = time.monotonic()
    with watch.logged():
        while bounds.inputs is None or result.inputs < bounds.inputs:
            result.seconds = time.monotonic() - started
            if result.seconds >= bounds.seconds:
                break
            if result.inputs < len(corpus):
                data = corpus[result.inputs]
            else:
                data = _next(target, chance, corpus, pool)
            before_each(data)
            measure = not result.inputs % _MEASURED
            outcome = watch.judge(target, data, measure=measure)
            result.inputs += 1
            _count(result, outcome, data)
            if outcome.kind in result.kinds or outcome.state == watch.FINDING:
                continue
            result.kinds.add(outcome.kind)
            if len(data) <= _LARGEST:
                if len(pool) >= _POOL:
                    pool.pop(chance.randrange(len(corpus), len(pool)))
                pool.append(data)
    return result


def _next(
    target: Target, chance: Random, corpus: list[bytes], pool: list[bytes]
) -> bytes:
    some = corpus if chance.random() < _FROM_CORPUS else pool
    data = chance.choice(some)
    # Documents may be nested too deeply for the mutators, too, or grow larger
    # than the process may; some mutators read an image by the product.
    changed = data
    refused = (RecursionError, MemoryError, Hang)
    with contextlib.suppress(*refused), limited(_MUTATION):
        changed = target.mutate(data, chance, pool)
    return changed if len(changed) <= _LARGEST_INPUT else data


def _count(result: Result, outcome: watch.Outcome, data: bytes) -> None:
    result.accepted += outcome.state == watch.ACCEPTED
    if outcome.state != watch.FINDING:
        return
    result.findings += 1
    found = result.found.setdefault(outcome.kind, [])
    finding = Finding(
        result.target, outcome.kind, outcome.text, outcome.trace, data
    )
    if finding in found:
        return
    found.append(finding)
    if len(found) > _SAVED_OF_KIND:
        # Small ones are easier to understand.
        found.remove(max(found, key=lambda one: len(one.data)))


def save(finding: Finding, seed: str, directory: Path) -> Path:
    """Write a finding to files, and return the path of the input."""
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{finding.target}-{watch.digest(finding.data)}"
    path = directory / f"{name}.input"
    path.write_bytes(finding.data)
    (directory / f"{name}.txt").write_text(
        f"target: {finding.target}\nseed: {seed}\nkind: {finding.kind}\n"
        f"what: {finding.text}\n\n{finding.trace}",
        errors="backslashreplace",
    )
    return path


def replay(path: Path) -> watch.Outcome:
    """Run the target of a saved input on it, with all checks.

    :raises ValueError: if the file isn't named for a target
    """
    name = path.name.partition("-")[0]
    if name not in TARGETS:
        raise ValueError(
            f"{path.name} must begin with one of {', '.join(TARGETS)}"
        )
    target = copy.copy(TARGETS[name])
    target.thorough = True
    data = path.read_bytes()
    try:
        with watch.logged():
            return watch.judge(target, data, measure=True)
    finally:
        target.close()
