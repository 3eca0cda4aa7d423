"""What nova's own driver does, and what it loses."""

from __future__ import annotations

from typing import Any

import lives
from deployment import STOCK
from drives import ISO9660, VFAT, Drive


class TestIso9660(lives.Everything):
    DRIVER = STOCK
    FORM = ISO9660

    def check_moved(self, before: Drive, server: dict[str, Any]) -> None:
        """What a guest reads after a live migration is zeros, since 30.1."""
        if lives.COPIES_ISOS:
            super().check_moved(before, server)
            return
        host = self.host_of(server)
        data = self.file(host, server).read_bytes()
        assert bytes(len(data)) == data
        self.check_left(server, host)


class TestVfat(lives.LiveMigration):
    DRIVER = STOCK
    FORM = VFAT
