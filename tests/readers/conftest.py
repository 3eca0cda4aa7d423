"""The releases of cloud-init, each of which reads the drives of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .cloud_inits import CloudInit


@pytest.fixture(scope="session")
def old() -> Iterator[CloudInit]:
    """Return the release of the machine's own distribution."""
    cloud_init = CloudInit("cloud-init")
    yield cloud_init
    cloud_init.close()


@pytest.fixture(scope="session")
def newest() -> Iterator[CloudInit]:
    """Return the newest release to be had."""
    cloud_init = CloudInit("cloud-init-newest")
    yield cloud_init
    cloud_init.close()


@pytest.fixture(scope="session", params=["old", "newest"])
def release(
    request: pytest.FixtureRequest, old: CloudInit, newest: CloudInit
) -> CloudInit:
    """Return each of both."""
    return {"old": old, "newest": newest}[request.param]
