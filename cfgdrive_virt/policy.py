"""Is a drive needed, of which format, on which device - and why?

Pure functions: nothing is read or built, so an operator can ask what would
happen.  Every answer has its reason in words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from cfgdrive_virt.exception import UnsupportedCombination
from cfgdrive_virt.model.decision import Decision, Guest, Requirement
from cfgdrive_virt.model.drive import ISO9660
from cfgdrive_virt.model.request import ConfigDriveRequest

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

#: Letters by bus, the last first: volumes that are added later count from
#: the other end.  IDE has four slots.  Up to f, SATA and SCSI need no
#: controller beyond the first.
_LETTERS = {
    "ide": "dcba",
    "sata": "fedcba",
    "scsi": "fedcba",
    "usb": "fedcba",
}
_PREFIXES = {"ide": "hd", "sata": "sd", "scsi": "sd", "usb": "sd"}


def required(
    request: ConfigDriveRequest, *, force_config_drive: bool
) -> Requirement:
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
        return Requirement(True, "the request asks for one")
    if wish == "mandatory":
        return Requirement(True, "image property img_config_drive=mandatory")
    if force_config_drive and not request.launched:
        return Requirement(True, "force_config_drive is set")
    if force_config_drive:
        return Requirement(
            False,
            "force_config_drive is for new instances, and this one has been"
            " launched before",
        )
    return Requirement(
        False,
        "neither the request, nor the image, nor force_config_drive asks"
        " for one",
    )


def guest(
    request: ConfigDriveRequest,
    *,
    host_architecture: str,
    machine_types: Mapping[str, str],
) -> Guest:
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
    return Guest(architecture, machine_type or machine_types.get(architecture))


def decide(
    guest: Guest,
    *,
    image_properties: Mapping[str, str],
    images_type: str,
    config_drive_format: str | None,
    virt_type: str,
    disk_prefix: str | None = None,
) -> Decision:
    """Decide on a drive's format and device.

    :raises UnsupportedCombination: naming both sides of what excludes
        each other
    """
    if virt_type not in ("kvm", "qemu"):
        raise UnsupportedCombination(
            f"[libvirt] virt_type={virt_type} can't have a config drive; kvm"
            " and qemu can"
        )
    if images_type == "rbd":
        raise UnsupportedCombination(
            "[libvirt] images_type=rbd: this release keeps config drives in"
            " files only; use another images_type"
        )
    check_format(config_drive_format or ISO9660)
    bus, why = _cdrom_bus(guest, image_properties.get("hw_cdrom_bus"))
    told = "is set" if config_drive_format else "is the default"
    return Decision(
        format=ISO9660,
        device="cdrom",
        bus=bus,
        target=_target(bus, disk_prefix, guest.targets),
        readonly=True,
        reason=f"a drive in a file, and {ISO9660} {told}: a cdrom; on {bus}"
        f" {why}",
    )


def check_format(name: str) -> None:
    """Refuse a format that can't be built.

    :raises UnsupportedCombination: naming those that can
    """
    if name != ISO9660:
        raise UnsupportedCombination(
            f"config drive format {name}: this release builds {ISO9660} only"
        )


def _cdrom_bus(guest: Guest, wish: str | None) -> tuple[str, str]:
    """Return the bus and why; an image's own wish outranks the machine."""
    q35 = "q35" in (guest.machine_type or "")
    has_ide = guest.architecture in _X86 and not q35
    if wish is not None:
        if wish not in _CDROM_BUSES:
            raise UnsupportedCombination(
                f"image property hw_cdrom_bus={wish!a} can't hold a"
                f" cdrom; {', '.join(_CDROM_BUSES)} can"
            )
        if wish == "ide" and not has_ide:
            raise UnsupportedCombination(
                f"image property hw_cdrom_bus=ide, and {guest.machine} has no"
                " IDE controller; use sata or scsi"
            )
        return wish, f"because image property hw_cdrom_bus={wish}"
    if guest.architecture not in _X86:
        return "scsi", f"because {guest.architecture} has no IDE"
    if q35:
        return "sata", f"because {guest.machine} has no IDE"
    return "ide", f"as ever for {guest.machine}"


def _target(bus: str, prefix: str | None, taken: Collection[str]) -> str:
    prefix = prefix or _PREFIXES[bus]
    for letter in _LETTERS[bus]:
        if prefix + letter not in taken:
            return prefix + letter
    raise UnsupportedCombination(
        f"no device name is free for the config drive on {bus}:"
        f" {', '.join(sorted(taken))} are taken; use another hw_cdrom_bus"
    )
