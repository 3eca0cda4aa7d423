"""Ways to put an image into Ceph, on a cluster of our own."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rados
import rbd
from nova.storage.rbd_utils import RBDDriver

from bench import ROOT
from bench.measure import Way
from cfgdrive_virt.store.ceph.image import FEATURES, order_for
from cfgdrive_virt.store.ceph.store import RbdStore

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


def floor(group: str, name: str, cluster: Cluster, data: bytes) -> Way:
    """Return the way to a volume that no drive can do without.

    On a connection that is kept: a volume is created under another name,
    written, flushed, and renamed.
    """
    client = rados.Rados(conffile=cluster.conf, rados_id=cluster.user)
    client.connect()
    pool = client.open_ioctx(cluster.pool)
    volumes = rbd.RBD()

    def write() -> int:
        volumes.create(
            pool,
            "new",
            len(data),
            order=order_for(len(data)),
            old_format=False,
            features=FEATURES,
        )
        with rbd.Image(pool, "new") as image:
            image.metadata_set("builder", "1")
            image.write(data, 0)
            image.flush()
            volumes.rename(pool, "new", "drive")
        return len(data)

    return Way(group, name, write, lambda: volumes.remove(pool, "drive"))


def novas(
    group: str,
    name: str,
    cluster: Cluster,
    uuid: str,
    data: bytes,
    image: Path,
) -> Way:
    """Return nova's way for an image: a temporary file, and rbd import.

    :param image: the temporary file
    """
    driver, volume = cluster.nova_driver(), f"{uuid}_disk.config"

    def import_() -> int:
        image.write_bytes(data)
        driver.import_image(str(image), volume)
        image.unlink()
        return len(data)

    def remove() -> None:
        driver.cleanup_volumes(lambda name: name == volume)

    return Way(group, name, import_, remove)
