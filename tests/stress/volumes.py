"""The volumes of instances' drives, looked at beside the product."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import rados
import rbd

from cfgdrive_virt import ConfigDriveDriver

from ..ceph.cluster import POOL, Cluster
from . import drives
from .places import NAMES, driver_of

_LEFT = (".new", ".new1", ".new2")
IN_CEPH = """
[libvirt]
images_type = rbd
images_rbd_pool = {pool}
images_rbd_ceph_conf = {conf}
rbd_user = {user}
rbd_secret_uuid = 5c1d36d4-9e4c-4b5b-a6d0-5b5e3c0d6f0e
"""

#: Bytes; the largest of a volume's objects has no more.
_OBJECT = 1 << 25


@dataclasses.dataclass(slots=True)
class RbdPlace:
    """Volumes of a pool, seen by the administrator's own connection."""

    root: Path
    cluster: Cluster
    ioctx: Any
    keeps: bool = False
    watches: bool = True
    renames: str = "rbd.RBD.rename"
    pace: float = 0.06
    _drivers: dict[str, ConfigDriveDriver] = dataclasses.field(
        default_factory=dict
    )

    @classmethod
    @contextlib.contextmanager
    def of(cls, root: Path, cluster: Cluster) -> Iterator[RbdPlace]:
        """Be connected for a while."""
        conf = str(cluster.directory / "ceph.conf")
        with (
            rados.Rados(conffile=conf) as client,
            client.open_ioctx(cluster.pool) as ioctx,
        ):
            yield cls(root, cluster, ioctx)

    def driver(self, image_format: str) -> ConfigDriveDriver:
        if image_format not in self._drivers:
            self._drivers[image_format] = driver_of(
                self.root, image_format, self._configuration
            )
        return self._drivers[image_format]

    def hurried(self, image_format: str) -> ConfigDriveDriver:
        """Return a driver that doesn't wait before it tries again."""
        return driver_of(
            self.root, image_format, self._configuration, lambda _: None
        )

    @property
    def _configuration(self) -> str:
        return IN_CEPH.format(
            pool=self.cluster.pool,
            conf=self.cluster.conf,
            user=self.cluster.user,
        )

    def data(self, uuid: str, which: str = "drive") -> bytes | None:
        name = f"{uuid}_{NAMES[which]}"
        try:
            with rbd.Image(self.ioctx, name, read_only=True) as volume:
                data: bytes = volume.read(0, volume.size())
                return data
        except rbd.ImageNotFound:
            return None

    def put(self, uuid: str, data: bytes | None) -> None:
        name = f"{uuid}_{NAMES['drive']}"
        if data is None:
            self.patiently(lambda: self._gone(name))
            return
        with rbd.Image(self.ioctx, name) as volume:
            volume.resize(len(data))
            volume.write(data, 0)

    def put_foreign(self, uuid: str, data: bytes) -> None:
        name = f"{uuid}_{NAMES['drive']}"
        self.patiently(lambda: self._gone(name))
        # With Ceph's usual features, an exclusive lock among them.
        rbd.RBD().create(self.ioctx, name, len(data), old_format=False)
        with rbd.Image(self.ioctx, name) as volume:
            volume.write(data, 0)

    def _gone(self, name: str) -> bool:
        try:
            rbd.RBD().remove(self.ioctx, name)
        except rbd.ImageNotFound:
            return True
        except rbd.ImageBusy:
            return False
        return True

    def patiently(self, condition: Callable[[], bool]) -> None:
        self.cluster.patiently(condition)

    def secrets(self, uuid: str) -> list[str]:
        """Look into all objects of data, those without a volume too."""
        ours = {self._identifier(uuid, which) for which in NAMES}
        found = []
        for entry in self.ioctx.list_objects():
            kind, _, rest = entry.key.partition(".")
            if kind != "rbd_data" or rest.partition(".")[0] in ours:
                continue
            # Somebody may be removing it.
            with contextlib.suppress(rados.ObjectNotFound):
                data = self.ioctx.read(entry.key, _OBJECT)
                if drives.secrets_in(data, uuid):
                    found.append(entry.key)
        return found

    def _identifier(self, uuid: str, which: str) -> str:
        name = f"{uuid}_{NAMES[which]}"
        try:
            with rbd.Image(self.ioctx, name, read_only=True) as volume:
                return str(volume.id())
        except rbd.ImageNotFound:
            return ""

    def left(self, uuid: str) -> list[str]:
        ours = {f"{uuid}_{name}" for name in NAMES.values()}
        found = {name for name in self.everything() if uuid in name}
        return sorted(found - ours)

    def users_of_left(self, uuid: str, /) -> int:
        return self._users(self.left(uuid))

    def users_of(self, uuid: str) -> int:
        """Return how many clients have an instance's volumes open."""
        return self._users([f"{uuid}_{one}" for one in NAMES.values()]) + (
            self.users_of_left(uuid)
        )

    def _users(self, names: Iterable[str]) -> int:
        users = 0
        for name in names:
            with (
                contextlib.suppress(rbd.ImageNotFound),
                rbd.Image(self.ioctx, name, read_only=True) as volume,
            ):
                users += len(list(volume.watchers_list()))
        return users

    def others(self, uuid: str) -> list[str]:
        """Return an instance's volumes beside its drives.

        What a killed writer left may be watched for a while, and is then for
        the next one that needs its name, or for whoever destroys.
        """
        names = {f"{uuid}_{name}" for name in NAMES.values()}
        left = {name + suffix for name in names for suffix in _LEFT}
        assert {*self.left(uuid)} <= left
        return []

    def everything(self) -> list[str]:
        return sorted(set(rbd.RBD().list(self.ioctx)))

    def half_rename(self, name: str) -> None:
        """Have a volume as one whose writer was killed when it renamed it."""
        link = self.ioctx.read(f"rbd_id.{name}")
        rbd.RBD().rename(self.ioctx, name, f"{name}.new")
        self.ioctx.write_full(f"rbd_id.{name}", link)

    def versions(self) -> dict[str, object]:
        """Return what any change changes, but not who has volumes open.

        That is each object's version, and of a header what it says.
        """
        found: dict[str, object] = {}
        for entry in list(self.ioctx.list_objects()):
            if entry.key.startswith("rbd_header."):
                with rados.ReadOpCtx() as operation:
                    values, _ = self.ioctx.get_omap_vals(
                        operation, "", "", 100
                    )
                    self.ioctx.operate_read_op(operation, entry.key)
                    found[entry.key] = sorted(values)
                continue
            self.ioctx.stat(entry.key)
            found[entry.key] = self.ioctx.get_last_version()
        return found

    def wipe(self) -> None:
        """Remove all volumes, as objects: librbd takes 60 ms for each."""
        objects = {entry.key for entry in self.ioctx.list_objects()}
        # The pool stays one that librbd knows.
        removed = [
            self.ioctx.aio_remove(name) for name in objects - {"rbd_info"}
        ]
        for completion in removed:
            completion.wait_for_complete()

    def orphans(self) -> list[str]:
        """Return the objects that no listed volume has, and all trash."""
        found = {entry.key for entry in self.ioctx.list_objects()} - POOL
        for name in self.everything():
            found.discard(f"rbd_id.{name}")
            with (
                contextlib.suppress(rbd.ImageNotFound),
                rbd.Image(self.ioctx, name, read_only=True) as volume,
            ):
                prefix, own = volume.stat()["block_name_prefix"], volume.id()
                found -= {one for one in found if one.startswith(f"{prefix}.")}
                found.discard(f"rbd_header.{own}")
        trash = [one["name"] for one in rbd.RBD().trash_list(self.ioctx)]
        return [*sorted(found), *(f"{name} in the trash" for name in trash)]
