"""Nova itself, to compare with: see oracle.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import oracle
import pytest


def pytest_configure(config: pytest.Config) -> None:
    # nova's libvirt modules import eventlet, which warns at any fork later.
    config.addinivalue_line(
        "filterwarnings", "ignore:Using fork:DeprecationWarning"
    )


@pytest.fixture(autouse=True)
def _nova_options() -> Iterator[None]:
    """Begin and end with nova's defaults, whatever a test has set."""
    oracle.load_options()
    yield
    oracle.load_options()


@pytest.fixture
def drives(tmp_path: Path) -> oracle.Drives:
    return oracle.Drives(tmp_path)
