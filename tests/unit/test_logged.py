"""The check for secrets in logs finds them; else it would show nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ..logged import leaks, recorded, secrets_used
from .processes import Child
from .samples import request

LOG = logging.getLogger("cfgdrive_virt.anything")
PASSWORD = "hunter2-hunter3"


@pytest.mark.parametrize(
    "log",
    [
        lambda: LOG.debug("it is %s", PASSWORD),
        lambda: LOG.info("done", extra={"reason": PASSWORD}),
        lambda: LOG.info("%s", [PASSWORD.encode()]),
        lambda: Child(lambda: LOG.info(PASSWORD)).answer(),
        lambda: logging.getLogger("oslo").debug(PASSWORD),
    ],
    ids=["debug", "attribute", "bytes", "fork", "library"],
)
def test_what_is_logged_is_found(tmp_path: Path, log: object) -> None:
    path = tmp_path / "log"
    with recorded(path), secrets_used() as used:
        request(admin_pass=PASSWORD)
        assert callable(log)
        log()
    assert leaks(path.read_bytes(), used) == [PASSWORD.encode()]


def test_what_is_not_logged_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with recorded(path), secrets_used() as used:
        LOG.info("%r", request(admin_pass=PASSWORD, name="nobody"))
    assert used == {PASSWORD.encode()}
    assert leaks(path.read_bytes(), used) == []
