"""Which of nova's own tests our driver fails, and why that is right.

Ids are those of nova 34.0.0, less ``nova.tests.unit.virt.``.  They are the
same with ``config_drive_format`` not set and with nova's default, iso9660.
"""

from __future__ import annotations

from dataclasses import dataclass

_CONN = "libvirt.test_driver.LibvirtConnTestCase."
_DRIVER = "libvirt.test_driver.LibvirtDriverTestCase."


@dataclass(frozen=True, slots=True)
class Difference:
    """What nova does otherwise, in its tests' sight."""

    reason: str
    tests: tuple[str, ...]


DIFFERENCES = (
    Difference(
        "the destination tells the source where it would have the drive, in"
        " a field that these find left empty by nova",
        (
            _CONN + "test_check_can_live_migrate_dest_all_pass"
            "_no_block_migration",
            _CONN + "test_check_can_live_migrate_dest_all_pass"
            "_with_block_migration",
            _CONN + "test_check_can_live_migrate_dest_all_pass"
            "_with_over_commit",
            _CONN + "test_check_can_live_migrate_dest_no_instance_cpu_info",
            _CONN + "test_check_can_live_migrate_guest_cpu_none_model",
        ),
    ),
    Difference(
        "our store writes a drive; these want genisoimage's file imported by"
        " nova's image backend, and have no metadata that ours could hold",
        (
            _CONN + "test_create_configdrive",
            _CONN + "test_spawn_with_config_drive",
        ),
    ),
    Difference(
        "a drive that nova once left in a file goes to Ceph with the next"
        " hard reboot; nova's stays, and its image backend is asked for both",
        (
            _CONN + "test_get_guest_disk_config_rbd_older_config_drive"
            "_fall_back",
        ),
    ),
    Difference(
        "our store writes a drive for rescue, too, or tries: in these no file"
        " can be opened, not even a lock, and an image backend is a mock",
        (
            _DRIVER + "test_rescue_config_drive",
            _DRIVER + "test_rescue_stable_device",
            _DRIVER + "test_rescue_stable_device_bfv",
            _DRIVER + "test_rescue_stable_device_with_volume_attached",
        ),
    ),
    Difference(
        "LXC and Virtuozzo can't have our drives, which we say when"
        " nova-compute starts",
        (_CONN + "test_virtuozzo_min_version_ok",),
    ),
    Difference(
        "a drive is its instance's: a dict or a sentinel in place of one has"
        " no UUID",
        (
            _CONN + "test_post_live_migration",
            _CONN + "test_post_live_migration_exception_swallowed",
        ),
    ),
    Difference(
        "our methods pass on whatever arguments each of the releases has"
        " that we know; this wants the names that this one has",
        (_CONN + "test_public_api_signatures",),
    ),
)
