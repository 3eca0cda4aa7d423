"""One Ceph for all tests, and the same emptiness after each of them.

Nothing here skips: a package that is missing fails the tests, by its name.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.ceph.store import RbdStore

from .cluster import Cluster, cluster


@pytest.fixture(scope="session")
def running() -> Iterator[Cluster]:
    """A cluster of this test run alone."""
    with cluster() as running:
        # Only a manager knows how full a pool is, and it takes its time.
        running.daemon("start", "mgr")
        # So long a killed process seems to have a volume open; usually 30.
        running.ceph("config", "set", "osd", "osd_client_watch_timeout", 3)
        # So soon clients look whether an OSD that doesn't answer has been
        # replaced; usually after 10 seconds.
        with running.conf.open("a") as conf:
            conf.write("objecter tick interval = 0.5\nobjecter timeout = 1\n")
        yield running


@pytest.fixture
def ceph(running: Cluster) -> Iterator[Cluster]:
    """The cluster, in whose pool no test leaves anything."""
    yield running
    left = running.volumes(), running.objects()
    if any(left):
        running.empty()
    assert left == ([], set())


@pytest.fixture
def drive(ceph: Cluster) -> Iterator[str]:
    """The UUID of an instance, whose drive is removed in the end."""
    instance = str(uuid.uuid4())
    yield instance

    def deleted() -> bool:
        """Tell so, unless killed processes still seem to have it open."""
        try:
            ceph.store().delete(instance)
        except StoreError as error:
            if "in use by" in str(error):
                return False
            raise
        return True

    ceph.patiently(deleted)


@pytest.fixture
def store(ceph: Cluster) -> RbdStore:
    """The store of a compute service."""
    return ceph.store()
