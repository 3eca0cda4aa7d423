"""A guest's machine: which buses it has, and what is on them already.

What libvirt gives a machine is measured: ``tests/guest/test_machines.py``.
"""

from __future__ import annotations

import dataclasses

X86 = ("x86_64", "i686")
_S390 = ("s390", "s390x")
_PPC64 = ("ppc64", "ppc64le")

#: Prefixes of machine types to which libvirt attaches no disk: no PCI.
_WITHOUT_PCI = (
    "integratorcp", "isapc", "microvm", "raspi", "spike", "vexpress", "xenfv",
    "xenpv",
)  # fmt: skip

#: libvirt gives these a USB controller only if their XML has one.
_USB_ON_DEMAND = ("aarch64", "armv6l", "armv7l", "riscv32", "riscv64")

#: Where libvirt's own default is a board on which no disk works.
DEFAULT_TYPES = {"aarch64": "virt", "armv7l": "virt", "riscv64": "virt"}

#: Disks that libvirt puts on a controller before it uses the next one.
_PER_CONTROLLER = {"ide": 4, "sata": 6, "scsi": 7}


@dataclasses.dataclass(frozen=True, slots=True)
class Controller:
    """A controller of disks.

    :param type: as libvirt names it, ``scsi`` or ``usb``
    :param index: its number among those of its type
    :param model: as libvirt names it; None: libvirt's default
    """

    type: str
    index: int
    model: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a disk is on a bus: libvirt's address of the type drive.

    :param channel: which libvirt calls ``bus``
    """

    bus: str
    controller: int
    channel: int
    target: int
    unit: int


def place_of(bus: str, letters: str) -> Place | None:
    """Return the place that libvirt gives to a disk without an address.

    :param letters: those that end its target device name: ``d`` of hdd
    :return: None on a bus without such places
    """
    if bus not in _PER_CONTROLLER:
        return None
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("a") + 1
    controller, unit = divmod(number - 1, _PER_CONTROLLER[bus])
    channel, unit = divmod(unit, 2) if bus == "ide" else (0, unit)
    return Place(bus, controller, channel, 0, unit)


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """The known properties of the machine that gets the drive.

    :param architecture: as libvirt and ``uname -m`` name it
    :param machine_type: as libvirt names it; None: QEMU's default
    :param targets: target device names that are in use
    :param places: places on buses that are in use
    :param controllers: those of SCSI and USB
    """

    architecture: str
    machine_type: str | None = None
    targets: frozenset[str] = frozenset()
    places: frozenset[Place] = frozenset()
    controllers: frozenset[Controller] = frozenset()

    @property
    def description(self) -> str:
        """Return the machine in words."""
        name = self.machine_type or "the default machine"
        return f"{name} on {self.architecture}"

    @property
    def buses(self) -> frozenset[str]:
        """Return the buses to which libvirt can attach a disk."""
        name = self.machine_type or ""
        if self.architecture in _S390:
            return frozenset({"virtio", "scsi"})
        if name.startswith(_WITHOUT_PCI):
            return frozenset()
        found = {"virtio", "sata", "scsi"}
        if not any(
            (known.type, known.model) == ("usb", "none")
            for known in self.controllers
        ):
            found.add("usb")
        if self.architecture in X86 and "q35" not in name:
            found.add("ide")
        return frozenset(found)

    def has(self, controller: Controller) -> bool:
        """Tell whether it has a controller, or libvirt adds it unasked."""
        if controller.type == "usb":
            return self.architecture not in _USB_ON_DEMAND or any(
                known.type == "usb" for known in self.controllers
            )
        return controller in self.controllers

    def may_get(self, controller: Controller) -> bool:
        """Tell whether a controller may be added, whose number is free."""
        return not any(
            (known.type, known.index) == (controller.type, controller.index)
            for known in self.controllers
        )

    def may_have_scsi_model(self, model: str) -> bool:
        """Tell whether QEMU has SCSI controllers of a model for it."""
        if self.architecture in _S390:
            return model == "virtio-scsi"
        if model == "ibmvscsi":
            is_pseries = (self.machine_type or "pseries").startswith("pseries")
            return self.architecture in _PPC64 and is_pseries
        return True
