"""Is a drive needed, of which format, on which device - and why?

Pure functions: nothing is read or built, so an operator can ask what would
happen.  Every answer has its reason in words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from cfgdrive_virt.conf import GROUP
from cfgdrive_virt.exception import UnsupportedCombination
from cfgdrive_virt.model.decision import Decision, Machine, Verdict
from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.model.request import Request

#: Other names that images have for libvirt's.
_ALIASES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
}
_X86 = ("x86_64", "i686")
_MACHINE = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_CDROM_BUSES = ("ide", "sata", "scsi", "usb")
_DISK_BUSES = ("virtio", *_CDROM_BUSES)

#: Operating systems, by Glance's os_distro, that read a drive by Afterburn.
_AFTERBURN = ("coreos", "fedora-coreos", "flatcar", "rhcos")

#: As mount(8) names them.  To the policy, one that isn't listed is a host's
#: own: a drive is then copied that needn't be, and none is lost.
_SHARED_FILE_SYSTEMS = frozenset({
    "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.ceph-fuse",
    "fuse.glusterfs", "fuse.juicefs", "fuse.mfs", "fuse.moosefs",
    "fuse.quobyte", "fuse.saunafs", "fuse.sshfs", "fuse.vstorage",
    "fuse.weka", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4",
    "ocfs2", "orangefs", "panfs", "pvfs2", "quobyte", "smb3", "wekafs",
})  # fmt: skip

#: Letters by bus, the last first: volumes that are added later count from
#: the other end.  IDE has four slots.  Up to f, SATA and SCSI need no
#: controller beyond the first: those come before the others.
_LETTERS = {
    "virtio": "zyxwvutsrqponmlkjihgfedcba",
    "ide": "dcba",
    "sata": "fedcbaghijklmnopqrstuvwxyz",
    "scsi": "fedcbaghijklmnopqrstuvwxyz",
    "usb": "fedcbaghijklmnopqrstuvwxyz",
}
_PREFIXES = {
    "virtio": "vd",
    "ide": "hd",
    "sata": "sd",
    "scsi": "sd",
    "usb": "sd",
}

#: And to whoever removes drives, one that isn't among these may be shared.
_LOCAL_FILE_SYSTEMS = frozenset({
    "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay",
    "ramfs", "tmpfs", "xfs", "zfs",
})  # fmt: skip


def required(request: Request, *, force_config_drive: bool) -> Verdict:
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
    if force_config_drive and not request.launched:
        return Verdict(True, "force_config_drive is set")
    if force_config_drive:
        return Verdict(
            False,
            "force_config_drive is for new instances, and this one has been"
            " launched before",
        )
    return Verdict(
        False,
        "neither the request, nor the image, nor force_config_drive asks"
        " for one",
    )


def machine(
    request: Request,
    *,
    host_architecture: str,
    machine_types: Mapping[str, str],
) -> Machine:
    """Return what image properties and configuration tell of the machine.

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
                f"image property {name}={value!a} is no name that libvirt"
                " knows"
            )
    return Machine(
        architecture, machine_type or machine_types.get(architecture)
    )


def sharing(
    *, images_type: str, shared: bool | None, file_system: str
) -> Verdict:
    """Decide whether hosts share the place of the drives.

    :param shared: whether they share instances_path; None where its file
        system has to tell
    :param file_system: the type of instances_path's, as mount(8) names it
    """
    if images_type == "rbd":
        return Verdict(True, "hosts share the Ceph pool")
    if shared is not None:
        told = "yes" if shared else "no"
        return Verdict(shared, f"[{GROUP}] instances_path_shared={told}")
    kind = file_system or "a file system of unknown type"
    if file_system in _SHARED_FILE_SYSTEMS:
        return Verdict(True, f"hosts share instances_path on {kind}")
    return Verdict(False, f"hosts don't share instances_path on {kind}")


def is_local(
    *, images_type: str, shared: bool | None, file_system: str
) -> bool:
    """Tell whether no other host has its drives in the same place, for sure.

    Arguments are those of :func:`sharing`.
    """
    if images_type == "rbd":
        return False
    if shared is not None:
        return not shared
    return file_system in _LOCAL_FILE_SYSTEMS


def must_survive(
    *,
    images_type: str,
    live_migration: str,
    shared: Verdict,
    carried: bool = False,
) -> Verdict:
    """Decide whether a drive must survive live migration by being copied.

    :param live_migration: ``always``, ``never`` or ``auto``
    :param shared: what :func:`sharing` said
    :param carried: whether the service brings a drive to the destination
        itself, by the hooks of live migration
    """
    if live_migration == "auto" and not shared and carried:
        return Verdict(False, f"the service carries it where {shared.reason}")
    if live_migration == "auto" or images_type == "rbd":
        return Verdict(not shared, shared.reason)
    return Verdict(
        live_migration == "always",
        f"[{GROUP}] live_migration={live_migration}",
    )


def decide(
    machine: Machine,
    *,
    image_properties: Mapping[str, str],
    images_type: str,
    config_drive_format: str | None,
    virt_type: str,
    migration: Verdict,
    disk_prefix: str | None = None,
) -> Decision:
    """Decide on a drive's format and device.

    :param config_drive_format: None where nobody set it
    :param migration: what :func:`must_survive` said
    :raises UnsupportedCombination: naming both sides of what excludes
        each other
    """
    if virt_type not in ("kvm", "qemu"):
        raise UnsupportedCombination(
            f"[libvirt] virt_type={virt_type} can't have a config drive; kvm"
            " and qemu can"
        )
    in_rbd = images_type == "rbd"
    if config_drive_format is not None:
        image_format = config_drive_format
        why_format = "because config_drive_format is set"
    elif migration and not in_rbd:
        image_format = VFAT
        why_format = (
            f"because {migration.reason}: live migration copies a drive only"
            " if it is writable"
        )
    else:
        image_format = ISO9660
        why_format = f"as every reader takes it, and {migration.reason}"
    if in_rbd or image_format == VFAT:
        device: Literal["cdrom", "disk"] = "disk"
        bus, why_bus = _disk_bus(machine, image_properties.get("hw_disk_bus"))
    else:
        device = "cdrom"
        bus, why_bus = _cdrom_bus(
            machine, image_properties.get("hw_cdrom_bus")
        )
    place = "RBD" if in_rbd else "a file"
    return Decision(
        format=image_format,
        device=device,
        bus=bus,
        target=free_target(bus, device, disk_prefix, machine.targets),
        # In RBD an ISO9660 drive is writable too: QEMU then holds a watch on
        # the volume, so that nobody removes it from under a guest.
        readonly=device == "cdrom",
        reason=f"a drive in {place}; {image_format} {why_format}; a {device}"
        f" on {bus} {why_bus}",
        warnings=tuple(
            _warnings(image_format, device, image_properties, migration)
        ),
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


def _disk_bus(machine: Machine, wish: str | None) -> tuple[str, str]:
    """Return the bus and why; an image's own wish outranks the default."""
    if wish is None:
        return "virtio", "by default"
    _check_bus(machine, "hw_disk_bus", wish, "disk", _DISK_BUSES)
    return wish, f"because image property hw_disk_bus={wish}"


def _cdrom_bus(machine: Machine, wish: str | None) -> tuple[str, str]:
    """Return the bus and why; an image's own wish outranks the machine."""
    if wish is not None:
        _check_bus(machine, "hw_cdrom_bus", wish, "cdrom", _CDROM_BUSES)
        return wish, f"because image property hw_cdrom_bus={wish}"
    if machine.architecture not in _X86:
        return "scsi", f"because {machine.architecture} has no IDE"
    if not _has_ide(machine):
        return "sata", f"because {machine.description} has no IDE"
    return "ide", f"as ever for {machine.description}"


def _has_ide(machine: Machine) -> bool:
    return machine.architecture in _X86 and "q35" not in (
        machine.machine_type or ""
    )


def _check_bus(
    machine: Machine, name: str, wish: str, device: str, buses: Sequence[str]
) -> None:
    if wish not in buses:
        raise UnsupportedCombination(
            f"image property {name}={wish!a} can't hold a {device};"
            f" {', '.join(buses)} can"
        )
    if wish == "ide" and not _has_ide(machine):
        others = " or ".join(bus for bus in buses if bus not in ("ide", "usb"))
        raise UnsupportedCombination(
            f"image property {name}=ide, and {machine.description} has no IDE"
            f" controller; use {others}"
        )


def free_target(
    bus: str, device: str, prefix: str | None, taken: Collection[str]
) -> str:
    """Return a target device name for a drive.

    :param prefix: by default the bus' own
    :param taken: names that others have
    :raises UnsupportedCombination: if there is none
    """
    prefix = prefix or _PREFIXES[bus]
    for letter in _LETTERS[bus]:
        if prefix + letter not in taken:
            return prefix + letter
    raise UnsupportedCombination(
        f"no device name is free for the config drive on {bus}:"
        f" {', '.join(sorted(taken))} are taken; use another"
        f" hw_{device}_bus"
    )
