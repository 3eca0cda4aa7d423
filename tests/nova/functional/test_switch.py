"""nova's own driver and ours, one after the other, and side by side."""

from __future__ import annotations

from typing import Any

import lives
import pytest
import switches
from deployment import OURS, STOCK
from drives import ISO9660, VFAT


class TestIso9660ToOurs(switches.ToOurs):
    FORM = ISO9660


class TestVfatToOurs(switches.Changed):
    FORM = VFAT


class TestIso9660ToStock(switches.ToStock):
    FORM = ISO9660


class Mixed(switches.Mixed):
    def refused(self, server: dict[str, Any]) -> None:
        """A live migration, which could leave the guest with zeros."""
        before = self.check(server)
        host, moved = self.host_of(server), list(self.hypervisor.moved)
        self.fail_to_live_migrate(server)
        assert self.host_of(server) == host
        assert self.hypervisor.moved == moved
        assert before == self.check(server)
        self.delete(server)


@pytest.mark.every_release
class TestIso9660Mixed(Mixed):
    FORM = ISO9660

    def there_and_back(self, server: dict[str, Any]) -> None:
        """Migrate without the guest running."""
        before = self.check(server)
        with self.step("migrated"):
            self.act(server, "migrate", then="VERIFY_RESIZE")
            self.check(server, left_on="src", old=before)
        with self.step("reverted"):
            self.act(server, "revertResize")
            self.check(server, old=before)
        with self.step("migrated for good"):
            self.act(server, "migrate", then="VERIFY_RESIZE")
            self.act(server, "confirmResize")
            self.check(server, old=before)
        with self.step("and back"):
            self.act(server, "migrate", then="VERIFY_RESIZE")
            self.act(server, "confirmResize")
            self.check(server, old=before)
        self.delete(server)

    def test_migrated_from_stock_to_ours(self) -> None:
        self.there_and_back(self.begin_mixed(STOCK, OURS))

    def test_migrated_from_ours_to_stock(self) -> None:
        self.there_and_back(self.begin_mixed(OURS, STOCK))

    def test_live_migration_from_stock_to_ours(self) -> None:
        server = self.begin_mixed(STOCK, OURS)
        if lives.COPIES_ISOS:
            self.moved(server)
        else:
            self.refused(server)

    def test_live_migration_from_ours_to_stock(self) -> None:
        self.refused(self.begin_mixed(OURS, STOCK))


class TestVfatMixed(Mixed):
    FORM = VFAT

    def test_live_migration_from_stock_to_ours(self) -> None:
        server = self.begin_mixed(STOCK, OURS)
        before = self.moved(server)
        with self.step("and back"):
            self.live_migrate(server)
            assert self.host_of(server) == "src"
            assert before == self.check(server)
        self.delete(server)

    def test_live_migration_from_ours_to_stock(self) -> None:
        server = self.begin_mixed(OURS, STOCK)
        self.moved(server)
        self.delete(server)

    def test_live_migration_of_our_drive_from_stock_to_ours(self) -> None:
        """nova's own VFAT is told from an ISO by its size, ours is not."""
        server = self.begin_mixed(OURS, STOCK)
        self.moved(server)
        self.refused(server)
