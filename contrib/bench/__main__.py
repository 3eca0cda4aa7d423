#!/usr/bin/env python3
"""Measure how long drives take, and how large they are, beside nova's.

The instance of etc/instance.sample.yaml, and the same one with big files, by
turns through all of:

  ours             iso9660.build, and FileStore.write with all its flushes
  ours, in memory  iso9660.build alone
  genisoimage      on a directory that holds the files, as nova calls it
  nova             ConfigDriveBuilder.make_drive on the same files
  nova, own files  the same on the files that nova's InstanceMetadata makes of
                   the instance: a random seed for each version
  ours, vfat       vfat.build, and FileStore.write with all its flushes
  vfat, no flush   vfat.build into a file
  mkfs + mcopy     mkfs.vfat and mcopy on the same directory, into the smallest
                   file that takes it, not flushed; nova's own way needs root
                   and a loop device, and is always 64 MiB

and, with --ceph, on a Ceph of its own (contrib/ceph) through

  ours, rbd        RbdStore.write, connected before as a service is
  nova, rbd        a temporary file, and RBDDriver.import_image, removed

and, as the whole step of a compute service, InstanceMetadata included,

  nova's driver    LibvirtDriver._create_configdrive: iso9660, a file or, with
                   --ceph, a volume
  our driver       the same method of the same class, with our driver; a file
                   is flushed, which nova's isn't

and, or with --many alone, 64 such instances spawned by ConfigDriveDriver, by
one worker and by 8, 4 threads in each of 2 processes: the time of each place
until one more is done.

Times are medians, but for the many's.  Fails if a goal is missed.  Run it with
the Python that has nova, and with this package on the path:

  PYTHONPATH=. VENV/bin/python contrib/bench
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import dataclasses
import functools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid as uuids
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from oslo_config import cfg

from cfgdrive_virt import (
    ConfigDriveDriver,
    ConfigDriveRequest,
    DiskDevice,
    NicDevice,
)
from cfgdrive_virt import InjectedFile as File
from cfgdrive_virt.adapters.cli import instance_file
from cfgdrive_virt.image import iso9660, vfat
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model.request import Device
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.store.ceph.store import RbdStore
from cfgdrive_virt.store.file import FileStore

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "nova"))
# After all else: Ceph's bindings are the system's alone.
sys.path.append("/usr/lib/python3/dist-packages")

import oracle  # noqa: E402
from nova.storage.rbd_utils import RBDDriver  # noqa: E402
from nova.virt.configdrive import ConfigDriveBuilder  # noqa: E402
from nova.virt.libvirt import driver as libvirt_driver  # noqa: E402
from nova.virt.libvirt.driver import InjectionInfo  # noqa: E402
from oracle import CONF, objects  # noqa: E402

from cfgdrive_virt.adapters.nova.driver import LibvirtDriver  # noqa: E402

#: Ours must take so much of nova's time and bytes, at most.  The bytes are
#: those of the sample: the big files are in no drive twice, nova's neither.
MOST_TIME = 0.5
MOST_BYTES = 0.4
#: And of what mkfs.vfat and mcopy take, and of nova's time to Ceph.
MOST_VFAT_TIME = 0.3
MOST_VFAT_BYTES = 1.0
MOST_RBD_TIME = 0.5

MANY, PROCESSES, THREADS = 64, 2, 4
#: Seconds for all workers to be connected.
PATIENCE = 30

BIG_FILES = 20
BIG_FILE_SIZE = 8 * 1024

NOVA = "nova"
NOVA_OWN = "nova, own files"
GENISOIMAGE = "genisoimage"
OURS = "ours"
IN_MEMORY = "ours, in memory"
OURS_VFAT = "ours, vfat"
NO_FLUSH = "vfat, no flush"
MCOPY = "mkfs + mcopy"
OURS_RBD = "ours, rbd"
NOVA_RBD = "nova, rbd"
NOVA_STEP = "nova's driver"
OUR_STEP = "our driver"
NOVA_STEP_RBD = "nova's driver, rbd"
OUR_STEP_RBD = "our driver, rbd"

IN_FILES = """
[DEFAULT]
instances_path = {root}
config_drive_format = iso9660
[cfgdrive_virt]
instances_path_shared = yes
[libvirt]
virt_type = qemu
"""
IN_CEPH = """
images_type = rbd
images_rbd_pool = compute
images_rbd_ceph_conf = {ceph}/client.conf
rbd_user = compute
rbd_secret_uuid = 5c1d36d4-9e4c-4b5b-a6d0-5b5e3c0d6f0e
"""

#: They want whole tracks otherwise, and lie where not every PATH looks.
TOOLS = {
    "PATH": f"/usr/sbin:/sbin:{os.defpath}",
    "MTOOLS_SKIP_CHECK": "1",
    "LC_ALL": "C.UTF-8",
}

#: What is compared: ours, the other, most of its time, most of its bytes.
GOALS: tuple[tuple[str, str, float | None, float | None], ...] = (
    (OURS, NOVA, MOST_TIME, MOST_BYTES),
    (OURS, NOVA_OWN, MOST_TIME, MOST_BYTES),
    (OURS, GENISOIMAGE, None, None),
    (OURS_VFAT, MCOPY, None, None),
    (NO_FLUSH, MCOPY, MOST_VFAT_TIME, MOST_VFAT_BYTES),
    (OURS_RBD, NOVA_RBD, MOST_RBD_TIME, None),
    (OUR_STEP, NOVA_STEP, None, MOST_BYTES),
    (OUR_STEP_RBD, NOVA_STEP_RBD, MOST_RBD_TIME, None),
)

#: What is measured, which returns a size, and what empties the place again.
Ways = dict[str, tuple[Callable[[], int], Callable[[], object]]]


def main() -> None:
    """Measure both instances; exit as the goals say."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-n",
        "--repetitions",
        type=int,
        default=21,
        help="how often each is measured (default: %(default)s)",
    )
    parser.add_argument(
        "--ceph", action="store_true", help="measure drives in Ceph too"
    )
    parser.add_argument(
        "--no-goals",
        action="store_true",
        help="only print: succeed whatever the ratios are",
    )
    parser.add_argument(
        "--many",
        action="store_true",
        help=f"only measure {MANY} instances, by one worker and by many",
    )
    arguments = parser.parse_args()
    oracle.load_options()
    sample = ROOT / "etc" / "instance.sample.yaml"
    request = instance_file.load(sample.read_bytes(), sample.name)
    big = tuple(
        File(path=f"/big/{number}", content=os.urandom(BIG_FILE_SIZE))
        for number in range(BIG_FILES)
    )
    larger = dataclasses.replace(
        request, injected_files=request.injected_files + big
    )
    missed = []
    with cluster() if arguments.ceph else contextlib.nullcontext() as ceph:
        if not arguments.many:
            missed += compare(
                "the sample instance", request, arguments.repetitions, ceph
            )
            # Nova, too, has these files once: hardly any bytes to be saved.
            missed += compare(
                f"the same with {BIG_FILES} more files of"
                f" {BIG_FILE_SIZE:,} bytes",
                larger,
                arguments.repetitions,
                ceph,
                bytes_too=False,
            )
        spawn_many(request, ceph)
    if missed and not arguments.no_goals:
        sys.exit("missed: " + "; ".join(missed))


def compare(
    name: str,
    request: ConfigDriveRequest,
    repetitions: int,
    ceph: Path | None,
    *,
    bytes_too: bool = True,
) -> list[str]:
    """Measure one instance, print it, and return the goals that it missed."""
    tree = build_tree(
        request,
        random_seed=os.urandom(512),
        skip_versions=CONF.api.config_drive_skip_versions.split(),
    )
    with tempfile.TemporaryDirectory() as directory:
        ways = ways_of(request, tree, Path(directory), ceph)
        with steps(request, tree, Path(directory), ceph) as more:
            times, sizes = measure(ways | more, repetitions)
    size = sum(map(len, tree.files.values()))
    say(f"\n{name}: {len(tree)} files, {size:,} bytes")
    for way, seconds in times.items():
        say(f"  {way:18} {seconds * 1000:8.2f} ms  {sizes[way]:10,} bytes")
    missed = []
    for ours, other, most_time, most_bytes in GOALS:
        if other not in times:
            continue
        of_time = times[ours] / times[other]
        of_bytes = sizes[ours] / sizes[other]
        words = f"{ours} / {other}"
        say(f"  {words:30} time {of_time:.2f}, bytes {of_bytes:.2f}")
        if most_time and of_time > most_time:
            missed.append(f"{name}: {of_time:.2f} of the time of {other}")
        if bytes_too and most_bytes and of_bytes > most_bytes:
            missed.append(f"{name}: {of_bytes:.2f} of the bytes of {other}")
    return missed


def measure(
    ways: Ways, repetitions: int
) -> tuple[dict[str, float], dict[str, int]]:
    """Return the seconds and bytes of every way, taken by turns."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    sizes = {}
    for _ in range(repetitions):
        for way, (build, clean) in ways.items():
            started = time.perf_counter()
            sizes[way] = build()
            times[way].append(time.perf_counter() - started)
            clean()
    return {way: statistics.median(times[way]) for way in ways}, sizes


def ways_of(
    request: ConfigDriveRequest,
    tree: MetadataTree,
    directory: Path,
    ceph: Path | None,
) -> Ways:
    """Return every way to an instance's drive.

    :param ceph: the directory of a running cluster
    """
    ready = directory / "ready"
    for path, data in tree.files.items():
        (ready / path).parent.mkdir(parents=True, exist_ok=True)
        (ready / path).write_bytes(data)
    instances = directory / "instances"
    instances.mkdir()
    store = FileStore(instances)
    out = directory / "out"
    own = nova_files(request, tree, directory)
    assert own.keys() == tree.files.keys()

    def write(data: bytes) -> int:
        store.write(request.uuid, data)
        return len(data)

    def remove() -> None:
        store.delete(request.uuid)

    def build_iso() -> bytes:
        return iso9660.build(tree, timestamp=int(time.time())).data

    def build_vfat() -> bytes:
        return vfat.build(tree, timestamp=int(time.time()), serial=1).data

    # The smallest that mkfs.vfat and mcopy can do with.
    size = len(build_vfat()) // 1024
    while not fits(ready, out, size):
        size += 4
    while fits(ready, out, size - 4):
        size -= 4
    ways: Ways = {
        OURS: (lambda: write(build_iso()), remove),
        IN_MEMORY: (lambda: len(build_iso()), int),
        GENISOIMAGE: (lambda: genisoimage(ready, out), out.unlink),
        NOVA: (lambda: make_drive(tree.files, out), out.unlink),
        NOVA_OWN: (lambda: make_drive(own, out), out.unlink),
        OURS_VFAT: (lambda: write(build_vfat()), remove),
        NO_FLUSH: (lambda: out.write_bytes(build_vfat()), out.unlink),
        MCOPY: (lambda: mcopy(ready, out, size), out.unlink),
    }
    if ceph is not None:
        ways |= ways_to_ceph(request.uuid, build_iso(), directory, ceph)
    return ways


def ways_to_ceph(uuid: str, data: bytes, directory: Path, ceph: Path) -> Ways:
    """Return both ways to put an image into Ceph."""
    conf, pool, user = str(ceph / "client.conf"), "compute", "compute"
    store = rbd_store(conf)
    novas = RBDDriver(pool, user, conf)
    image = directory / "disk.config"

    def write() -> int:
        store.write(uuid, data)
        return len(data)

    def import_() -> int:
        image.write_bytes(data)
        novas.import_image(str(image), f"{uuid}_disk.config")
        image.unlink()
        return len(data)

    def remove() -> None:
        store.delete(uuid)

    store.exists(uuid)
    return {OURS_RBD: (write, remove), NOVA_RBD: (import_, remove)}


@contextlib.contextmanager
def steps(
    request: ConfigDriveRequest,
    tree: MetadataTree,
    directory: Path,
    ceph: Path | None,
) -> Iterator[Ways]:
    """Have both drivers' whole steps for one instance.

    What isn't the drive's is stood in for: the domain, which the addresses of
    devices come from, and what the oracle stands in for.
    """
    spawn, network_data = as_spawned(request, tree)
    instance = oracle.nova_instance(spawn)
    instance.config_drive = "True"
    instance.launched_at = instance.task_state = None
    info = InjectionInfo(
        network_info=spawn.network_info,
        files=spawn.files,
        admin_pass=spawn.admin_pass,
    )
    root = directory / "steps"
    (root / request.uuid).mkdir(parents=True)
    options = {
        "instances_path": str(root),
        "config_drive_format": "iso9660",
        "force_raw_images": False,
    }
    in_ceph = {
        "images_type": "rbd",
        "images_rbd_pool": "compute",
        "images_rbd_ceph_conf": str(ceph / "client.conf") if ceph else "",
        "rbd_user": "compute",
        "rbd_secret_uuid": "5c1d36d4-9e4c-4b5b-a6d0-5b5e3c0d6f0e",
    }
    drivers = {
        NOVA_STEP: libvirt_driver.LibvirtDriver(None),
        OUR_STEP: LibvirtDriver(None),
    }
    drive = root / request.uuid / "disk.config"

    def make(driver: Any) -> int:
        driver._create_configdrive(instance._context, instance, info)
        return drive.stat().st_size if drive.exists() else 0

    def make_in_ceph(driver: Any, size: int = 0) -> int:
        with overridden("libvirt", in_ceph):
            make(driver)
        return size

    def size_in_ceph(driver: Any) -> int:
        make_in_ceph(driver)
        store = rbd_store(in_ceph["images_rbd_ceph_conf"])
        data = store.read(store.location(request.uuid), 1 << 26)
        clean_ceph()
        return len(data or b"")

    def clean_ceph() -> None:
        RBDDriver(
            "compute", "compute", in_ceph["images_rbd_ceph_conf"]
        ).cleanup_volumes(lambda name: name.startswith(request.uuid))

    with (
        overridden(None, options),
        oracle.Drives(directory).around(spawn),
        mock.patch.object(
            oracle.netutils, "get_network_metadata", return_value=network_data
        ),
        mock.patch.object(
            libvirt_driver.LibvirtDriver,
            "_build_device_metadata",
            return_value=instance.device_metadata,
        ),
    ):
        ways: Ways = {
            way: (functools.partial(make, driver), drive.unlink)
            for way, driver in drivers.items()
        }
        if ceph is not None:
            ways |= {
                f"{way}, rbd": (
                    functools.partial(
                        make_in_ceph, driver, size_in_ceph(driver)
                    ),
                    clean_ceph,
                )
                for way, driver in drivers.items()
            }
        yield ways


@contextlib.contextmanager
def overridden(
    group: str | None, options: Mapping[str, object]
) -> Iterator[None]:
    """Have options of nova's for a while."""
    for name, value in options.items():
        CONF.set_override(name, value, group=group)
    try:
        yield
    finally:
        for name in options:
            CONF.clear_override(name, group=group)


def rbd_store(conf: str) -> RbdStore:
    """Return our store of the measured cluster's pool."""
    return RbdStore(
        pool="compute",
        user="compute",
        ceph_conf=conf,
        connect_timeout=5,
        operation_timeout=30,
    )


def spawn_many(request: ConfigDriveRequest, ceph: Path | None) -> None:
    """Measure many spawns, by one worker and by many, and print it."""
    workers = PROCESSES * THREADS
    say(f"\n{MANY} instances, by one worker and by {workers}")
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "instances")
        root.mkdir()
        texts = {OURS: IN_FILES.format(root=root)}
        if ceph is not None:
            texts[OURS_RBD] = texts[OURS] + IN_CEPH.format(ceph=ceph)
        for way, text in texts.items():
            conf = Path(directory, "conf")
            conf.write_text(text)
            one = spawned(conf, request, processes=1, threads=1)
            all_ = spawned(conf, request, PROCESSES, THREADS)
            named = f"{way}, {workers} workers"
            for name, seconds in ((f"{way}, one worker", one), (named, all_)):
                say(f"  {name:21} {seconds * 1000:8.2f} ms per spawn")
            words = f"{named} / one"
            lines.append(f"  {words:30} time {all_ / one:.2f}")
    for line in lines:
        say(line)


def spawned(
    path: Path, request: ConfigDriveRequest, processes: int, threads: int
) -> float:
    """Spawn many instances; return the seconds until one more is done."""
    context = multiprocessing.get_context("fork")
    connected = context.Barrier(processes)
    times = context.SimpleQueue()

    def work(requests: Sequence[ConfigDriveRequest]) -> None:
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[str(path)], default_config_dirs=[])
        driver = ConfigDriveDriver(conf)
        driver.exists(requests[0].uuid)
        connected.wait(PATIENCE)
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(driver.spawn, requests))
        times.put(time.perf_counter() - started)

    requests = [
        dataclasses.replace(request, uuid=str(uuids.uuid4()))
        for _ in range(MANY)
    ]
    children = [
        context.Process(target=work, args=(requests[number::processes],))
        for number in range(processes)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            sys.exit("a worker has failed")
    return max(times.get() for _ in children) / MANY


@contextlib.contextmanager
def cluster() -> Iterator[Path]:
    """Have a Ceph for a while."""
    program = ROOT / "contrib" / "ceph" / "miniceph"
    with tempfile.TemporaryDirectory(prefix="cfgd-bench-") as directory:
        try:
            subprocess.run(
                [program, "start", directory],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            yield Path(directory)
        finally:
            subprocess.run([program, "stop", directory], check=True)


def mcopy(ready: Path, out: Path, size: int) -> int:
    """Make an image of so many KiB with mkfs.vfat, and fill it with mcopy."""
    subprocess.run(
        ["mkfs.vfat", "-C", "-n", "config-2", out, str(size)],
        check=True,
        capture_output=True,
        env=TOOLS,
    )
    subprocess.run(
        ["mcopy", "-s", "-Q", "-i", out, *ready.iterdir(), "::"],
        check=True,
        capture_output=True,
        env=TOOLS,
    )
    return out.stat().st_size


def fits(ready: Path, out: Path, size: int) -> bool:
    """Tell whether mkfs.vfat and mcopy can do with so many KiB."""
    try:
        mcopy(ready, out, size)
    except subprocess.CalledProcessError:
        return False
    finally:
        out.unlink(missing_ok=True)
    return True


def make_drive(files: Mapping[str, bytes], out: Path) -> int:
    """Have nova build and place its drive."""
    with ConfigDriveBuilder() as builder:
        builder.mdfiles = list(files.items())
        builder.make_drive(str(out))
    return out.stat().st_size


def genisoimage(ready: Path, out: Path) -> int:
    """Run it as nova does; its warning of names goes nova's way, unseen."""
    options = "-ldots -allow-lowercase -allow-multidot -l -quiet -J -r"
    subprocess.run(
        [
            CONF.mkisofs_cmd,
            *("-o", out),
            *options.split(),
            *("-publisher", "OpenStack Nova"),
            *("-V", "config-2"),
            ready,
        ],
        check=True,
        capture_output=True,
    )
    return out.stat().st_size


def nova_files(
    request: ConfigDriveRequest, tree: MetadataTree, directory: Path
) -> dict[str, bytes]:
    """Return what nova's InstanceMetadata tells of the instance."""
    spawn, network_data = as_spawned(request, tree)
    # Nova knows no bonds: it is handed what ours says of the network.
    with mock.patch.object(
        oracle.netutils, "get_network_metadata", return_value=network_data
    ):
        return oracle.Drives(directory).of_nova(spawn)


def as_spawned(
    request: ConfigDriveRequest, tree: MetadataTree
) -> tuple[oracle.Spawn, Mapping[str, Any]]:
    """Return the instance as nova spawns it, and its network data."""
    network_data = json.loads(tree.files["openstack/latest/network_data.json"])
    vendor_data = json.loads(tree.files["openstack/latest/vendor_data2.json"])
    key = request.keypairs[0]
    spawn = oracle.Spawn(
        instance={
            "uuid": request.uuid,
            "display_name": request.name,
            "hostname": request.hostname,
            "project_id": request.project_id,
            "availability_zone": request.availability_zone,
            "metadata": dict(request.metadata),
            "user_data": base64.b64encode(request.user_data or b"").decode(),
            "key_name": key.name,
            "key_data": key.public_key,
            "keypairs": objects.KeyPairList(
                objects=[
                    objects.KeyPair(
                        name=key.name, type=key.type, public_key=key.public_key
                    )
                ]
            ),
            "device_metadata": objects.InstanceDeviceMetadata(
                devices=list(map(nova_device, request.devices))
            ),
        },
        files=tuple(
            (file.path, file.content) for file in request.injected_files
        ),
        admin_pass=request.admin_pass,
        security_groups=request.security_groups,
        api={"vendordata_providers": ["StaticJSON", "DynamicJSON"]},
        static=vendor_data.pop("static"),
        dynamic=vendor_data,
    )
    return spawn, network_data


def nova_device(device: Device) -> objects.DeviceMetadata:
    """Return a tagged device as nova has it."""
    if isinstance(device, NicDevice):
        return objects.NetworkInterfaceMetadata(
            mac=device.mac,
            tags=list(device.tags),
            vlan=device.vlan,
            vf_trusted=device.vf_trusted,
        )
    if isinstance(device, DiskDevice):
        return objects.DiskMetadata(
            serial=device.serial, tags=list(device.tags)
        )
    return objects.ShareMetadata(share_id=device.share_id, tag=device.tag)


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
