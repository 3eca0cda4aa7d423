"""Real guests for the tests: a private libvirtd and what it boots.

Nothing here skips. What is missing fails the tests that need it, with the
reason that the programs in contrib/guest give.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Iterator

import pytest

from .guests import GUEST, GuestMachine, Probe, private_libvirtd, run


@pytest.fixture(scope="session")
def cache_dir() -> pathlib.Path:
    """Where what takes long to build is kept from run to run."""
    if given := os.environ.get("CFGDRIVE_VIRT_CACHE"):
        return pathlib.Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(base).expanduser() / "cfgdrive-virt"


@pytest.fixture(scope="session")
def libvirtd_uri() -> Iterator[str]:
    """A libvirtd of this test run alone."""
    with private_libvirtd() as uri:
        yield uri


@pytest.fixture(scope="session")
def probe(cache_dir: pathlib.Path) -> Probe:
    """What boots the guests, both the probe itself and the cloud image."""
    out = cache_dir / "probe"
    run(GUEST / "build-probe", out)
    return Probe(kernel=out / "vmlinux", initrd=out / "initrd")


@pytest.fixture(scope="session")
def probe_for(cache_dir: pathlib.Path) -> Callable[[GuestMachine], Probe]:
    """Build what boots a guest on another machine."""

    @functools.cache
    def build(machine: GuestMachine) -> Probe:
        out = cache_dir / f"probe-{machine.flavour}"
        run(GUEST / "build-probe", out, machine.flavour)
        # QEMU needs no firmware for the former.
        direct = machine.architecture == "x86_64" and not machine.uefi
        kernel = out / ("vmlinux" if direct else "vmlinuz")
        return Probe(kernel=kernel, initrd=out / "initrd")

    return build


@pytest.fixture(scope="session")
def cloud_image(cache_dir: pathlib.Path) -> pathlib.Path:
    """A root filesystem with cloud-init, to be booted with an overlay."""
    out = cache_dir / "cloud"
    run(GUEST / "build-cloud-guest", out)
    return out / "root.img"
