"""nova's own functional fixtures, where the process is ready for them.

A test process of theirs has to decide on its concurrency before it imports
anything else: see ``__main__``.
"""

from __future__ import annotations

import sys

import pytest

READY = "nova.tests.functional" in sys.modules

#: Those of another process' tests can't be imported in this one.
collect_ignore_glob = [] if READY else ["test_*.py"]


pytest.register_assert_rewrite("checked", "deployment", "lives", "switches")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "every_release: what each release of nova is tried with"
    )


def pytest_report_header() -> str:
    if READY:
        from nova import version  # noqa: PLC0415

        return f"nova: {version.version_string()}"
    return "tests/nova/functional: left out, start them by themselves"


@pytest.fixture(autouse=True)
def _nova_options() -> None:
    """Leave the options to nova's own fixture."""
