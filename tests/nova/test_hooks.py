"""The hooks have the names that nova's compute manager calls."""

from __future__ import annotations

import inspect

import pytest
from nova.virt import driver as nova_driver
from nova.virt.libvirt import driver as libvirt_driver

from cfgdrive_virt.driver.lifecycle import Lifecycle
from cfgdrive_virt.driver.live_migration import LiveMigration
from cfgdrive_virt.model.drive import RESIZE_SUFFIX

#: What nova has no name for.
OWN = {"must_fetch", "read_migrating"}

HOOKS = sorted(
    name
    for hooks in (Lifecycle, LiveMigration)
    for name in vars(hooks)
    if not name.startswith("_")
)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_has_the_name_of_novas(name: str) -> None:
    found = getattr(nova_driver.ComputeDriver, name, None)
    assert inspect.isfunction(found) is (name not in OWN)


def test_nova_keeps_a_resized_instance_where_we_do() -> None:
    source = inspect.getsource(
        libvirt_driver.LibvirtDriver.migrate_disk_and_power_off
    )
    assert f'inst_base + "{RESIZE_SUFFIX}"' in source
