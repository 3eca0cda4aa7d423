"""A private libvirtd, domains for it, and what their consoles say."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import libvirt
import pytest

GUEST = pathlib.Path(__file__).parents[2] / "contrib" / "guest"

#: QEMU's version; before it, what an emulated guest writes on its way to
#: another host can be lost: see QEMU's commit 03bfc2188f06.
_MOVES_WHOLE = 9_000_000


@dataclass(frozen=True)
class Probe:
    """The kernel and initramfs that contrib/guest/build-probe makes."""

    kernel: pathlib.Path
    initrd: pathlib.Path


@dataclass(frozen=True)
class GuestMachine:
    """A machine that QEMU emulates, and what Linux needs to run on it.

    :param flavour: of the kernel, as build-probe takes it
    :param console: what the kernel calls the serial console
    :param cpu: a model, if QEMU's default can't run the kernel
    :param uefi: boot by UEFI, not by QEMU's default
    """

    machine_type: str
    architecture: str = "x86_64"
    flavour: str = "amd64"
    console: str = "ttyS0"
    cpu: str | None = None
    uefi: bool = False


class Console:
    """The log file of a guest's serial console."""

    def __init__(self, log: pathlib.Path) -> None:
        self.log = log

    def text(self) -> str:
        """The lines that the guest has printed completely so far."""
        try:
            text = self.log.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return text[: text.rfind("\n") + 1]

    def wait_for(self, regex: str, timeout: float) -> re.Match[str]:
        """The first match in the log, for which it waits so many seconds."""
        end = time.monotonic() + timeout
        while True:
            late = time.monotonic() > end
            text = self.text()
            if match := re.search(regex, text, re.MULTILINE):
                return match
            if late:
                pytest.fail(
                    f"{timeout} s without {regex!r} in {self.log}:\n"
                    + "\n".join(text.splitlines()[-30:])
                )
            time.sleep(0.1)

    def probe_round(self, n: int, timeout: float = 60) -> dict[str, str]:
        """The path and SHA-256 of every file that the probe's round n read.

        A path is relative to the drive's root. Bytes that are no UTF-8 are
        in it as os.fsdecode() gives them; the sum of a file which could not
        be read is "unreadable".
        """
        block = self.wait_for(
            rf"^PROBE begin {n} [\s\S]*?^PROBE end {n} ", timeout
        )[0]
        if missing := re.search(r"^PROBE nomount .*", block, re.MULTILINE):
            pytest.fail(f"round {n} in {self.log}: {missing[0].rstrip()}")
        return {
            os.fsdecode(bytes.fromhex(path)): checksum
            for checksum, path in re.findall(
                r"^PROBE file (\S+) (\S+) ", block, re.MULTILINE
            )
        }


def run(*argv: str | pathlib.Path, **env: str) -> str:
    """Standard output of a program, whose failure is the test's own."""
    try:
        return subprocess.run(
            argv,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except FileNotFoundError as error:
        pytest.fail(f"cannot run {argv[0]}: {error}", pytrace=False)
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, argv))
        pytest.fail(f"{command}:\n{error.stderr}", pytrace=False)


@contextlib.contextmanager
def moving(domain: libvirt.virDomain, to: str) -> Iterator[None]:
    """Have a guest wait while it is migrated, where QEMU needs that.

    :param to: URI of the libvirt that has it afterwards, if nothing is raised
    """
    if domain.connect().getVersion() >= _MOVES_WHOLE:
        yield
        return
    domain.suspend()
    try:
        yield
    except BaseException:
        domain.resume()
        raise
    with contextlib.closing(libvirt.open(to)) as there:
        there.lookupByUUID(domain.UUID()).resume()


@contextlib.contextmanager
def private_libvirtd(ports: str = "49152-49215") -> Iterator[str]:
    """The URI of a libvirtd that lasts as long as the context.

    Of two that migrate to each other each needs ports of its own.
    """
    # pytest's own temporary directories are too long for sockets
    directory = tempfile.mkdtemp(prefix="cfgd-", dir="/tmp")
    try:
        try:
            yield run(
                GUEST / "libvirtd",
                "start",
                directory,
                CFGDRIVE_VIRT_MIGRATION_PORTS=ports,
            )
        finally:
            run(GUEST / "libvirtd", "stop", directory)
    finally:
        shutil.rmtree(directory)


def probe_domain_xml(
    name: str,
    uuid: str,
    machine: str | GuestMachine,
    probe: Probe,
    serial_log: pathlib.Path,
    cmdline_extra: str = "",
) -> str:
    """A domain that boots the probe; machine may be "pc" or "q35".

    It has no config drive: what is tested adds it.
    """
    return _domain_xml(
        name, uuid, machine, probe, serial_log, cmdline_extra, 256, ""
    )


def cloud_domain_xml(
    name: str,
    uuid: str,
    machine: str,
    probe: Probe,
    overlay: pathlib.Path,
    mac: str,
    serial_log: pathlib.Path,
    cmdline_extra: str = "",
) -> str:
    """A domain that boots the image under overlay, see cloud_overlay().

    Its network card is on a network of QEMU's own. It has no config drive
    either.
    """
    devices = f"""
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='unsafe'/>
      <source file='{escape(str(overlay))}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='user'>
      <mac address='{escape(mac)}'/>
      <model type='virtio'/>
    </interface>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"""
    cmdline = f"realroot=/dev/vda net.ifnames=0 {cmdline_extra}"
    return _domain_xml(
        name, uuid, machine, probe, serial_log, cmdline, 768, devices
    )


def cloud_overlay(image: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """Make path the disk of one guest that starts out as image."""
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b"]
    run(*create, image, path)
    return path


def _domain_xml(
    name: str,
    uuid: str,
    machine: str | GuestMachine,
    probe: Probe,
    serial_log: pathlib.Path,
    cmdline: str,
    mebibytes: int,
    devices: str,
) -> str:
    if isinstance(machine, str):
        machine = GuestMachine(machine)
    cmdline = f"console={machine.console} quiet panic=-1 {cmdline}"
    os, features = "<os>", ""
    if machine.uefi:
        # Firmware with Secure Boot may refuse the distribution's kernel.
        os = """<os firmware='efi'>
    <firmware><feature enabled='no' name='secure-boot'/></firmware>"""
    if machine.uefi or machine.architecture == "x86_64":
        features = "<features><acpi/></features>"
    if machine.cpu:
        features += f"<cpu match='exact'><model>{machine.cpu}</model></cpu>"
    # The log is appended to, since a migrated guest opens it once more.
    return f"""\
<domain type='qemu'>
  <name>{escape(name)}</name>
  <uuid>{escape(uuid)}</uuid>
  <memory unit='MiB'>{mebibytes}</memory>
  <vcpu>1</vcpu>
  {os}
    <type arch='{machine.architecture}'
        machine='{escape(machine.machine_type)}'>hvm</type>
    <kernel>{escape(str(probe.kernel))}</kernel>
    <initrd>{escape(str(probe.initrd))}</initrd>
    <cmdline>{escape(cmdline)}</cmdline>
  </os>
  {features}
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>{devices}
    <serial type='file'>
      <source path='{escape(str(serial_log))}' append='on'/>
    </serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""
