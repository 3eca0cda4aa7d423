"""Raise our errors as nova's exceptions, or log them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from nova import exception

from cfgdrive_virt.exception import ConfigDriveError, UnsupportedCombination

LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Raise an unsupported combination as nova's InvalidInput."""
    try:
        yield
    except UnsupportedCombination as error:
        # nova tries no other host then, as none could do better.
        raise exception.InvalidInput(reason=str(error)) from error


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Refuse a migration: nova aborts it before the guest moves."""
    try:
        yield
    except ConfigDriveError as error:
        raise exception.MigrationPreCheckError(reason=str(error)) from error


@contextlib.contextmanager
def logged(what: str) -> Iterator[None]:
    """Log an error that must not keep nova from finishing its own work.

    :param what: what could not be done, such as ``remove the config drive``
    """
    try:
        yield
    except ConfigDriveError as error:
        # The error's text is complete; a traceback would only hide it.
        LOG.error("Could not %s: %s", what, error)  # noqa: TRY400
