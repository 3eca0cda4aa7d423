"""What every hook asks of a UUID, and of instances_path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cfgdrive_virt import ConfigDriveDriver, ConfigDriveError
from cfgdrive_virt.exception import InvalidRequest, StoreError

from ..samples import UUID, wanted


@pytest.mark.parametrize(
    "uuid",
    [
        "", ".", "..", "../victim", f"{UUID}/../victim", f"../{UUID}",
        "/etc", f"{UUID}\0", f"{UUID}\n", f"{{{UUID}}}", "locks",
        UUID.replace("-", ""), None, 5, 10**5000, b"x", Path(UUID),
    ],
    ids=lambda uuid: "huge" if uuid == 10**5000 else ascii(uuid),
)  # fmt: skip
def test_what_is_no_uuid_leads_nowhere(
    driver: ConfigDriveDriver, instances: Path, uuid: Any
) -> None:
    victim = instances.parent / "victim" / "disk.config"
    victim.parent.mkdir()
    victim.write_bytes(b"x")
    for act in (
        driver.destroy,
        driver.exists,
        driver.location,
        driver.locked,
    ):
        with pytest.raises(InvalidRequest, match="uuid: must be a UUID"):
            act(uuid)
    assert victim.exists()


@pytest.mark.parametrize(
    "hook",
    [
        "unrescue", "migrate_disk_and_power_off", "finish_migration",
        "confirm_migration", "finish_revert_migration", "destroy", "cleanup",
        "reboot", "forget_secrets", "exists",
        "check_can_live_migrate_destination",
    ],
)  # fmt: skip
def test_what_is_no_uuid_is_refused(
    driver: ConfigDriveDriver, instances: Path, hook: str
) -> None:
    with pytest.raises(ConfigDriveError, match="uuid"):
        getattr(driver, hook)("../../etc")
    assert os.listdir(instances) == []


@pytest.mark.parametrize("act", ["spawn", "destroy"])
def test_a_missing_instances_path_is_told(
    driver: ConfigDriveDriver, instances: Path, act: str
) -> None:
    instances.rmdir()
    with pytest.raises(StoreError) as caught:
        driver.spawn(wanted()) if act == "spawn" else driver.destroy(UUID)
    assert str(caught.value) == (
        f"instances_path {instances} can't be used: the directory is missing"
        " (ENOENT)"
    )
    assert not instances.exists()


def test_nothing_is_listed_however_many_instances_there_are(
    driver: ConfigDriveDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Any] = []
    real = os.listdir

    def listdir(path: Any) -> list[str]:
        # A new directory is empty.
        listed.extend(real(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(os, "scandir", listed.append)
    driver.plan(wanted())
    with driver.locked(UUID):
        driver.spawn(wanted())
        driver.spawn(wanted())
        driver.rebuild(wanted())
        driver.destroy(UUID)
    assert listed == []
