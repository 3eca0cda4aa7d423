"""Many spawns at once: by one worker, and by workers in several processes."""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
import tempfile
import time
import uuid as uuids
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from oslo_config import cfg

from bench import ceph, images
from bench.measure import say
from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest

INSTANCES = 64
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


_ONE = _Workers(processes=1, threads=1)
_MANY = _Workers(processes=2, threads=4)


def spawn_many(
    request: ConfigDriveRequest, cluster: ceph.Cluster | None
) -> None:
    """Measure many spawns, by one worker and by many, and print it."""
    say(f"\n{INSTANCES} instances, by one worker and by {_MANY.number}")
    ratios = []
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "instances")
        root.mkdir()
        texts = {images.OURS: _CONF.format(root=root)}
        if cluster is not None:
            texts[ceph.OURS] = texts[images.OURS] + "".join(
                f"{name} = {value}\n"
                for name, value in cluster.options().items()
            )
        for way, text in texts.items():
            conf = Path(directory, "conf")
            conf.write_text(text)
            one = _seconds_per_spawn(conf, request, _ONE)
            many = _seconds_per_spawn(conf, request, _MANY)
            named = f"{way}, {_MANY.number} workers"
            for name, seconds in ((f"{way}, one worker", one), (named, many)):
                say(f"  {name:21} {seconds * 1000:8.2f} ms per spawn")
            words = f"{named} / one"
            ratios.append(f"  {words:30} time {many / one:.2f}")
    for line in ratios:
        say(line)


def _seconds_per_spawn(
    conf: Path, request: ConfigDriveRequest, workers: _Workers
) -> float:
    """Spawn all instances; return the seconds divided by their number.

    :param conf: a path of the driver's configuration
    """
    context = multiprocessing.get_context("fork")
    connected = context.Barrier(workers.processes)
    times = context.SimpleQueue()

    def work(requests: Sequence[ConfigDriveRequest]) -> None:
        driver = _driver(conf)
        driver.exists(requests[0].uuid)
        connected.wait(PATIENCE)
        started = time.perf_counter()
        with ThreadPoolExecutor(workers.threads) as pool:
            list(pool.map(driver.spawn, requests))
        times.put(time.perf_counter() - started)

    requests = [
        dataclasses.replace(request, uuid=str(uuids.uuid4()))
        for _ in range(INSTANCES)
    ]
    children = [
        context.Process(target=work, args=(requests[n :: workers.processes],))
        for n in range(workers.processes)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            sys.exit("a worker has failed")
    slowest: float = max(times.get() for _ in children)
    return slowest / INSTANCES


def _driver(path: Path) -> ConfigDriveDriver:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(path)], default_config_dirs=[])
    return ConfigDriveDriver(conf)
