"""Calls of librados and librbd that fail, lose their answer, or are the last.

The product's modules see the bindings through proxies, which count all calls,
each by its name, such as ``Image.write``.  What a call does it really does, in
a real cluster: only that it fails is a play, by the exceptions that the
bindings raise for an error number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import errno
import functools
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rados
import rbd

from cfgdrive_virt.store.ceph import ahead, connection, volumes

#: By error number; the bindings raise an OSError of theirs for any other.
_EXCEPTIONS: dict[str, dict[int, type[Exception]]] = {
    "rados": {
        errno.EPERM: rados.PermissionError,
        errno.ENOENT: rados.ObjectNotFound,
        errno.EIO: rados.IOError,
        errno.EINVAL: rados.InvalidArgumentError,
        errno.ENOSPC: rados.NoSpace,
        errno.ESHUTDOWN: rados.ConnectionShutdown,
        errno.ETIMEDOUT: rados.TimedOut,
    },
    "rbd": {
        errno.EPERM: rbd.PermissionError,
        errno.ENOENT: rbd.ImageNotFound,
        errno.EIO: rbd.IOError,
        errno.EBUSY: rbd.ImageBusy,
        errno.EEXIST: rbd.ImageExists,
        errno.EINVAL: rbd.InvalidArgument,
        errno.ENOSPC: rbd.NoSpace,
        errno.EROFS: rbd.ReadOnlyImage,
        errno.ENOTEMPTY: rbd.ImageHasSnapshots,
        errno.ESHUTDOWN: rbd.ConnectionShutdown,
        errno.ETIMEDOUT: rbd.Timeout,
        errno.EDQUOT: rbd.DiskQuotaExceeded,
    },
}

#: In the path of each of its files.
_PRODUCT, _CEPH = "/cfgdrive_virt/", "/store/ceph/"

#: They return nothing that could tell of a failure, or ask no daemon.
NEVER_FAIL = {"Rados.shutdown", "Rados.conf_get", "Ioctx.close", "RBD"}
#: What they free is free even if they couldn't say so to a daemon.
ALWAYS_DONE = NEVER_FAIL | {"Image.close", "Image (read-only).close"}

#: By these an image, a name or a watch comes or goes.
CHANGES = {
    "Image.open",
    "Image.close",
    "Image.flush",
    "Image.metadata_set",
    "Image.resize",
    "Image.write",
    "Ioctx.remove_object",
    "RBD.create",
    "RBD.remove",
    "RBD.rename",
}


class Lasts(enum.Enum):
    """How long something goes wrong that has begun to."""

    ONCE = "once"
    HOOK = "from then on"
    CONNECTION = "until another connection"


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at a call.

    :param number: of the call, from 0
    :param error: an error number; 0 kills the process
    :param after: whether the call has done its work by then
    """

    number: int
    error: int
    after: bool = False
    lasts: Lasts = Lasts.ONCE

    def __str__(self) -> str:
        what = errno.errorcode[self.error] if self.error else "killed"
        when = "after" if self.after else "before"
        return f"{what} {when} call {self.number}, {self.lasts.value}"


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A call of the bindings, and where the product calls.

    :param stack: the files and lines, the last one first
    :param changes: whether it changed something when nothing was wrong
    """

    name: str
    stack: tuple[tuple[str, int], ...]
    changes: bool = False

    @classmethod
    def here(cls, name: str) -> Call:
        stack = []
        frame = sys._getframe(2)
        while frame:
            code = frame.f_code
            if _PRODUCT in code.co_filename:
                stack.append((code.co_filename, frame.f_lineno))
            frame = frame.f_back
        return cls(name, tuple(stack))

    @property
    def below(self) -> Call:
        """Return it without what calls the store."""
        below = itertools.takewhile(lambda one: _CEPH in one[0], self.stack)
        return Call(self.name, tuple(below))


@dataclasses.dataclass(slots=True)
class Injector:
    """Counts calls, and has the fault happen.

    :param calls: all of a hook
    :param refused: the numbers of those that failed by themselves, as one
        that removes what isn't there
    :param cut_off: whether the fault has begun, and lasts
    """

    fault: Fault | None = None
    calls: list[Call] = dataclasses.field(default_factory=list)
    refused: set[int] = dataclasses.field(default_factory=set)
    happened: bool = False
    cut_off: bool = False

    def begin(self, fault: Fault | None) -> None:
        """Begin with a hook, at which something goes wrong."""
        self.fault, self.calls, self.refused = fault, [], set()
        self.happened = self.cut_off = False

    @staticmethod
    def disconnect() -> None:
        """Have the next call connect."""
        connection._close_all()
        connection._kept.clear()

    def call(
        self, name: str, function: Callable[..., Any], *args: Any, **named: Any
    ) -> Any:
        """Call a function of the bindings; or let it go wrong."""
        number = len(self.calls)
        self.calls.append(Call.here(name))
        fault = self.fault
        args = tuple(
            arg._real if isinstance(arg, _Proxy) else arg for arg in args
        )
        if fault is None:
            try:
                return function(*args, **named)
            except connection.ERRORS:
                self.refused.add(number)
                raise
        if name == "Rados.connect" and fault.lasts is Lasts.CONNECTION:
            self.cut_off = False
        begins = number == fault.number
        if not begins and not self.cut_off:
            return function(*args, **named)
        if begins and not fault.error and not fault.after:
            _die()
        if name in NEVER_FAIL:
            return function(*args, **named)
        if (begins and fault.after) or name in ALWAYS_DONE:
            # What it returns, an open image perhaps, is nobody's then.
            with contextlib.suppress(*connection.ERRORS):
                function(*args, **named)
        if not fault.error:
            _die()
        self.happened = True
        self.cut_off = fault.lasts is not Lasts.ONCE
        raise exception(name, fault.error)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exception(name: str, number: int) -> Exception:
    """Return what the bindings raise for an error number."""
    module = "rados" if name.startswith(("Rados", "Ioctx")) else "rbd"
    other = rados.OSError if module == "rados" else rbd.OSError
    kind: Any = _EXCEPTIONS[module].get(number, other)
    made: Exception = kind(f"error of {name}", errno=number)
    return made


class _Proxy:
    """An object of the bindings, whose calls are counted."""

    def __init__(self, injector: Injector, kind: str, real: Any) -> None:
        vars(self).update(_injector=injector, _kind=kind, _real=real)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not callable(found):
            return found
        call = functools.partial(
            self._injector.call, f"{self._kind}.{name}", found
        )
        if name != "open_ioctx":
            return call
        return lambda pool: _Proxy(self._injector, "Ioctx", call(pool))

    def __setattr__(self, name: str, value: object) -> None:
        # librados' state, which a forked child sets.
        setattr(self._real, name, value)

    def __enter__(self) -> Any:
        self._real.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._injector.call(
            f"{self._kind}.close", self._real.__exit__, *exception
        )


class _Bindings:
    """One of both modules, whose classes make proxies."""

    def __init__(self, real: Any, **classes: Any) -> None:
        self._real = real
        vars(self).update(classes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@contextlib.contextmanager
def injector() -> Iterator[Injector]:
    """Have the product's calls counted for a while."""
    one = Injector()

    def client(**named: Any) -> _Proxy:
        return _Proxy(one, "Rados", one.call("Rados", rados.Rados, **named))

    def image(ioctx: _Proxy, name: str, *, read_only: bool = False) -> _Proxy:
        kind = "Image (read-only)" if read_only else "Image"
        real = one.call(
            f"{kind}.open", rbd.Image, ioctx, name, read_only=read_only
        )
        return _Proxy(one, kind, real)

    def operations() -> _Proxy:
        return _Proxy(one, "RBD", one.call("RBD", rbd.RBD))

    with pytest.MonkeyPatch.context() as patch:
        # Other tests' connections aren't counted, and ours not kept for them.
        patch.setattr(connection, "_kept", {})
        # The calls of a list come in the same order each time.
        patch.setattr(ahead, "THREADS", 1)
        patch.setattr(connection, "rados", _Bindings(rados, Rados=client))
        patch.setattr(
            volumes, "rbd", _Bindings(rbd, RBD=operations, Image=image)
        )
        yield one
        connection._close_all()
