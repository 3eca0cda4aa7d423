"""A compute service that isn't root, where libvirt gives drives to QEMU.

As by default (dynamic_ownership): a disk's file becomes QEMU's when the guest
starts, and a read-only one stays so when it ends.  The service may read its
own drive no more, and asks libvirt for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shutil
import tempfile
import uuid as uuids
from collections.abc import Iterator
from dataclasses import dataclass

import libvirt
import pytest

from cfgdrive_virt import ConfigDriveRequest, InjectedFile
from cfgdrive_virt.adapters.libvirt import connected, silence
from cfgdrive_virt.exception import DriveUnreadable
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from cfgdrive_virt.model.status import FRESH

from ..unit.processes import NOBODY
from .guests import Console, Probe, private_libvirtd, probe_domain_xml
from .hosts import Host, pid_of, service_process
from .test_spawn import files_by_7z

FORMATS = ["iso9660", "vfat"]
PASSWORD = "correct horse"
META_DATA = "openstack/latest/meta_data.json"
USER_DATA = "openstack/latest/user_data"


@dataclass(slots=True)
class Guest:
    """A guest that has been started, and what its drive is to say."""

    host: Host
    request: ConfigDriveRequest
    console: Console

    @property
    def uuid(self) -> str:
        return self.request.uuid

    @property
    def path(self) -> pathlib.Path:
        return self.host.instances / self.uuid / "disk.config"

    def checksums(self) -> dict[str, str]:
        """Of the files on its drive, as root and another reader have them."""
        with tempfile.TemporaryDirectory() as directory:
            files = files_by_7z(self.path, pathlib.Path(directory))
        return {
            path: hashlib.sha256(data).hexdigest()
            for path, data in files.items()
        }

    def reads_every_file(self, *, changed: str = META_DATA) -> None:
        """See that it reads what is on the drive now.

        :param changed: a file with a content that it hasn't had before
        """
        expected = self.checksums()
        self.console.wait_for(
            rf"^PROBE file {expected[changed]} \S+ {changed}", 60
        )
        begun = self.console.text().count("PROBE begin ")
        assert self.console.probe_round(begun + 1) == expected

    def stop(self) -> None:
        self.host.connection.lookupByUUIDString(self.uuid).destroy()
        # The next run's rounds are counted from 1 again.
        self.console.log.write_bytes(b"")

    def start(self) -> None:
        self.host.connection.lookupByUUIDString(self.uuid).create()

    def is_fresh(self) -> bool:
        return bool(self.host.call("status", self.request) == FRESH)

    def checked(self) -> MigratingDrive:
        """What the source says of it to a host with a disk of its own."""
        check = DestinationCheck(self.uuid, (str(self.path),), None, "0" * 32)
        domain = self.host.connection.lookupByUUIDString(self.uuid)
        drive = self.host.call(
            "check_can_live_migrate_source",
            self.uuid,
            check,
            domain.XMLDesc(),
            block_migration=True,
        )
        assert isinstance(drive, MigratingDrive)
        return drive


@contextlib.contextmanager
def host_of(user: int) -> Iterator[Host]:
    """A host whose service is that user, and whose QEMU is another one.

    Its libvirtd gives QEMU what a guest needs, as it does by default.
    """
    top = pathlib.Path(tempfile.mkdtemp(prefix="cfgd-", dir="/tmp"))
    try:
        top.chmod(0o755)
        (top / "instances").mkdir()
        os.chown(top / "instances", user, user)
        with contextlib.ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setenv("CFGDRIVE_VIRT_OWNERSHIP", "1")
            uri = stack.enter_context(private_libvirtd())
            pid = pid_of(uri)
            connection = stack.enter_context(connected(uri))
            process = service_process(top / "a", uri, pid, user)
            channel = stack.enter_context(process)
            yield Host(uri, connection, top / "a", pid, channel)
    finally:
        shutil.rmtree(top)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    silence()
    with host_of(NOBODY) as made:
        yield made


@pytest.fixture(scope="module")
def owned_probe(host: Host, probe: Probe) -> Probe:
    """Kernel and initrd of the host's own, for it gives QEMU those too."""
    return Probe(
        *(
            pathlib.Path(shutil.copy(path, host.directory))
            for path in (probe.kernel, probe.initrd)
        )
    )


@pytest.fixture(scope="module", params=FORMATS)
def guest(
    request: pytest.FixtureRequest, host: Host, owned_probe: Probe
) -> Iterator[Guest]:
    wanted = ConfigDriveRequest(
        uuid=str(uuids.uuid4()),
        name="guest",
        hostname="guest",
        config_drive=True,
        admin_pass=PASSWORD,
        user_data=b"what was before",
        injected_files=(
            InjectedFile(path="/etc/x", content=bytes(range(256)) * 500),
        ),
    )
    console = Console(host.directory / f"{wanted.uuid}.log")
    domain_xml = probe_domain_xml(
        wanted.uuid,
        wanted.uuid,
        "pc",
        owned_probe,
        console.log,
        "probe.interval=0.05 probe.lock=0",
    )
    with host.configured(config_drive_format=request.param):
        try:
            host.call("spawn", wanted, domain_xml)
            yield Guest(host, wanted, console)
        finally:
            host.call("destroy", wanted.uuid)


def test_a_guest_reads_a_drive_that_its_service_may_not(
    guest: Guest,
) -> None:
    status = guest.path.stat()

    assert status.st_mode & 0o777 == 0o600
    assert status.st_uid not in (0, NOBODY)
    assert guest.path.parent.stat().st_uid == NOBODY
    with pytest.raises(DriveUnreadable):
        guest.host.call("status_without_libvirt", guest.request)
    guest.reads_every_file()


def test_the_drive_of_a_running_guest_is_fresh(guest: Guest) -> None:
    assert guest.is_fresh()


def test_a_running_guest_can_be_migrated(guest: Guest) -> None:
    data = guest.path.read_bytes()

    drive = guest.checked()

    assert not drive.shared
    assert drive.size == len(data)
    assert drive.sha256 == hashlib.sha256(data).hexdigest()


def test_a_refresh_gives_a_running_guest_new_content(guest: Guest) -> None:
    guest.request = dataclasses.replace(
        guest.request, user_data=b"what comes next"
    )
    assert not guest.is_fresh()

    drive = guest.host.call("refresh", guest.request)

    assert drive.built
    assert guest.is_fresh()
    guest.reads_every_file(changed=USER_DATA)


def test_a_refresh_leaves_a_fresh_drive_alone(guest: Guest) -> None:
    before = guest.path.stat()

    drive = guest.host.call("refresh", guest.request)

    assert not drive.built
    assert guest.path.stat().st_ino == before.st_ino
    guest.reads_every_file()


def test_secrets_are_taken_off_a_running_guests_drive(guest: Guest) -> None:
    assert PASSWORD.encode() in guest.path.read_bytes()

    guest.host.call("forget_secrets", guest.uuid, ["admin_pass"])

    assert PASSWORD.encode() not in guest.path.read_bytes()
    assert guest.is_fresh()
    guest.reads_every_file()


@pytest.mark.parametrize("by", ["request", "uuid"])
def test_a_guest_that_was_stopped_boots_again_after_a_reboot_by(
    by: str, guest: Guest
) -> None:
    before = guest.path.read_bytes()
    guest.stop()

    drive = guest.host.call("reboot", getattr(guest, by))
    guest.start()

    assert not drive.built
    assert guest.path.read_bytes() == before
    guest.reads_every_file()


def test_a_reboot_makes_a_damaged_drive_anew(guest: Guest) -> None:
    guest.stop()
    with guest.path.open("r+b") as file:
        file.write(bytes(guest.path.stat().st_size))

    drive = guest.host.call("reboot", guest.request)
    guest.start()

    assert drive.built
    assert guest.is_fresh()
    guest.reads_every_file()


def test_a_drive_is_removed_once_its_guest_has_left(guest: Guest) -> None:
    drive = guest.checked()
    domain = guest.host.connection.lookupByUUIDString(guest.uuid)
    xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    guest.stop()
    # As migrating leaves it: libvirt can't be asked any more.
    domain.undefine()

    guest.host.call("post_live_migration", guest.uuid, drive)

    assert guest.host.files() == {}
    guest.host.call("reboot", guest.request)
    guest.host.connection.defineXML(xml)
    guest.start()
    guest.reads_every_file()


def test_destroy_leaves_nothing(guest: Guest) -> None:
    guest.host.call("destroy", guest.uuid)

    assert guest.host.connection.listAllDomains() == []
    assert guest.host.files() == {}
