"""Threads of one process on different hosts, so far as these have own mounts.

A thread that enters a host sees that host's files, and so does whatever it
starts: threads and programs by the kernel's own doing, tasks that it gives
to a pool of threads by ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import futurist

_CLONE_FS = 0x200
_CLONE_NEWNS = 0x20000
_OURS = "/proc/thread-self/ns/mnt"

_libc = ctypes.CDLL(None, use_errno=True)


def whereabouts() -> int:
    """Return what tells the calling thread's mounts from others."""
    return pathlib.Path(_OURS).stat().st_ino


@contextlib.contextmanager
def among_mounts(namespace: str) -> Iterator[None]:
    """Have the calling thread see other mounts for a while.

    :param namespace: such as /proc/PID/ns/mnt
    """
    directory = pathlib.Path.cwd()
    there = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _kept_by(there, directory):
            yield
    finally:
        os.close(there)


@contextlib.contextmanager
def _kept_by(there: int, directory: pathlib.Path) -> Iterator[None]:
    here = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        try:
            yield
        finally:
            _enter(here)
            os.chdir(directory)
    finally:
        os.close(here)


def _enter(namespace: int) -> None:
    # The kernel refuses it to who shares root and working directory.
    _check(_libc.unshare(_CLONE_FS))
    _check(_libc.setns(namespace, _CLONE_NEWNS))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def submit_from_here(
    submit: Callable[..., futurist.Future],
) -> Callable[..., futurist.Future]:
    """Make an executor's submit() that has tasks run where it is called."""

    @functools.wraps(submit)
    def wrapped(self: Any, task: Any, /, *args: Any, **kwargs: Any) -> Any:
        here = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)
        directory = pathlib.Path.cwd()

        def on_this_host() -> Any:
            try:
                with _kept_by(here, directory):
                    return task(*args, **kwargs)
            finally:
                os.close(here)

        return submit(self, on_this_host)

    return wrapped
