"""Our driver, in nova."""

from __future__ import annotations

import lives
import pytest
from deployment import OURS
from drives import ISO9660, VFAT


@pytest.mark.every_release
class TestIso9660(lives.Everything):
    DRIVER = OURS
    REFRESHES = True
    FORM = ISO9660


class TestVfat(lives.Walks):
    DRIVER = OURS
    REFRESHES = True
    FORM = VFAT
