"""Is a drive needed, of which format, on which device - and why?"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cfgdrive_virt import Controller, Decision, Machine, Verdict, policy
from cfgdrive_virt.exception import UnsupportedCombination
from cfgdrive_virt.model.machine import Place

from .samples import request, settings

PC = Machine("x86_64", "pc")
Q35 = Machine("x86_64", "pc-q35-9.0")
ARM = Machine("aarch64", "virt")
POWER = Machine("ppc64le", "pseries")
S390 = Machine("s390x", "s390-ccw-virtio")

VIRTIO_SCSI = Controller("scsi", 0, "virtio-scsi")
STAYS = Verdict(False, "hosts share instances_path on nfs4")
MOVES = Verdict(True, "hosts don't share instances_path on ext4")


def decide(
    machine: Machine = PC,
    *,
    image_properties: dict[str, str] | None = None,
    migration: Verdict = STAYS,
    novas_buses: bool = False,
    **options: Any,
) -> Decision:
    made = request(image_properties=image_properties or {})
    return policy.decide(
        settings(**options), made, machine, migration, novas_buses=novas_buses
    )


def refusal(machine: Machine = PC, **arguments: Any) -> str:
    with pytest.raises(UnsupportedCombination) as caught:
        decide(machine, **arguments)
    return str(caught.value)


ASKED = "the request asks for one"
IMAGE = "image property img_config_drive=mandatory"
FORCED = "force_config_drive is set"
LAUNCHED = (
    "force_config_drive applies to new instances, and this one has been"
    " launched before"
)
NOBODY = (
    "neither the request, nor the image, nor force_config_drive asks for one"
)


@pytest.mark.parametrize(
    ("asked", "image", "force", "launched", "required", "reason"),
    [
        (False, None, False, False, False, NOBODY),
        (False, None, False, True, False, NOBODY),
        (False, "optional", False, False, False, NOBODY),
        (True, None, False, False, True, ASKED),
        (True, None, False, True, True, ASKED),
        (True, "optional", True, True, True, ASKED),
        (True, "mandatory", True, False, True, ASKED),
        (False, "mandatory", False, False, True, IMAGE),
        (False, "mandatory", False, True, True, IMAGE),
        (False, "mandatory", True, True, True, IMAGE),
        (False, None, True, False, True, FORCED),
        (False, "optional", True, False, True, FORCED),
        (False, None, True, True, False, LAUNCHED),
    ],
)
def test_who_gets_a_drive_and_why(
    asked: bool,
    image: str | None,
    force: bool,
    launched: bool,
    required: bool,
    reason: str,
) -> None:
    made = request(
        config_drive=asked,
        launched=launched,
        image_properties={"img_config_drive": image} if image else {},
    )
    answer = policy.required(settings(force_config_drive=force), made)
    assert (bool(answer), answer.reason) == (required, reason)


@pytest.mark.parametrize("wish", ["", "yes", "Mandatory", "\x1b[31m"])
@pytest.mark.parametrize("asked", [True, False])
def test_an_image_wishes_what_glance_knows(wish: str, asked: bool) -> None:
    made = request(
        config_drive=asked, image_properties={"img_config_drive": wish}
    )
    with pytest.raises(UnsupportedCombination) as caught:
        policy.required(settings(force_config_drive=True), made)
    assert str(caught.value) == (
        "image property img_config_drive must be optional or mandatory,"
        f" not {wish!a}"
    )


@pytest.mark.parametrize(
    ("properties", "machine_types", "machine"),
    [
        ({}, {}, Machine("x86_64")),
        ({}, {"x86_64": "q35"}, Machine("x86_64", "q35")),
        ({}, {"aarch64": "virt"}, Machine("x86_64")),
        (
            {"hw_architecture": "aarch64"},
            {"aarch64": "virt", "x86_64": "q35"},
            Machine("aarch64", "virt"),
        ),
        (
            {"hw_machine_type": "pc"},
            {"x86_64": "q35"},
            Machine("x86_64", "pc"),
        ),
        (
            {"architecture": "aarch64"},
            {"aarch64": "virt", "x86_64": "q35"},
            Machine("aarch64", "virt"),
        ),
        (
            {"architecture": "aarch64", "hw_architecture": "s390x"},
            {},
            Machine("s390x"),
        ),
        (
            {"architecture": "ppc64le", "hw_architecture": ""},
            {},
            Machine("ppc64le"),
        ),
        (
            {"architecture": "arm64"},
            {"aarch64": "virt"},
            Machine("aarch64", "virt"),
        ),
        # libvirt would take integratorcp, and spike.
        ({"hw_architecture": "aarch64"}, {}, Machine("aarch64", "virt")),
        ({"hw_architecture": "riscv64"}, {}, Machine("riscv64", "virt")),
        (
            {"hw_architecture": "aarch64"},
            {"aarch64": "sbsa-ref"},
            Machine("aarch64", "sbsa-ref"),
        ),
    ],
    ids=[
        "nothing", "option", "other-option", "architecture", "image",
        "fallback", "both", "empty", "alias", "default", "riscv64",
        "other-board",
    ],
)  # fmt: skip
def test_an_image_outranks_the_options_on_the_machine(
    properties: dict[str, str], machine_types: dict[str, str], machine: Machine
) -> None:
    assert machine == policy.machine(
        settings(machine_types=machine_types),
        request(image_properties=properties),
        "x86_64",
    )


def machine_of(host: str = "x86_64", **properties: str) -> Machine:
    return policy.machine(
        settings(), request(image_properties=properties), host
    )


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("amd64", "x86_64"),
        ("AMD64", "x86_64"),
        ("X86_64", "x86_64"),
        ("arm64", "aarch64"),
        ("i386", "i686"),
        ("i486", "i686"),
        ("i586", "i686"),
        ("i686", "i686"),
        ("ppc64le", "ppc64le"),
    ],
)
def test_an_architecture_has_the_name_that_libvirt_has_for_it(
    alias: str, name: str
) -> None:
    assert machine_of(hw_architecture=alias).architecture == name
    assert machine_of(architecture=alias).architecture == name
    assert machine_of(host=alias).architecture == name


@pytest.mark.parametrize(
    "name", ["pc-q35-9.0", "pc-i440fx-rhel7.6.0", "s390-ccw-virtio", "a" * 64]
)
def test_a_machine_type_may_be_any_that_libvirt_could_know(name: str) -> None:
    assert machine_of(hw_machine_type=name) == Machine("x86_64", name)


@pytest.mark.parametrize(
    "name",
    [
        " ", "pc q35", "pc\n", "pc\0", "pc\x1b[31m", "\ufffe", "é", "a" * 65,
        "pc'/><disk", "\u202e", "pc=q35", "../pc", "１",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_machine_that_libvirt_cannot_have_is_refused(name: str) -> None:
    for field in ("hw_machine_type", "hw_architecture"):
        with pytest.raises(UnsupportedCombination) as caught:
            machine_of(**{field: name})
        assert str(caught.value) == (
            f"image property {field}={name!a} is not a name that libvirt knows"
        )
    with pytest.raises(UnsupportedCombination):
        machine_of(architecture=name)


MORE = ", and more kernels can read SCSI than SATA"
NO_DRIVER = ", and Windows has no driver for virtio-scsi"


@pytest.mark.parametrize(
    ("machine", "bus", "target", "controller", "why"),
    [
        (PC, "ide", "hdd", None, "as usual for pc on x86_64"),
        (
            Machine("x86_64"),
            "ide",
            "hdd",
            None,
            "as usual for the default machine on x86_64",
        ),
        (
            Machine("i686", "pc-i440fx-9.0"),
            "ide",
            "hdd",
            None,
            "as usual for pc-i440fx-9.0 on i686",
        ),
        (
            Machine("x86_64", "q35"),
            "scsi",
            "sdf",
            VIRTIO_SCSI,
            f"because q35 on x86_64 has no IDE{MORE}",
        ),
        (
            Q35,
            "scsi",
            "sdf",
            VIRTIO_SCSI,
            f"because pc-q35-9.0 on x86_64 has no IDE{MORE}",
        ),
        (
            ARM,
            "scsi",
            "sdf",
            VIRTIO_SCSI,
            f"because aarch64 has no IDE{MORE}",
        ),
        (
            POWER,
            "scsi",
            "sdf",
            VIRTIO_SCSI,
            f"because ppc64le has no IDE{MORE}",
        ),
        (S390, "scsi", "sdf", VIRTIO_SCSI, "because s390x has no IDE"),
    ],
    ids=lambda value: value.description if isinstance(value, Machine) else "",
)
def test_the_machine_has_the_bus(
    machine: Machine,
    bus: str,
    target: str,
    controller: Controller | None,
    why: str,
) -> None:
    assert decide(machine) == Decision(
        format="iso9660",
        device="cdrom",
        bus=bus,
        target=target,
        readonly=True,
        reason="a drive in a file; iso9660 because every reader supports it,"
        f" and hosts share instances_path on nfs4; a cdrom on {bus} {why}",
        controller=controller,
    )


@pytest.mark.parametrize(
    ("machine", "bus", "why"),
    [
        (PC, "ide", "as usual for pc on x86_64"),
        (Q35, "sata", f"because pc-q35-9.0 on x86_64 has no IDE{NO_DRIVER}"),
        (ARM, "sata", f"because aarch64 has no IDE{NO_DRIVER}"),
        (S390, "scsi", "because s390x has no IDE"),
    ],
    ids=lambda value: value.description if isinstance(value, Machine) else "",
)
@pytest.mark.parametrize("system", ["windows", "Windows"])
def test_windows_has_a_driver_for_sata(
    machine: Machine, bus: str, why: str, system: str
) -> None:
    made = decide(machine, image_properties={"os_type": system})
    assert made.bus == bus
    assert made.reason.endswith(f"a cdrom on {bus} {why}")
    told = decide(
        machine, image_properties={"os_type": system, "hw_cdrom_bus": "scsi"}
    )
    assert told.bus == "scsi"


@pytest.mark.parametrize(
    ("machine", "bus", "why"),
    [
        (PC, "ide", "as usual for pc on x86_64"),
        (Q35, "sata", "because pc-q35-9.0 on x86_64 has no IDE"),
        (ARM, "scsi", "because aarch64 has no IDE"),
        (S390, "scsi", "because s390x has no IDE"),
    ],
    ids=lambda value: value.description if isinstance(value, Machine) else "",
)
@pytest.mark.parametrize("system", ["linux", "windows"])
def test_nova_has_buses_of_its_own(
    machine: Machine, bus: str, why: str, system: str
) -> None:
    made = decide(
        machine, image_properties={"os_type": system}, novas_buses=True
    )
    assert made.bus == bus
    assert made.reason.endswith(f"a cdrom on {bus} {why}")


@pytest.mark.parametrize("image_format", ["iso9660", "vfat"])
@pytest.mark.parametrize(
    ("architecture", "name", "others"),
    [
        ("x86_64", "microvm", "pc or q35"),
        ("x86_64", "isapc", "pc or q35"),
        ("x86_64", "xenfv", "pc or q35"),
        ("x86_64", "xenfv-4.2", "pc or q35"),
        ("x86_64", "xenpv", "pc or q35"),
        ("aarch64", "raspi3b", "virt"),
        ("armv7l", "vexpress-a15", "virt"),
        ("riscv64", "spike", "virt"),
    ],
)
def test_a_machine_without_pci_is_refused(
    architecture: str, name: str, others: str, image_format: str
) -> None:
    machine = Machine(architecture, name)
    assert refusal(machine, config_drive_format=image_format) == (
        f"{name} on {architecture} has no PCI, without which libvirt attaches"
        f" no config drive; use image property hw_machine_type={others}"
    )


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("aarch64", "virt-7.2"), ("aarch64", "sbsa-ref"), ("armv7l", "virt")],
)
def test_a_machine_with_pci_is_not(architecture: str, name: str) -> None:
    assert "scsi" in Machine(architecture, name).buses


def test_a_domain_without_usb_has_no_usb() -> None:
    without = frozenset({Controller("usb", 0, "none")})
    machine = Machine("x86_64", "q35", controllers=without)
    text = refusal(machine, image_properties={"hw_cdrom_bus": "usb"})
    assert "has no USB controller" in text


@pytest.mark.parametrize(
    ("machine", "wish", "target"),
    [
        (PC, "ide", "hdd"),
        (PC, "sata", "sdf"),
        (PC, "scsi", "sdf"),
        (PC, "usb", "sdf"),
        (Q35, "sata", "sdf"),
        (Q35, "usb", "sdf"),
        (ARM, "usb", "sdf"),
        (ARM, "scsi", "sdf"),
        (ARM, "sata", "sdf"),
        (POWER, "sata", "sdf"),
        (POWER, "usb", "sdf"),
        (S390, "scsi", "sdf"),
    ],
    ids=lambda value: (
        value.description if isinstance(value, Machine) else value
    ),
)
def test_an_image_may_wish_for_a_bus(
    machine: Machine, wish: str, target: str
) -> None:
    made = decide(machine, image_properties={"hw_cdrom_bus": wish})
    assert (made.bus, made.target) == (wish, target)
    assert made.reason.endswith(
        f"on {wish} because image property hw_cdrom_bus={wish}"
    )


@pytest.mark.parametrize("wish", ["virtio", "", "IDE", "fdc", "\x1b[31m"])
def test_a_bus_that_holds_no_cdrom_is_refused(wish: str) -> None:
    assert refusal(image_properties={"hw_cdrom_bus": wish}) == (
        f"image property hw_cdrom_bus={wish!a} is not a bus for a cdrom; use"
        " ide, sata, scsi or usb"
    )


@pytest.mark.parametrize(
    ("machine", "wish", "others"),
    [
        (Q35, "ide", "sata or scsi"),
        (ARM, "ide", "sata or scsi"),
        (POWER, "ide", "sata or scsi"),
        (S390, "ide", "scsi"),
        (S390, "sata", "scsi"),
        (S390, "usb", "scsi"),
        (Machine("s390x"), "sata", "scsi"),
    ],
    ids=lambda value: (
        value.description if isinstance(value, Machine) else value
    ),
)
@pytest.mark.parametrize("device", ["cdrom", "disk"])
@pytest.mark.parametrize("novas_buses", [False, True])
def test_a_bus_that_a_machine_lacks_is_refused(
    machine: Machine, wish: str, others: str, device: str, novas_buses: bool
) -> None:
    told = refusal(
        machine,
        image_properties={f"hw_{device}_bus": wish},
        config_drive_format={"cdrom": "iso9660", "disk": "vfat"}[device],
        novas_buses=novas_buses,
    )
    lead = "virtio or " if device == "disk" else ""
    assert told == (
        f"image property hw_{device}_bus={wish}, and"
        f" {machine.description} has no {wish.upper()} controller; use"
        f" {lead}{others}"
    )


@pytest.mark.parametrize(
    ("bus", "taken", "target"),
    [
        ("ide", set(), "hdd"),
        ("ide", {"vda", "sda", "hda"}, "hdd"),
        ("ide", {"hdd"}, "hdc"),
        ("ide", {"hdb", "hdc", "hdd"}, "hda"),
        ("sata", {"sdf", "sde"}, "sdd"),
        ("scsi", {"sda", "hdf", ""}, "sdf"),
        ("usb", {"sdf"}, "sde"),
    ],
)
def test_the_last_name_that_is_free_is_taken(
    bus: str, taken: set[str], target: str
) -> None:
    machine = Machine("x86_64", "pc", frozenset(taken))
    made = decide(machine, image_properties={"hw_cdrom_bus": bus})
    assert made.target == target


def test_a_full_bus_is_refused_with_all_that_is_on_it() -> None:
    taken = frozenset({"hda", "hdb", "hdc", "hdd"})
    assert refusal(Machine("x86_64", "pc", taken)) == (
        "no device name is free for the config drive on ide: hda, hdb, hdc,"
        " hdd are taken; use another hw_cdrom_bus"
    )


@pytest.mark.parametrize("bus", ["scsi", "sata", "usb"])
def test_a_controller_that_is_full_is_followed_by_another(bus: str) -> None:
    taken = frozenset(f"sd{letter}" for letter in "abcdef")
    made = decide(
        Machine("x86_64", "pc", taken), image_properties={"hw_cdrom_bus": bus}
    )
    assert made.target == "sdg"


def scsi(unit: int, controller: int = 0) -> Place:
    return Place("scsi", controller, 0, 0, unit)


@pytest.mark.parametrize(
    ("bus", "places", "target"),
    [
        ("ide", {Place("ide", 0, 1, 0, 1)}, "hdc"),
        ("ide", {Place("ide", 0, 1, 0, 1), Place("ide", 0, 1, 0, 0)}, "hdb"),
        ("ide", {Place("sata", 0, 1, 0, 1)}, "hdd"),
        ("sata", {Place("sata", 0, 0, 0, 5)}, "sde"),
        ("sata", {Place("sata", 1, 0, 0, 5)}, "sdf"),
        ("scsi", {scsi(5)}, "sde"),
        ("scsi", {scsi(5, controller=1)}, "sdf"),
        ("scsi", {Place("scsi", 0, 0, 5, 5)}, "sdf"),
        ("scsi", {scsi(unit) for unit in range(7)}, "sdh"),
        ("usb", {scsi(5)}, "sdf"),
    ],
)
def test_a_name_whose_place_is_taken_is_not_free(
    bus: str, places: set[Place], target: str
) -> None:
    machine = Machine("x86_64", "pc", places=frozenset(places))
    made = decide(machine, image_properties={"hw_cdrom_bus": bus})
    assert made.target == target


def on_scsi(
    *controllers: Controller, machine: Machine = PC, **properties: str
) -> tuple[str, Controller | None]:
    made = decide(
        dataclasses.replace(machine, controllers=frozenset(controllers)),
        image_properties={"hw_cdrom_bus": "scsi", **properties},
    )
    return made.target, made.controller


@pytest.mark.parametrize("device", ["cdrom", "disk"])
def test_a_scsi_drive_comes_with_a_controller(device: str) -> None:
    made = decide(
        image_properties={f"hw_{device}_bus": "scsi"},
        config_drive_format={"cdrom": "iso9660", "disk": "vfat"}[device],
    )
    assert made.controller == VIRTIO_SCSI


@pytest.mark.parametrize("bus", ["ide", "sata", "usb"])
def test_libvirt_adds_the_other_controllers(bus: str) -> None:
    made = decide(image_properties={"hw_cdrom_bus": bus})
    assert made.controller is None


def test_a_scsi_controller_that_is_there_is_used() -> None:
    assert on_scsi(VIRTIO_SCSI) == ("sdf", None)
    assert on_scsi(Controller("usb", 0, "virtio-scsi")) == (
        "sdf",
        VIRTIO_SCSI,
    )


@pytest.mark.parametrize("model", ["lsilogic", None, "auto"])
def test_a_scsi_controller_of_another_model_is_left_to_its_disks(
    model: str | None,
) -> None:
    other = Controller("scsi", 0, model)
    second = Controller("scsi", 1, "virtio-scsi")
    assert on_scsi(other) == ("sdh", second)
    assert on_scsi(other, second) == ("sdh", None)


def test_no_scsi_controller_left_is_refused() -> None:
    all_taken = [Controller("scsi", index, "lsilogic") for index in range(4)]
    with pytest.raises(UnsupportedCombination, match="no device name is free"):
        on_scsi(*all_taken)


@pytest.mark.parametrize(
    ("machine", "wish", "model", "target"),
    [
        (PC, "virtio-scsi", "virtio-scsi", "sdf"),
        (PC, "lsilogic", "lsilogic", "sdf"),
        (PC, "LSILogic", "lsilogic", "sdf"),
        # Guests find only the first LUN of these.
        (PC, "lsisas1068", "lsisas1068", "sda"),
        (PC, "lsisas1078", "lsisas1078", "sda"),
        (PC, "vmpvscsi", "vmpvscsi", "sda"),
        # VMware's names.
        (PC, "lsilogicsas", "lsisas1068", "sda"),
        (PC, "paraVirtual", "vmpvscsi", "sda"),
        (POWER, "ibmvscsi", "ibmvscsi", "sdf"),
        (Machine("ppc64"), "ibmvscsi", "ibmvscsi", "sdf"),
        (S390, "virtio-scsi", "virtio-scsi", "sdf"),
    ],
    ids=lambda value: (
        value.description if isinstance(value, Machine) else value
    ),
)
def test_an_image_may_wish_for_a_model(
    machine: Machine, wish: str, model: str, target: str
) -> None:
    made = on_scsi(machine=machine, hw_scsi_model=wish)
    assert made == (target, Controller("scsi", 0, model))


def test_a_second_controller_has_a_first_lun_too() -> None:
    target, controller = on_scsi(VIRTIO_SCSI, hw_scsi_model="vmpvscsi")
    assert (target, controller) == ("sdh", Controller("scsi", 1, "vmpvscsi"))


@pytest.mark.parametrize(
    ("machine", "wish", "models"),
    [
        *(
            (
                PC,
                wish,
                (
                    "virtio-scsi or lsilogic or lsisas1068 or lsisas1078 or"
                    " vmpvscsi"
                ),
            )
            for wish in (
                "", "auto", "buslogic", "ibmvscsi", "\x1b[31m",
                "'/><disk", "virtio-scsi ",
            )
        ),
        (
            Machine("ppc64le", "powernv"),
            "ibmvscsi",
            "virtio-scsi or lsilogic or lsisas1068 or lsisas1078 or vmpvscsi",
        ),
        (S390, "lsilogic", "virtio-scsi"),
    ],
)  # fmt: skip
def test_a_model_that_qemu_lacks_is_refused(
    machine: Machine, wish: str, models: str
) -> None:
    told = refusal(
        machine,
        image_properties={"hw_cdrom_bus": "scsi", "hw_scsi_model": wish},
    )
    assert told == (
        f"image property hw_scsi_model={wish!a} is not a SCSI controller of"
        f" {machine.description}; use {models}"
    )


def test_a_model_is_ignored_on_other_buses() -> None:
    made = decide(image_properties={"hw_scsi_model": "\x1b[31m"})
    assert (made.bus, made.controller) == ("ide", None)


@pytest.mark.parametrize("architecture", ["aarch64", "armv7l", "riscv64"])
def test_usb_needs_a_controller_where_libvirt_adds_none(
    architecture: str,
) -> None:
    machine = Machine(architecture, "virt")
    wish = {"hw_cdrom_bus": "usb"}
    needed = Controller("usb", 0, "qemu-xhci")
    assert decide(machine, image_properties=wish).controller == needed
    has = frozenset({Controller("usb", 3, "nec-xhci")})
    machine = dataclasses.replace(machine, controllers=has)
    assert decide(machine, image_properties=wish).controller is None


def test_disk_prefix_takes_the_place_of_the_buss_own() -> None:
    taken = frozenset({"hdd", "vdd"})
    assert decide(disk_prefix="vd").target == "vdd"
    assert decide(Machine("x86_64", "pc", taken), disk_prefix="vd").target == (
        "vdc"
    )


#: format set by the operator, store, must it survive by being copied:
#: format, device, read-only
TABLE = {
    (None, "default", False): ("iso9660", "cdrom", True),
    (None, "default", True): ("vfat", "disk", False),
    ("iso9660", "default", False): ("iso9660", "cdrom", True),
    ("iso9660", "default", True): ("iso9660", "cdrom", True),
    ("vfat", "default", False): ("vfat", "disk", False),
    ("vfat", "default", True): ("vfat", "disk", False),
    (None, "rbd", False): ("iso9660", "disk", False),
    (None, "rbd", True): ("iso9660", "disk", False),
    ("iso9660", "rbd", False): ("iso9660", "disk", False),
    ("iso9660", "rbd", True): ("iso9660", "disk", False),
    ("vfat", "rbd", False): ("vfat", "disk", False),
    ("vfat", "rbd", True): ("vfat", "disk", False),
}
BUSES = {
    ("cdrom", PC): ("ide", "hdd"),
    ("cdrom", Q35): ("scsi", "sdf"),
    ("cdrom", ARM): ("scsi", "sdf"),
    ("disk", PC): ("virtio", "vdz"),
    ("disk", Q35): ("virtio", "vdz"),
    ("disk", ARM): ("virtio", "vdz"),
}
#: Image properties: device that they are about, bus, target on a pc
PROPERTIES: dict[tuple[tuple[str, str], ...], tuple[str, str, str]] = {
    (("hw_cdrom_bus", "ide"),): ("cdrom", "ide", "hdd"),
    (("hw_cdrom_bus", "sata"),): ("cdrom", "sata", "sdf"),
    (("hw_cdrom_bus", "scsi"),): ("cdrom", "scsi", "sdf"),
    (("hw_cdrom_bus", "usb"),): ("cdrom", "usb", "sdf"),
    (("hw_disk_bus", "virtio"),): ("disk", "virtio", "vdz"),
    (("hw_disk_bus", "ide"),): ("disk", "ide", "hdd"),
    (("hw_disk_bus", "sata"),): ("disk", "sata", "sdf"),
    (("hw_disk_bus", "scsi"),): ("disk", "scsi", "sdf"),
    (("hw_disk_bus", "usb"),): ("disk", "usb", "sdf"),
    (("img_config_drive", "mandatory"),): ("neither", "", ""),
    (("os_distro", "debian"),): ("neither", "", ""),
}


def ids(row: tuple[str | None, str, bool]) -> str:
    image_format, store, survive = row
    survives = "migrates" if survive else "stays"
    return f"{store}-{image_format or 'unset'}-{survives}"


@pytest.mark.parametrize(
    "machine", [PC, Q35, ARM], ids=lambda m: m.description
)
@pytest.mark.parametrize("row", TABLE, ids=ids)
def test_every_row_of_the_table(
    row: tuple[str | None, str, bool], machine: Machine
) -> None:
    image_format, device, _readonly = TABLE[row]
    made = decide(
        machine,
        config_drive_format=row[0],
        images_type=row[1],
        migration=MOVES if row[2] else STAYS,
    )
    assert (made.format, made.device, made.readonly) == TABLE[row]
    assert (made.bus, made.target) == BUSES[device, machine]
    place = "RBD" if row[1] == "rbd" else "a file"
    assert made.reason.startswith(f"a drive in {place}; {image_format} ")
    assert f"; a {device} on {made.bus} " in made.reason


@pytest.mark.parametrize(
    "properties", PROPERTIES, ids=lambda p: "=".join(p[0])
)
@pytest.mark.parametrize("row", TABLE, ids=ids)
def test_every_row_with_every_image_property(
    row: tuple[str | None, str, bool],
    properties: tuple[tuple[str, str], ...],
) -> None:
    device, bus, target = PROPERTIES[properties]
    expected = TABLE[row]
    made = decide(
        PC,
        config_drive_format=row[0],
        images_type=row[1],
        migration=MOVES if row[2] else STAYS,
        image_properties=dict(properties),
    )
    assert (made.format, made.device, made.readonly) == expected
    if device == expected[1]:
        assert (made.bus, made.target) == (bus, target)
        name, value = properties[0]
        assert made.reason.endswith(f"because image property {name}={value}")
    else:
        assert (made.bus, made.target) == BUSES[expected[1], PC]


@pytest.mark.parametrize(
    ("given", "migration", "words"),
    [
        (
            None,
            STAYS,
            (
                "iso9660 because every reader supports it, and hosts share"
                " instances_path on nfs4;"
            ),
        ),
        (
            None,
            MOVES,
            (
                "vfat because hosts don't share instances_path on ext4: live"
                " migration copies a drive only if it is writable;"
            ),
        ),
        ("iso9660", MOVES, "iso9660 because config_drive_format is set;"),
        ("vfat", STAYS, "vfat because config_drive_format is set;"),
    ],
)
def test_it_is_told_who_chose_the_format(
    given: str | None, migration: Verdict, words: str
) -> None:
    made = decide(config_drive_format=given, migration=migration)
    assert words in made.reason


@pytest.mark.parametrize(
    ("shared", "file_system", "answer"),
    [
        (None, "ext4", (False, "hosts don't share instances_path on ext4")),
        (None, "xfs", (False, "hosts don't share instances_path on xfs")),
        (
            None,
            "",
            (
                False,
                ("hosts don't share instances_path on a file system of"
                " unknown type"),
            ),
        ),
        (True, "ext4", (True, "[cfgdrive_virt] instances_path_shared=yes")),
        (False, "nfs4", (False, "[cfgdrive_virt] instances_path_shared=no")),
        *(
            (None, kind, (True, f"hosts share instances_path on {kind}"))
            for kind in (
                "nfs", "nfs4", "ceph", "fuse.ceph", "fuse.glusterfs", "gfs2",
                "ocfs2", "lustre", "gpfs", "beegfs", "cifs",
            )
        ),
    ],
)  # fmt: skip
def test_hosts_share_what_the_operator_or_the_file_system_tells(
    shared: bool | None, file_system: str, answer: tuple[bool, str]
) -> None:
    options = settings(instances_path_shared=shared)
    assert policy.sharing(options, file_system) == Verdict(*answer)
    # Of files it holds, wherever drives are kept.
    options = settings(instances_path_shared=shared, images_type="rbd")
    made = policy.sharing_of_files(options, file_system)
    assert made == Verdict(*answer)


@pytest.mark.parametrize("shared", [None, True, False])
def test_hosts_share_a_pool_whatever_else_is_told(shared: bool | None) -> None:
    options = settings(images_type="rbd", instances_path_shared=shared)
    made = policy.sharing(options, "ext4")
    assert made == Verdict(True, "hosts share the Ceph pool")


@pytest.mark.parametrize("images_type", ["default", "rbd"])
@pytest.mark.parametrize("live_migration", ["auto", "always", "never"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_drive_that_hosts_do_not_share_must_be_copied_or_as_told(
    images_type: str, live_migration: str, shared: bool
) -> None:
    options = settings(images_type=images_type, live_migration=live_migration)
    file_system = "nfs4" if shared else "ext4"
    made = policy.must_survive(options, file_system)
    told = f"[cfgdrive_virt] live_migration={live_migration}"
    expected = {
        "auto": Verdict(
            not shared, policy.sharing(options, file_system).reason
        ),
        "always": Verdict(True, told),
        "never": Verdict(False, told),
    }
    if images_type == "rbd":
        assert made == Verdict(False, "hosts share the Ceph pool")
    else:
        assert made == expected[live_migration]


@pytest.mark.parametrize("live_migration", ["auto", "always", "never"])
@pytest.mark.parametrize("shared", [False, True])
def test_what_the_service_carries_need_not_be_copied_unless_told(
    live_migration: str, shared: bool
) -> None:
    options = settings(
        live_migration=live_migration, instances_path_shared=shared
    )
    made = policy.must_survive(options, "ext4", carried=True)
    assert bool(made) == (live_migration == "always")
    if live_migration == "auto" and not shared:
        assert made.reason == (
            "the service carries it, as"
            " [cfgdrive_virt] instances_path_shared=no"
        )


AFTERBURN = (
    "image property os_distro={}: its Afterburn reads iso9660 only; set"
    " config_drive_format=iso9660"
)


@pytest.mark.parametrize("system", ["fedora-coreos", "flatcar", "rhcos"])
@pytest.mark.parametrize("row", TABLE, ids=ids)
def test_an_operator_is_warned_of_readers_that_take_no_vfat(
    system: str, row: tuple[str | None, str, bool]
) -> None:
    made = decide(
        config_drive_format=row[0],
        images_type=row[1],
        migration=MOVES if row[2] else STAYS,
        image_properties={"os_distro": system},
    )
    told = AFTERBURN.format(system)
    assert (told in made.warnings) == (made.format == "vfat")


def test_an_operator_is_warned_of_a_cdrom_that_has_to_move() -> None:
    made = decide(config_drive_format="iso9660", migration=MOVES)
    assert made.warnings == (
        (
            "config_drive_format=iso9660 is set, but hosts don't share"
            " instances_path on ext4: libvirt neither copies nor checks a"
            " read-only drive, so live migration needs the same file at the"
            " destination beforehand"
        ),
    )


def test_nobody_is_warned_of_what_is_well() -> None:
    assert decide().warnings == ()
    assert decide(migration=MOVES).warnings == ()
    assert decide(images_type="rbd").warnings == ()


@pytest.mark.parametrize("wish", ["fdc", "xen", "", "VIRTIO", "\x1b[31m"])
def test_a_bus_that_holds_no_disk_is_refused(wish: str) -> None:
    told = refusal(migration=MOVES, image_properties={"hw_disk_bus": wish})
    assert told == (
        f"image property hw_disk_bus={wish!a} is not a bus for a disk; use"
        " virtio, ide, sata, scsi or usb"
    )


def test_a_full_disk_bus_is_refused_with_its_own_property() -> None:
    taken = frozenset({"hda", "hdb", "hdc", "hdd"})
    told = refusal(
        Machine("x86_64", "pc", taken),
        images_type="rbd",
        image_properties={"hw_disk_bus": "ide"},
    )
    assert told.endswith("are taken; use another hw_disk_bus")


@pytest.mark.parametrize("virt_type", ["kvm", "qemu"])
@pytest.mark.parametrize("images_type", ["raw", "qcow2", "lvm", "default"])
def test_qemu_gets_a_drive_in_a_file(virt_type: str, images_type: str) -> None:
    made = decide(virt_type=virt_type, images_type=images_type)
    assert made.reason.startswith("a drive in a file")


@pytest.mark.parametrize("virt_type", ["lxc", "parallels"])
def test_other_hypervisors_are_refused(virt_type: str) -> None:
    assert refusal(virt_type=virt_type) == (
        f"[libvirt] virt_type={virt_type} can't have a config drive; kvm and"
        " qemu can"
    )
