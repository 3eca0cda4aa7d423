"""With parts of Ceph away a call ends, and what it leaves is whole or none.

Bounds: a call takes the time-out of the first operation that waits in vain,
and librbd up to two more to clean up and to close.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.ceph.store import RbdStore

from .cluster import SHORT, Cluster, cluster

MIB = 1 << 20
OLD, NEW, NEXT = b"old" * 102_400, b"n" * (48 * MIB), b"next" * 51_200


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Fail if it takes much longer than three time-outs, for a busy machine.

    librados' own defaults are minutes, or for ever.
    """
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 10 * SHORT


def content(store: RbdStore, instance: str) -> bytes | None:
    if not store.exists(instance):
        return None
    found = store.read(store.location(instance), 1 << 30)
    # A volume that is rewritten in its place keeps its size.
    return found and found.rstrip(b"\0")


@pytest.fixture
def patient(ceph: Cluster, drive: str) -> Iterator[RbdStore]:
    """A store that waits; it must find a whole drive, and write another."""
    store = ceph.store()
    yield store
    assert content(store, drive) in (None, OLD, NEW)
    store.write(drive, NEXT)
    assert content(store, drive) == NEXT


TIMED_OUT = (
    "no answer within \\[cfgdrive_virt\\] rbd_operation_timeout=2 seconds; the"
    " pool may be full or at its quota, or its OSDs down"
)


def test_a_monitor_that_is_away_before_connecting(
    ceph: Cluster, drive: str, patient: RbdStore, tmp_path: Path
) -> None:
    # Another configuration is another connection.
    conf = ceph.configuration(tmp_path / "ceph.conf")
    store = ceph.store(ceph_conf=conf, connect_timeout=SHORT)
    with (
        ceph.without("mon"),
        bounded(),
        pytest.raises(StoreError, match="no monitor of"),
    ):
        store.write(drive, OLD)
    assert patient.exists(drive) is False
    store.write(drive, OLD)


@pytest.mark.usefixtures("patient")
def test_a_monitor_that_goes_away_after_connecting(
    ceph: Cluster, drive: str
) -> None:
    store = ceph.impatient()
    store.write(drive, NEXT)
    with ceph.without("mon"):
        # OSDs are all that drives need.
        store.write(drive, OLD)
        assert content(store, drive) == OLD
        with bounded(), pytest.raises(StoreError, match="no answer within"):
            store.monitors()
        # librados itself waits for ever if it is asked for such a pool.
        missing = ceph.store(
            pool="absent", connect_timeout=SHORT, operation_timeout=SHORT
        )
        with bounded(), pytest.raises(StoreError, match="no monitor of"):
            missing.exists(drive)
    assert content(store, drive) == OLD


CALLS = {
    "exists": lambda store, drive: store.exists(drive),
    "read": lambda store, drive: store.read(store.location(drive), MIB),
    "write": lambda store, drive: store.write(drive, NEXT),
    "delete": lambda store, drive: store.delete(drive),
    "drives": lambda store, _: list(store.drives()),
    "remove": lambda store, drive: store.remove(store.location(drive)),
}


@pytest.mark.usefixtures("patient")
def test_no_call_outlasts_an_osd_that_is_away(
    ceph: Cluster, drive: str
) -> None:
    store = ceph.impatient()
    store.write(drive, OLD)
    with ceph.without("osd"):
        for call in CALLS.values():
            with bounded(), pytest.raises(StoreError, match=TIMED_OUT):
                call(store, drive)
    assert content(store, drive) == OLD


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("harm", ["pause", "kill"])
@pytest.mark.parametrize(
    ("old", "after"),
    [(None, 0.01), (OLD, 0.03), (OLD, 0.06)],
    ids=["new", "replacing", "replacing_later"],
)
def test_an_osd_that_goes_away_in_the_middle_of_a_write(
    ceph: Cluster, drive: str, harm: str, old: bytes | None, after: float
) -> None:
    store = ceph.impatient()
    if old:
        store.write(drive, old)
    store.exists(drive)
    outcome: list[str] = []

    def write() -> None:
        try:
            store.write(drive, NEW)
            outcome.append("written")
        except StoreError as error:
            outcome.append(str(error))

    writing = threading.Thread(target=write)
    writing.start()
    time.sleep(after)
    with ceph.without("osd", harm), bounded():
        writing.join()
    assert outcome[0] == "written" or "no answer within" in outcome[0]
    # What was asked for and not answered may have come true.
    found = content(ceph.store(), drive)
    assert found in ((NEW,) if outcome[0] == "written" else (None, old, NEW))


@pytest.mark.usefixtures("patient")
def test_the_cluster_restarts(ceph: Cluster, drive: str) -> None:
    store = ceph.impatient()
    store.write(drive, OLD)
    for daemon in ("osd", "mon"):
        ceph.daemon("stop", daemon)
    with bounded(), pytest.raises(StoreError, match="no answer within"):
        store.exists(drive)
    for daemon in ("mon", "osd"):
        ceph.daemon("start", daemon)
    ceph.wait()
    assert content(store, drive) == OLD


@pytest.mark.usefixtures("patient")
def test_a_client_that_is_shut_out_comes_back_as_another(
    ceph: Cluster, drive: str
) -> None:
    store = ceph.store()
    store.write(drive, OLD)
    before = ceph.clients()
    for address in before:
        ceph.ceph("osd", "blocklist", "add", address)
    assert content(store, drive) == OLD
    assert ceph.clients() - before


def test_two_clusters_at_a_time(ceph: Cluster) -> None:
    with cluster(MINICEPH_ADDRESS="::1") as other:
        [monitor] = other.store().monitors()
        assert monitor.host == "::1"
        address = f"v1:[::1]:{monitor.port}"
        assert address in other.conf.read_text()
        assert address not in ceph.conf.read_text()
        drive = "00000000-0000-4000-8000-00000000000a"
        other.store().write(drive, OLD)
        assert other.store().exists(drive) is True
        assert ceph.store().exists(drive) is False
