"""Two places for drives: files, and a Ceph of this test run alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ..ceph.cluster import Cluster
from ..ceph.conftest import ceph, running  # noqa: F401
from .places import FilePlace, Place
from .volumes import RbdPlace

# The same sequences in every run: what fails in one fails in the next.
settings.register_profile(
    "lifecycle",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=tuple(HealthCheck),
)


@pytest.fixture(params=["file", "rbd"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Somewhere for drives, which no test leaves anything in."""
    root = tmp_path / "instances"
    root.mkdir()
    if request.param == "file":
        files = FilePlace(root)
        yield files
        assert files.everything() == []
        return
    # Only then is one started.
    cluster: Cluster = request.getfixturevalue("ceph")
    with RbdPlace.of(root, cluster) as volumes:
        yield volumes
