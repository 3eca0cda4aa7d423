"""What of our errors nova is told, and how."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from nova import exception

from cfgdrive_virt.exception import ConfigDriveError, UnsupportedCombination

LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Tell whoever asked for an instance what can't be."""
    try:
        yield
    except UnsupportedCombination as error:
        # No other host could do better: nova gives up.
        raise exception.InvalidInput(reason=str(error)) from error


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Refuse a migration, before anything has moved."""
    try:
        yield
    except ConfigDriveError as error:
        raise exception.MigrationPreCheckError(reason=str(error)) from error


@contextlib.contextmanager
def logged(what: str) -> Iterator[None]:
    """Tell of what nova's own work has to go on without."""
    try:
        yield
    except ConfigDriveError as error:
        # It says all; a traceback would only bury it.
        LOG.error("Could not %s: %s", what, error)  # noqa: TRY400
