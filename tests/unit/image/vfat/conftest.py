"""What tests of the reader start from."""

from __future__ import annotations

import pytest

from .disk import Disk, built


@pytest.fixture
def disk() -> Disk:
    return Disk(built())
