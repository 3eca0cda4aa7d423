"""What a hook logs, for people and for programs."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from cfgdrive_virt import ConfigDriveDriver, ConfigDriveRequest
from cfgdrive_virt.exception import StoreError

from ..samples import UUID, request, secrets_in, wanted


def test_logs_tell_where_and_why(
    driver: ConfigDriveDriver, caplog: pytest.LogCaptureFixture, drive: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    driver.spawn(request())
    driver.spawn(wanted())
    driver.spawn(wanted())
    driver.destroy(UUID)
    driver.destroy(UUID)
    told = [
        f"Config drive of instance {UUID}: {words}"
        for words in (
            "spawn: no drive: neither",
            f"spawn: built {drive} (vfat, ",
            f"spawn: left alone {drive}",
            "destroy: removed",
            "destroy: nothing to remove",
        )
    ]
    for message, words in zip(caplog.messages, told, strict=True):
        assert re.sub(r" in [0-9.]+ s", "", message).startswith(words)
    built = caplog.messages[1]
    assert ": missing; the request asks for one; a drive in a file" in built


def test_logs_are_for_programs_too(
    driver: ConfigDriveDriver, caplog: pytest.LogCaptureFixture, drive: Path
) -> None:
    caplog.set_level(logging.INFO)
    driver.spawn(wanted())
    drive.unlink()
    with pytest.raises(StoreError):
        driver.reboot(UUID)
    facts = [
        (told["instance_uuid"], told["operation"], told["outcome"])
        for told in map(vars, caplog.records)
    ]
    built, failed = facts
    assert built[:2] == (UUID, "spawn")
    assert built[2].startswith(f"built {drive}")
    assert failed == (UUID, "reboot", "failed")
    assert all(0 <= vars(one)["duration"] < 60 for one in caplog.records)


def test_no_log_plan_or_drive_gives_a_secret_away(
    driver: ConfigDriveDriver,
    sample: ConfigDriveRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    told = [driver.plan(sample), driver.spawn(sample), driver.build(sample)]
    told += [driver.rebuild(sample), driver.destroy(sample.uuid)]
    assert secrets_in(caplog.text + repr(told) + str(told)) == []
    assert sample.uuid in caplog.text
