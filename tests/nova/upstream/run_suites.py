"""Run nova's own unit tests, with our driver in place of nova's.

    PYTHONPATH=. python tests/nova/upstream/run_suites.py --tests all RESULTS

in a process of its own: nova's tests patch threads, options and modules for
good.  RESULTS becomes a JSON object, from a test's id to None where it has
passed, and else to the end of its traceback.

The tests hold the driver without nova-compute around it, so what that always
gives is given here, and nothing else is: see :class:`_Given`.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import traceback
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import nova.tests.unit  # first: it decides how threads are made  # noqa: F401
from differences import DIFFERENCES
from nova import objects
from nova import test as nova_test
from nova.conf import CONF
from nova.virt import libvirt as libvirt_package
from nova.virt.libvirt import driver as libvirt_driver
from nova.virt.libvirt import utils as libvirt_utils
from nova.virt.libvirt.guest import Guest

from cfgdrive_virt.adapters.nova import blockinfo, rpc
from cfgdrive_virt.adapters.nova.driver import LibvirtDriver
from cfgdrive_virt.driver import driver as our_driver
from cfgdrive_virt.driver.driver import ConfigDriveDriver
from cfgdrive_virt.driver.host import Host

_UNIT = "nova.tests.unit.virt."
MODULES = (
    _UNIT + "test_configdrive",
    _UNIT + "libvirt.test_blockinfo",
    _UNIT + "libvirt.test_driver",
    _UNIT + "libvirt.test_migration",
)
#: Of their tests, those whose name says that a drive may be concerned; the
#: others take longer than they tell.
ABOUT_DRIVES = re.compile(
    "block_?(device|info)|cleanup|config_?drive|create_(guest|image)|destroy"
    "|disk|init_host|migrat|min_version|power_o|reboot|rescue|resize|resume"
    "|signatures|spawn"
)

_NOVAS = libvirt_driver.LibvirtDriver


class _Domain:
    """libvirt's, of a guest that runs, and has no devices."""

    def XMLDesc(self, flags: int) -> str:  # noqa: N802
        del flags
        return "<domain/>"


class _Driver(LibvirtDriver):
    def check_can_live_migrate_source(self, *args: Any, **kwargs: Any) -> Any:
        # What is to be migrated runs; the tests' libvirt has no guest.
        guest = Guest(_Domain())
        with mock.patch.object(self._host, "get_guest", return_value=guest):
            return super().check_can_live_migrate_source(*args, **kwargs)


class _Given:
    """What a driver always has in nova-compute, and not in these tests."""

    def __init__(self, state_path: str, image_format: str | None) -> None:
        self._state_path = state_path
        self._format = image_format
        self._serve = rpc.serve
        self._load = objects.Instance.obj_load_attr
        self._set_up = nova_test.TestCase.setUp

    def give(self) -> None:
        """Have each test start with it."""
        libvirt_driver.LibvirtDriver = _Driver
        libvirt_package.LibvirtDriver = _Driver
        # The tests' MonkeyPatch puts back what it has found by getattr(): of
        # an inherited static method a function, from then on a method.
        for name, member in vars(_NOVAS).items():
            if isinstance(member, staticmethod):
                setattr(_Driver, name, member)
        our_driver.Host = _Host
        given = self

        def set_up(test: Any) -> None:
            given._set_up(test)
            given._to_test(test)

        def load(instance: Any, name: str) -> None:
            given._load_attribute(instance, name)

        nova_test.TestCase.setUp = set_up
        objects.Instance.obj_load_attr = load

    def _to_test(self, test: Any) -> None:
        CONF.set_default("state_path", self._state_path)
        if self._format is not None:
            CONF.set_override("config_drive_format", self._format)
        # Also where a test asks for disk mappings, and makes no driver.
        asked: Any = SimpleNamespace(
            _drive_driver=ConfigDriveDriver(
                CONF, carries=True, novas_buses=True
            )
        )
        device_of = LibvirtDriver._device_of
        blockinfo.follow(lambda *args: device_of(asked, *args))

        # nova-compute calls cleanup_host(); these call init_host() alone.
        def serve(*args: Any) -> Any:
            server = self._serve(*args)
            test.addCleanup(server.wait)
            test.addCleanup(server.stop)
            return server

        test.useFixture(_Patch(rpc, "serve", serve))

    def _load_attribute(self, instance: Any, name: str) -> None:
        # Nova's database always has these for an instance.
        if name in ("launched_at", "task_state"):
            setattr(instance, name, None)
        elif name == "system_metadata" and not instance._context:
            instance.system_metadata = {}
        else:
            self._load(instance, name)


def _architecture(host: Host) -> str:
    """Return the host's architecture, which tests choose as nova asks it."""
    del host
    try:
        found: str = libvirt_utils.get_arch(None)
    except Exception:  # as nova's tests forbid to ask, where none is chosen
        return "x86_64"
    return found


class _Host(Host):
    architecture: Any = property(_architecture, lambda *_: None)


class _Patch(nova_test.fixtures.Fixture):  # type: ignore[misc]
    def __init__(self, module: Any, name: str, value: Any) -> None:
        super().__init__()
        self._patch = mock.patch.object(module, name, value)

    def _setUp(self) -> None:  # noqa: N802
        self._patch.start()
        self.addCleanup(self._patch.stop)


class _Recorder(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.results: dict[str, str | None] = {}

    def startTest(self, test: Any) -> None:  # noqa: N802
        super().startTest(test)
        self.results[test.id()] = None

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        del self.results[test.id()]

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        self._record(test, err)

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self._record(test, err)

    def _record(self, test: Any, err: Any) -> None:
        text = "".join(traceback.format_exception(*err, limit=-3))
        self.results[test.id()] = text[-1000:]


def _tests(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def _chosen(which: str) -> Iterator[unittest.TestCase]:
    listed = {test for one in DIFFERENCES for test in one.tests}
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames(MODULES)
    if loader.errors:
        raise SystemExit("\n".join(map(str, loader.errors)))
    for test in _tests(suite):
        name = test.id().removeprefix(_UNIT)
        if which == "listed":
            chosen = name in listed
        else:
            chosen = which == "all" or bool(ABOUT_DRIVES.search(name))
        if chosen:
            yield test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tests",
        choices=("about-drives", "all", "listed"),
        default="about-drives",
        help="listed: those of differences.py",
    )
    parser.add_argument(
        "--nova", action="store_true", help="with nova's own driver"
    )
    parser.add_argument(
        "--format", help="config_drive_format; by default not set"
    )
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    recorder = _Recorder()
    with tempfile.TemporaryDirectory() as state_path:
        if not arguments.nova:
            _Given(state_path, arguments.format).give()
        unittest.TestSuite(_chosen(arguments.tests)).run(recorder)
    arguments.results.write_text(json.dumps(recorder.results, indent=1))


if __name__ == "__main__":
    main()
