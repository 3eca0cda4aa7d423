"""Nova, real libvirts, real guests: only the cloud around them is nova's fake.

These tests are run by themselves, see bootstrap.py::

    python -m pytest --confcutdir=tests/nova/real tests/nova/real

Nothing here skips: what is missing is an error.
"""

from __future__ import annotations

from collections.abc import Iterator

import bootstrap  # noqa: F401  # before anything imports nova or libvirt
import hosts as machines
import pytest

from tests.guest.conftest import cache_dir, probe

__all__ = ["cache_dir", "probe"]


def pytest_configure(config: pytest.Config) -> None:
    # What nova's requirements warn of is theirs.
    config.addinivalue_line("filterwarnings", "ignore")
    config.addinivalue_line("filterwarnings", "error:::cfgdrive_virt")
    # Of what it tells by the way, a failure's report would be thousands of
    # lines.
    config.option.log_level = "WARNING"


@pytest.fixture(scope="session")
def hosts() -> Iterator[machines.Hosts]:
    with machines.hosts("one", "other") as made:
        yield made
