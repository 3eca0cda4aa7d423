"""Is a drive needed, of which format, on which device - and why?

Pure functions of the settings and of what they are given (a request, the
type of a file system): they read and build nothing, so an operator can ask
what would happen.  Every answer has its reason in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from cfgdrive_virt.exception import UnsupportedCombination
from cfgdrive_virt.model.decision import Decision, Verdict
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.model.machine import DEFAULT_TYPES, Machine
from cfgdrive_virt.model.request import Request
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.policy.device import cdrom_bus, disk_bus, free_target

#: Other names that images have for libvirt's.
_ALIASES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
}
_MACHINE = re.compile(r"[A-Za-z0-9._+-]{1,64}")

#: Operating systems, by Glance's os_distro, that read a drive by Afterburn.
_AFTERBURN = ("coreos", "fedora-coreos", "flatcar", "rhcos")

#: As mount(8) names them.  The policy takes any other for a host's own: at
#: worst a drive is copied needlessly, and none is lost.
_SHARED_FILE_SYSTEMS = frozenset({
    "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.ceph-fuse",
    "fuse.glusterfs", "fuse.juicefs", "fuse.mfs", "fuse.moosefs",
    "fuse.quobyte", "fuse.saunafs", "fuse.sshfs", "fuse.vstorage",
    "fuse.weka", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4",
    "ocfs2", "orangefs", "panfs", "pvfs2", "quobyte", "smb3", "wekafs",
})  # fmt: skip

#: No other host sees these.  ``prune`` takes any other type for shared: at
#: worst it asks for a list of instances, and no drive is lost.
_LOCAL_FILE_SYSTEMS = frozenset({
    "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay",
    "ramfs", "tmpfs", "xfs", "zfs",
})  # fmt: skip


def required(settings: Settings, request: Request) -> Verdict:
    """Decide whether an instance gets a config drive.

    :raises UnsupportedCombination: if img_config_drive has a value that
        Glance doesn't know
    """
    wish = request.image_properties.get("img_config_drive", "optional")
    if wish not in ("optional", "mandatory"):
        raise UnsupportedCombination(
            "image property img_config_drive must be optional or mandatory,"
            f" not {wish!a}"
        )
    if request.config_drive:
        return Verdict(True, "the request asks for one")
    if wish == "mandatory":
        return Verdict(True, "image property img_config_drive=mandatory")
    if settings.force_config_drive and not request.launched:
        return Verdict(True, "force_config_drive is set")
    if settings.force_config_drive:
        return Verdict(
            False,
            "force_config_drive applies to new instances, and this one has"
            " been launched before",
        )
    return Verdict(
        False,
        "neither the request, nor the image, nor force_config_drive asks"
        " for one",
    )


def machine(
    settings: Settings, request: Request, host_architecture: str
) -> Machine:
    """Return the machine that image properties and options ask for.

    :raises UnsupportedCombination: if a property can't be a machine's
    """
    properties = request.image_properties
    architecture = (
        properties.get("hw_architecture")
        or properties.get("architecture")
        or host_architecture
    ).lower()
    architecture = _ALIASES.get(architecture, architecture)
    machine_type = properties.get("hw_machine_type") or None
    for name, value in (
        ("hw_architecture", architecture),
        ("hw_machine_type", machine_type),
    ):
        # They become part of libvirt's XML, and images are a tenant's.
        if value is not None and not _MACHINE.fullmatch(value):
            raise UnsupportedCombination(
                f"image property {name}={value!a} is not a name that libvirt"
                " knows"
            )
    return Machine(
        architecture,
        machine_type
        or settings.machine_types.get(architecture)
        or DEFAULT_TYPES.get(architecture),
    )


def sharing(settings: Settings, file_system: str) -> Verdict:
    """Decide whether hosts share the place of the drives.

    :param file_system: the type of instances_path's, as mount(8) names it
    """
    if settings.in_rbd:
        return Verdict(True, "hosts share the Ceph pool")
    return sharing_of_files(settings, file_system)


def sharing_of_files(settings: Settings, file_system: str) -> Verdict:
    """Decide whether hosts share instances_path, whatever it holds.

    :param file_system: as for :func:`sharing`
    """
    shared = settings.instances_path_shared
    if shared is not None:
        value = "yes" if shared else "no"
        return Verdict(
            shared, f"[cfgdrive_virt] instances_path_shared={value}"
        )
    kind = file_system or "a file system of unknown type"
    if file_system in _SHARED_FILE_SYSTEMS:
        return Verdict(True, f"hosts share instances_path on {kind}")
    return Verdict(False, f"hosts don't share instances_path on {kind}")


def is_local(settings: Settings, file_system: str) -> bool:
    """Tell whether it is certain that no other host sees the drives' place.

    :param file_system: as for :func:`sharing`
    """
    if settings.in_rbd:
        return False
    if settings.instances_path_shared is not None:
        return not settings.instances_path_shared
    return file_system in _LOCAL_FILE_SYSTEMS


def must_survive(
    settings: Settings, file_system: str, *, carried: bool = False
) -> Verdict:
    """Decide whether live migration has to copy the drives.

    :param file_system: as for :func:`sharing`
    :param carried: whether the service brings a drive to the destination
        itself, by the hooks of live migration
    """
    shared = sharing(settings, file_system)
    if settings.live_migration == "auto" and not shared and carried:
        return Verdict(False, f"the service carries it, as {shared.reason}")
    if settings.live_migration == "auto" or settings.in_rbd:
        return Verdict(not shared, shared.reason)
    return Verdict(
        settings.live_migration == "always",
        f"[cfgdrive_virt] live_migration={settings.live_migration}",
    )


def decide(
    settings: Settings,
    request: Request,
    machine: Machine,
    migration: Verdict,
    *,
    novas_buses: bool = False,
) -> Decision:
    """Decide on a drive's format and device.

    :param migration: what :func:`must_survive` returned
    :param novas_buses: whether cdroms are on the buses that nova gives them
    :raises UnsupportedCombination: naming both sides of what excludes
        each other
    """
    if settings.virt_type not in ("kvm", "qemu"):
        raise UnsupportedCombination(
            f"[libvirt] virt_type={settings.virt_type} can't have a config"
            " drive; kvm and qemu can"
        )
    if not machine.buses:
        others = DEFAULT_TYPES.get(machine.architecture, "pc or q35")
        raise UnsupportedCombination(
            f"{machine.description} has no PCI, without which libvirt attaches"
            f" no config drive; use image property hw_machine_type={others}"
        )
    properties = request.image_properties
    if settings.config_drive_format is not None:
        image_format = settings.config_drive_format
        why_format = "because config_drive_format is set"
    elif migration and not settings.in_rbd:
        image_format = VFAT
        why_format = (
            f"because {migration.reason}: live migration copies a drive only"
            " if it is writable"
        )
    else:
        image_format = ISO9660
        why_format = (
            f"because every reader supports it, and {migration.reason}"
        )
    if settings.in_rbd or image_format == VFAT:
        device: Literal["cdrom", "disk"] = "disk"
        bus, why_bus = disk_bus(machine, properties)
    else:
        device = "cdrom"
        bus, why_bus = cdrom_bus(machine, properties, novas_buses=novas_buses)
    target, controller = free_target(
        machine, bus, device, settings.disk_prefix, properties
    )
    where = "RBD" if settings.in_rbd else "a file"
    return Decision(
        format=image_format,
        device=device,
        bus=bus,
        target=target,
        # In RBD an ISO9660 drive is writable too: QEMU then holds a watch on
        # the volume, which keeps others from removing it under a guest.
        readonly=device == "cdrom",
        reason=f"a drive in {where}; {image_format} {why_format}; a {device}"
        f" on {bus} {why_bus}",
        controller=controller,
        warnings=tuple(_warnings(image_format, device, properties, migration)),
    )


def _warnings(
    image_format: str,
    device: str,
    image_properties: Mapping[str, str],
    migration: Verdict,
) -> Iterator[str]:
    system = image_properties.get("os_distro", "").lower()
    if image_format == VFAT and system in _AFTERBURN:
        yield (
            f"image property os_distro={system}: its Afterburn reads iso9660"
            " only; set config_drive_format=iso9660"
        )
    if device == "cdrom" and migration:
        yield (
            f"config_drive_format={image_format} is set, but"
            f" {migration.reason}: libvirt neither copies nor checks a"
            " read-only drive, so live migration needs the same file at the"
            " destination beforehand"
        )
