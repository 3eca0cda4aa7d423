"""One drive among many: what its hooks take, and what list takes for each.

The other drives are names of a few files, and small volumes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import subprocess
import sys
import tempfile
import uuid as uuids
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import ROOT, ceph, hooks
from bench.measure import Cost, Goal, Way, measure
from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.model.drive import ISO9660, NAME

FILE, VOLUME = "file", "volume"
HOOKS = ("spawn", "status", "destroy")
VERBS = ("list", "prune")

#: Seconds that list and prune may take for each.
MOST = {FILE: 0.0003, VOLUME: 0.0015}
#: How many times longer a hook may take among many drives.
SLOWER = 1.25

_LIMIT = "at most"
#: ext4 gives a file 65,000 names at most.
_NAMES_OF_A_FILE = 1000
_WRITERS = 8


#: Runs the command, and prints what that took.
_PROGRAM = """\
import contextlib, os, re, sys, time
from cfgdrive_virt.adapters.cli.main import main
before, started = time.process_time(), time.perf_counter()
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    main(sys.argv[1:], standalone_mode=False)
seconds, cpu = time.perf_counter() - started, time.process_time() - before
status = open("/proc/self/status").read()
print(seconds, cpu, re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """What a command takes.

    :param memory: in KiB
    """

    seconds: float
    cpu: float
    memory: int


def goals(counts: Sequence[int]) -> tuple[Goal, ...]:
    """Return the goals for these numbers of drives."""
    few, *more = map(_among, sorted(counts))
    return tuple(
        goal
        for kind in MOST
        for many in more
        for goal in (
            *(Goal(_hook(hook, kind), many, few, SLOWER) for hook in HOOKS),
            *(Goal(_each(verb, kind), many, _LIMIT, 1) for verb in VERBS),
        )
    )


def measured(
    request: ConfigDriveRequest,
    counts: Sequence[int],
    repetitions: int,
    *,
    in_ceph: bool,
) -> tuple[list[Cost], dict[str, int]]:
    """Return what hooks and commands take among so many drives.

    And the memory that the commands take, in KiB.

    :param counts: numbers of drives; a command's time is what each drive
        takes beyond the least number
    :param in_ceph: whether to measure volumes, too, each number of them in a
        cluster of its own
    """
    costs: list[Cost] = []
    memory: dict[str, int] = {}
    for kind in (FILE, VOLUME) if in_ceph else (FILE,):
        ways: list[Way] = []
        runs: dict[int, dict[str, _Run]] = {}
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            for count in sorted(counts):
                cluster = None
                if kind == VOLUME:
                    cluster = stack.enter_context(ceph.running())
                place = _Place(Path(directory, str(count)), request, cluster)
                instances = _instances(count)
                place.fill(instances)
                runs[count] = place.run(instances)
                ways += place.ways(_among(count))
            # One hook among few and many, one after the other.
            ways.sort(key=lambda way: way.group)
            costs += measure(ways, repetitions)
        costs += _for_each(kind, runs)
        memory |= {
            f"KiB of memory: {verb}, {count:,} {kind}s": run.memory
            for count, found in runs.items()
            for verb, run in found.items()
        }
    return costs, memory


class _Place:
    """Drives in a directory, or in a cluster's pool."""

    def __init__(
        self,
        root: Path,
        request: ConfigDriveRequest,
        cluster: ceph.Cluster | None,
    ) -> None:
        self._kind = VOLUME if cluster else FILE
        self._root = root
        self._request = request
        self._cluster = cluster
        self._options = cluster.options() if cluster else {}
        self._driver = hooks.driver_of(root, ISO9660, self._options)

    def fill(self, instances: Sequence[str]) -> None:
        """Make the other drives."""
        if self._cluster:
            store = self._cluster.our_store()
            with ThreadPoolExecutor(_WRITERS) as writers:
                list(writers.map(lambda u: store.write(u, b"x"), instances))
            return
        data = self._driver.build(self._request, ISO9660).data
        for number, uuid in enumerate(instances):
            drive = self._root / uuid / NAME
            drive.parent.mkdir()
            if number % _NAMES_OF_A_FILE == 0:
                file = drive
                file.write_bytes(data)
            else:
                drive.hardlink_to(file)

    def ways(self, name: str) -> list[Way]:
        """Return the hooks of one more drive, and of one that is there."""
        driver, there = self._driver, self._request
        new = dataclasses.replace(there, uuid=str(uuids.uuid4()))

        def spawn(request: ConfigDriveRequest) -> None:
            driver.spawn(request)

        def destroy(request: ConfigDriveRequest) -> None:
            driver.destroy(request.uuid)

        def status(request: ConfigDriveRequest) -> None:
            driver.status(request)

        def way(
            hook: Callable[[ConfigDriveRequest], None],
            request: ConfigDriveRequest,
            clean: Callable[[ConfigDriveRequest], object],
        ) -> Way:
            return Way(
                _hook(hook.__name__, self._kind),
                name,
                lambda: hook(request),
                lambda: clean(request),
            )

        spawn(there)
        return [
            way(spawn, new, destroy),
            way(status, there, lambda _: None),
            way(destroy, there, spawn),
        ]

    def run(self, instances: Sequence[str]) -> dict[str, _Run]:
        """Return what each command takes for all drives.

        :param instances: for prune, which exist
        """
        conf, living = (
            self._root.with_name(f"{self._root.name}.{name}")
            for name in ("conf", "living")
        )
        options = "".join(f"{n} = {v}\n" for n, v in self._options.items())
        conf.write_text(
            f"[DEFAULT]\ninstances_path = {self._root}\n[libvirt]\n{options}"
        )
        living.write_text("\n".join(instances))
        more = {"list": (), "prune": ("--living", living)}
        return {
            verb: _run("--config-file", conf, verb, *more[verb])
            for verb in VERBS
        }


def _run(*arguments: str | Path) -> _Run:
    """Run the command line, whose answer goes nowhere."""
    command = shutil.which("cfgdrive-virt")
    if command is None:
        sys.exit("the command cfgdrive-virt is not in PATH")
    done = subprocess.run(
        [Path(command).with_name("python"), "-c", _PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    seconds, cpu, memory = done.stdout.split()
    return _Run(float(seconds), float(cpu), int(memory))


def _for_each(
    kind: str, runs: Mapping[int, Mapping[str, _Run]]
) -> Iterator[Cost]:
    """Yield what commands take for each drive beyond the least number."""
    few, *more = runs
    for verb in VERBS:
        group = _each(verb, kind)
        yield Cost(group, _LIMIT, MOST[kind], MOST[kind], None)
        for many in more:
            one, all_ = runs[few][verb], runs[many][verb]
            drives = many - few
            yield Cost(
                group,
                _among(many),
                (all_.seconds - one.seconds) / drives,
                (all_.cpu - one.cpu) / drives,
                None,
            )


def _instances(count: int) -> list[str]:
    """Return UUIDs."""
    chance = random.Random(0)  # noqa: S311 - the same drives in each run
    numbers = (chance.getrandbits(128) for _ in range(count))
    return [str(uuids.UUID(int=number, version=4)) for number in numbers]


def _among(count: int) -> str:
    return f"among {count:,}"


def _hook(hook: str, kind: str) -> str:
    return f"{hook}, a {kind} among others"


def _each(verb: str, kind: str) -> str:
    return f"{verb}, each {kind}"
