"""Ways to put an image into Ceph, on a cluster of our own."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nova.storage.rbd_utils import RBDDriver

from bench import ROOT
from bench.measure import Goal, Way
from cfgdrive_virt.store.ceph.store import RbdStore

#: The largest accepted part of nova's time to Ceph.
MOST_TIME = 0.5

OURS = "ours, rbd"
NOVA = "nova, rbd"

GOALS = (Goal(OURS, NOVA, MOST_TIME),)

_PROGRAM = ROOT / "contrib" / "ceph" / "miniceph"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster, and the pool in it.

    :param conf: the path of a client's configuration
    """

    conf: str
    pool: str = "compute"
    user: str = "compute"

    def options(self) -> dict[str, str]:
        """Return the options of ``[libvirt]`` that put drives into it."""
        return {
            "images_type": "rbd",
            "images_rbd_pool": self.pool,
            "images_rbd_ceph_conf": self.conf,
            "rbd_user": self.user,
            "rbd_secret_uuid": "5c1d36d4-9e4c-4b5b-a6d0-5b5e3c0d6f0e",
        }

    def our_store(self) -> RbdStore:
        """Return our store of the pool's drives; it connects when used."""
        return RbdStore(
            pool=self.pool,
            user=self.user,
            ceph_conf=self.conf,
            connect_timeout=5,
            operation_timeout=30,
        )

    def nova_driver(self) -> RBDDriver:
        """Return nova's access to the pool."""
        return RBDDriver(self.pool, self.user, self.conf)


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """Start a cluster, and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="cfgd-bench-") as directory:
        try:
            subprocess.run(
                [_PROGRAM, "start", directory],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            yield Cluster(conf=str(Path(directory, "client.conf")))
        finally:
            subprocess.run([_PROGRAM, "stop", directory], check=True)


def ways(
    uuid: str, data: bytes, directory: Path, cluster: Cluster
) -> list[Way]:
    """Return both ways to put an instance's image into the cluster.

    :param data: the image
    :param directory: for nova's temporary file
    """
    ours, novas = cluster.our_store(), cluster.nova_driver()
    image = directory / "disk.config"

    def write() -> int:
        ours.write(uuid, data)
        return len(data)

    def import_() -> int:
        image.write_bytes(data)
        novas.import_image(str(image), f"{uuid}_disk.config")
        image.unlink()
        return len(data)

    def remove() -> None:
        ours.delete(uuid)

    # Connects: a service, too, connects once and writes many drives.
    ours.exists(uuid)
    return [Way(OURS, write, remove), Way(NOVA, import_, remove)]
