"""Many spawns at once: by one worker, and by workers in several processes."""

from __future__ import annotations

import dataclasses
import multiprocessing
import statistics
import sys
import tempfile
import time
import uuid as uuids
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from oslo_config import cfg

from bench import ceph
from bench.measure import Cost, Goal
from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest

INSTANCES = 64
#: How often one worker and many take turns.
ROUNDS = 5
#: Seconds for all workers to connect.
PATIENCE = 30

_CONF = """\
[DEFAULT]
instances_path = {root}
config_drive_format = iso9660
[cfgdrive_virt]
instances_path_shared = yes
[libvirt]
virt_type = qemu
"""


@dataclasses.dataclass(frozen=True, slots=True)
class _Workers:
    """How many workers share the instances.

    :param threads: in each process
    """

    processes: int
    threads: int

    @property
    def number(self) -> int:
        return self.processes * self.threads


FILES = f"{INSTANCES} spawns into files, each"
RBD = f"{INSTANCES} spawns into Ceph, each"
ONE, MANY = "one worker", "eight workers in two processes"

GOALS = (Goal(FILES, MANY, ONE, 0.6), Goal(RBD, MANY, ONE, 0.35))

_ONE = _Workers(processes=1, threads=1)
_MANY = _Workers(processes=2, threads=4)


def spawn_many(
    request: ConfigDriveRequest, cluster: ceph.Cluster | None
) -> list[Cost]:
    """Return what a spawn takes of one worker, and of many."""
    costs = []
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "instances")
        root.mkdir()
        texts = {FILES: _CONF.format(root=root)}
        if cluster is not None:
            texts[RBD] = texts[FILES] + "".join(
                f"{name} = {value}\n"
                for name, value in cluster.options().items()
            )
        for group, text in texts.items():
            conf = Path(directory, "conf")
            conf.write_text(text)
            found: dict[str, list[tuple[float, float]]] = {ONE: [], MANY: []}
            for _ in range(ROUNDS):
                for name, workers in ((ONE, _ONE), (MANY, _MANY)):
                    found[name].append(_per_spawn(conf, request, workers))
            for name, times in found.items():
                seconds, cpu = map(statistics.median, zip(*times, strict=True))
                costs.append(Cost(group, name, seconds, cpu, None))
    return costs


def _per_spawn(
    conf: Path, request: ConfigDriveRequest, workers: _Workers
) -> tuple[float, float]:
    """Spawn all instances; return seconds and CPU seconds for each.

    :param conf: a path of the driver's configuration
    """
    context = multiprocessing.get_context("fork")
    connected = context.Barrier(workers.processes)
    times = context.SimpleQueue()

    def work(
        first: ConfigDriveRequest, requests: Sequence[ConfigDriveRequest]
    ) -> None:
        driver = _driver(conf)
        # Connects, and makes the drives' shape known, as in a service.
        driver.spawn(first)
        connected.wait(PATIENCE)
        before, started = time.process_time(), time.perf_counter()
        with ThreadPoolExecutor(workers.threads) as pool:
            list(pool.map(driver.spawn, requests))
        spent = time.process_time() - before
        times.put((time.perf_counter() - started, spent))

    requests = [
        dataclasses.replace(request, uuid=str(uuids.uuid4()))
        for _ in range(workers.processes + INSTANCES)
    ]
    firsts = requests[: workers.processes]
    rest = requests[workers.processes :]
    children = [
        context.Process(
            target=work, args=(first, rest[n :: workers.processes])
        )
        for n, first in enumerate(firsts)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            sys.exit("a worker has failed")
    results = [times.get() for _ in children]
    slowest: float = max(seconds for seconds, _ in results)
    spent: float = sum(cpu for _, cpu in results)
    return slowest / INSTANCES, spent / INSTANCES


def _driver(path: Path) -> ConfigDriveDriver:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(path)], default_config_dirs=[])
    return ConfigDriveDriver(conf)
