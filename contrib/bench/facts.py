"""What a drive takes beside time: flushes, Ceph operations, bytes sent."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import zlib
from pathlib import Path
from unittest import mock

from bench import ceph, hooks
from bench.measure import Way
from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.model.drive import ISO9660


def of_files(request: ConfigDriveRequest, directory: Path) -> dict[str, int]:
    """Return what spawning and migrating a drive in a file takes.

    Flushes are counted by calls of fsync; a migration sends the drive as the
    nova adapter does.
    """
    driver = hooks.driver_of(directory, ISO9660)
    # Makes the directories that all drives share.
    driver.spawn(request)
    driver.destroy(request.uuid)
    with mock.patch.object(os, "fsync", wraps=os.fsync) as fsync:
        driver.spawn(request)
        spawn = fsync.call_count
        driver.reboot(request)
        again = fsync.call_count - spawn
    data = driver.build(request, ISO9660).data
    sent = base64.b64encode(zlib.compress(data))
    return {
        "flushes of a spawn": spawn,
        "flushes of a reboot": again,
        "bytes sent for a live migration": len(sent),
    }


def of_ceph(cluster: ceph.Cluster, ways: list[Way]) -> dict[str, int]:
    """Return how many operations of the OSD each way takes.

    The least of five times: the cluster has operations of its own.
    """
    return {
        f"{way.group}: {way.name}": min(
            _counted(cluster, way) for _ in range(5)
        )
        for way in ways
        if "Ceph" in way.group
    }


def _counted(cluster: ceph.Cluster, way: Way) -> int:
    before = _operations(cluster)
    way.run()
    taken = _operations(cluster) - before
    way.clean()
    return taken


def _operations(cluster: ceph.Cluster) -> int:
    """Return how many operations the OSD has carried out."""
    socket = Path(cluster.conf).with_name("run") / "osd.0.asok"
    command = ("ceph", "--admin-daemon", socket, "perf", "dump", "osd")
    done = subprocess.run(command, check=True, capture_output=True)
    found: int = json.loads(done.stdout)["osd"]["op"]
    return found
