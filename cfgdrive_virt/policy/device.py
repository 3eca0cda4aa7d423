"""Which bus, target and controller a drive gets, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cfgdrive_virt.exception import UnsupportedCombination
from cfgdrive_virt.model.machine import (
    X86,
    Controller,
    Machine,
    Place,
    place_of,
)

_CDROM_BUSES = ("ide", "sata", "scsi", "usb")
_DISK_BUSES = ("virtio", *_CDROM_BUSES)

#: The model of a SCSI controller for which most kernels have a driver.
SCSI_MODEL = "virtio-scsi"

#: Glance's names for hw_scsi_model, without buslogic, which QEMU lacks.
_SCSI_MODELS = (
    "virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "vmpvscsi",
    "ibmvscsi",
)  # fmt: skip

#: Names that VMware's images have for them, as nova translates them.
_SCSI_ALIASES = {"lsilogicsas": "lsisas1068", "paravirtual": "vmpvscsi"}

#: QEMU, or the guest's driver, knows only the first LUN behind these, and
#: libvirt's places are LUNs: only a controller's first place will do.
_FIRST_LUN = ("lsisas1068", "lsisas1078", "vmpvscsi")
_FIRST_LETTERS = "ahov"

#: Letters by bus, the last first: volumes that are attached later count from
#: the other end.  IDE has four slots.  Up to f, SATA and SCSI need no second
#: controller, so these letters come first.
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


def disk_bus(
    machine: Machine, properties: Mapping[str, str]
) -> tuple[str, str]:
    """Return the bus and why; an image's own wish outranks the default.

    :raises UnsupportedCombination: if the machine lacks that bus
    """
    wish = properties.get("hw_disk_bus")
    if wish is None:
        return "virtio", "by default"
    _check_bus(machine, "hw_disk_bus", wish, "disk", _DISK_BUSES)
    return wish, f"because image property hw_disk_bus={wish}"


def cdrom_bus(
    machine: Machine, properties: Mapping[str, str], *, novas_buses: bool
) -> tuple[str, str]:
    """Return the bus and why; an image's own wish outranks the machine.

    Where there is no IDE, it is SCSI: Debian's cloud kernels, on x86 and ARM,
    have a driver for virtio-scsi, and none for SATA.  Windows has one for
    SATA, and none for virtio-scsi.

    :param novas_buses: decide as nova does
    :raises UnsupportedCombination: if the machine lacks that bus
    """
    wish = properties.get("hw_cdrom_bus")
    if wish is not None:
        _check_bus(machine, "hw_cdrom_bus", wish, "cdrom", _CDROM_BUSES)
        return wish, f"because image property hw_cdrom_bus={wish}"
    if "ide" in machine.buses:
        return "ide", f"as usual for {machine.description}"
    is_x86 = machine.architecture in X86
    name = machine.description if is_x86 else machine.architecture
    why = f"because {name} has no IDE"
    if novas_buses:
        return "sata" if is_x86 else "scsi", why
    if "sata" not in machine.buses:
        return "scsi", why
    if properties.get("os_type", "").lower() == "windows":
        return "sata", f"{why}, and Windows has no driver for virtio-scsi"
    return "scsi", f"{why}, and more kernels can read SCSI than SATA"


def _check_bus(
    machine: Machine, name: str, wish: str, device: str, buses: Sequence[str]
) -> None:
    if wish not in buses:
        raise UnsupportedCombination(
            f"image property {name}={wish!a} is not a bus for a {device}; use"
            f" {', '.join(buses[:-1])} or {buses[-1]}"
        )
    if wish not in machine.buses:
        others = " or ".join(
            bus for bus in buses if bus in machine.buses - {"usb"}
        )
        raise UnsupportedCombination(
            f"image property {name}={wish}, and {machine.description} has no"
            f" {wish.upper()} controller; use {others}"
        )


def free_target(
    machine: Machine,
    bus: str,
    device: str,
    prefix: str | None,
    properties: Mapping[str, str],
) -> tuple[str, Controller | None]:
    """Return a target device name, and the controller that it needs.

    A SCSI controller of another model is left to the disks that it has.

    :param prefix: by default the bus' own
    :param properties: the image's, for the model of a SCSI controller
    :return: None for the controller if libvirt or the machine has it
    :raises UnsupportedCombination: if no name is free, or the machine has no
        controllers of the image's model
    """
    prefix = prefix or _PREFIXES[bus]
    model = _scsi_model(machine, properties) if bus == "scsi" else ""
    first = model in _FIRST_LUN
    for letter in _FIRST_LETTERS if first else _LETTERS[bus]:
        place = place_of(bus, letter)
        if prefix + letter in machine.targets or place in machine.places:
            continue
        controller = _controller(bus, place, model)
        if controller is None or machine.has(controller):
            return prefix + letter, None
        if machine.may_get(controller):
            return prefix + letter, controller
    raise UnsupportedCombination(
        f"no device name is free for the config drive on {bus}:"
        f" {', '.join(sorted(machine.targets))} are taken; use another"
        f" hw_{device}_bus"
    )


def _scsi_model(machine: Machine, properties: Mapping[str, str]) -> str:
    wish = properties.get("hw_scsi_model", SCSI_MODEL).lower()
    wish = _SCSI_ALIASES.get(wish, wish)
    models = [
        model for model in _SCSI_MODELS if machine.may_have_scsi_model(model)
    ]
    if wish not in models:
        raise UnsupportedCombination(
            f"image property hw_scsi_model={wish!a} is not a SCSI controller"
            f" of {machine.description}; use {' or '.join(models)}"
        )
    return wish


def _controller(
    bus: str, place: Place | None, model: str
) -> Controller | None:
    if bus == "scsi" and place is not None:
        return Controller("scsi", place.controller, model)
    if bus == "usb":
        return Controller("usb", 0, "qemu-xhci")
    return None
