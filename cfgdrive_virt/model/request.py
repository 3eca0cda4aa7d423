"""The content of a config drive: the request, frozen and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cfgdrive_virt.model import rules
from cfgdrive_virt.model.network import NetworkInfo
from cfgdrive_virt.model.value import Value, checked, kinds_of, many, nested

#: Secrets that a guest needs once, by the names of a request's fields.
ONE_SHOT = ("admin_pass", "user_data")

_name = rules.text(min_length=1, max_length=255)
_word = rules.text(min_length=1, max_length=255, one_line=True)
_tags = checked(rules.list_of(_word), default=())


def _public_key(value: Any) -> str:
    key: str = rules.text(min_length=1)(value)
    if "\0" in key:
        raise ValueError("must not contain a NUL character")
    return key


def _random_seed(value: Any) -> bytes:
    seed = rules.content(value)
    if not 1 <= len(seed) <= 4096:
        raise ValueError("must be 1 to 4,096 bytes")
    return seed


def _files(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping")
    for path, data in value.items():
        if not isinstance(path, str) or not isinstance(data, bytes):
            raise ValueError("must map paths to bytes")
    return rules.FrozenDict(value)


def _cpus(value: Any) -> tuple[int, ...]:
    cpus = rules.list_of(rules.integer(0, 65_535))(value)
    return tuple(sorted(set(cpus)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Keypair(Value):
    """A key for logging in to the guest.

    :param type: ``ssh``, or ``x509`` for Windows (a certificate in PEM)
    """

    name: str = checked(_name)
    public_key: str = checked(_public_key, secret=True)
    type: str = checked(rules.one_of("ssh", "x509"), default="ssh")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InjectedFile(Value):
    """A file for the guest (nova's personality).

    :param path: its path in the guest; any characters but NUL
    :param content: any bytes; in a document a string or ``{base64: ...}``
    """

    path: str = checked(rules.path)
    content: bytes = checked(rules.content, secret=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NicDevice(Value):
    """The tags of a network interface.

    :param bus: ``pci``, ``usb``, ``scsi``, ``ide`` or ``xen``; read from
        the defined domain, like the address
    """

    mac: str = checked(rules.mac)
    tags: tuple[str, ...] = _tags
    vlan: int | None = checked(rules.integer(0, 4095), default=None)
    vf_trusted: bool = checked(rules.boolean, default=False)
    bus: str | None = checked(_word, default=None)
    address: str | None = checked(_word, default=None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DiskDevice(Value):
    """The tags of a disk.

    :param serial: as the guest sees it, nova's volume id
    :param path: the device's path in the guest, if known
    """

    serial: str | None = checked(_word, default=None)
    path: str | None = checked(_word, default=None)
    tags: tuple[str, ...] = _tags
    bus: str | None = checked(_word, default=None)
    address: str | None = checked(_word, default=None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShareDevice(Value):
    """A file share (virtiofs).

    :param tag: the name by which the guest mounts it
    """

    share_id: str = checked(_word)
    tag: str = checked(_word)
    tags: tuple[str, ...] = _tags
    bus: str | None = checked(_word, default=None)
    address: str | None = checked(_word, default=None)


Device = NicDevice | DiskDevice | ShareDevice


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ec2Ids(Value):
    """Names in the style of EC2; by default derived from the uuid."""

    instance_id: str | None = checked(_word, default=None)
    ami_id: str | None = checked(_word, default=None)
    reservation_id: str | None = checked(_word, default=None)
    kernel_id: str | None = checked(_word, default=None)
    ramdisk_id: str | None = checked(_word, default=None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDriveRequest(Value):
    """Everything that determines a config drive and its content.

    One ``InvalidRequest`` lists all errors.  Secrets (admin_pass, user data,
    keys, random_seed, the content of files, vendor data) are in no ``repr``
    and in no error.

    :param uuid: the instance's
    :param instance_id: the reader's; by default the uuid.  If it changes,
        cloud-init treats the guest as a new instance at its next boot
    :param name: the display name
    :param hostname: ``[api] dhcp_domain`` is appended, if it is set
    :param metadata: strings to strings, ``meta`` in meta_data.json
    :param user_data: bytes, at most 65,535 in base64
    :param vendor_data: the content of vendor_data.json; None: that of the
        file that ``[api] vendordata_jsonfile_path`` names
    :param vendor_data2: target to JSON, beside ``static``
    :param admin_pass: the administrator's password
    :param random_seed: bytes for the guest's entropy pool; None: new ones
    :param network: the guest's whole network configuration.  None: the drive
        has none, and readers ask DHCP; an empty one: the guest gets no
        network
    :param network_config: rendered interfaces(5) text, for old readers
    :param devices: tagged devices; if bus or address is None, it is read
        from the domain
    :param dedicated_cpus: host CPUs pinned to this instance only
    :param block_device_mapping: ec2's names of devices, such as ``root``
    :param flavor: the flavor's name
    :param image_properties: those of Glance; the library uses the ``hw_``
        ones of disk, cdrom, SCSI, machine and architecture, ``os_type``,
        ``os_distro`` and ``img_config_drive``
    :param config_drive: whether the tenant requested a config drive
    :param launched: whether the instance ran before (nova's launched_at)
    """

    uuid: str = checked(rules.canonical_uuid)
    name: str = checked(_name)
    hostname: str = checked(rules.hostname)
    instance_id: str | None = checked(rules.canonical_uuid, default=None)
    project_id: str | None = checked(_word, default=None)
    availability_zone: str | None = checked(_word, default=None)
    launch_index: int = checked(rules.integer(0, 2**31 - 1), default=0)
    metadata: Mapping[str, str] = checked(
        rules.mapping_of_text, default_factory=dict
    )
    keypairs: tuple[Keypair, ...] = many(Keypair, rules.unique("name"))
    user_data: bytes | None = checked(
        rules.user_data, default=None, secret=True
    )
    vendor_data: Any = checked(rules.vendor_data, default=None, secret=True)
    vendor_data2: Mapping[str, Any] = checked(
        rules.json_object, default_factory=dict, secret=True
    )
    injected_files: tuple[InjectedFile, ...] = many(InjectedFile)
    admin_pass: str | None = checked(
        rules.text(min_length=1), default=None, secret=True
    )
    random_seed: bytes | None = checked(
        _random_seed, default=None, secret=True
    )
    network: NetworkInfo | None = nested(NetworkInfo, optional=True)
    network_config: bytes | None = checked(
        rules.utf8, default=None, secret=True
    )
    devices: tuple[Device, ...] = kinds_of(
        {"nic": NicDevice, "disk": DiskDevice, "share": ShareDevice},
        rules.unique("serial"),
    )
    dedicated_cpus: tuple[int, ...] = checked(_cpus, default=())
    security_groups: tuple[str, ...] = checked(
        rules.list_of(_name), default=()
    )
    block_device_mapping: Mapping[str, str] = checked(
        rules.mapping_of_text, default_factory=dict
    )
    flavor: str | None = checked(_name, default=None)
    image_properties: Mapping[str, str] = checked(
        rules.mapping_of_text, default_factory=dict
    )
    ec2: Ec2Ids = nested(Ec2Ids)
    config_drive: bool = checked(rules.boolean, default=False)
    launched: bool = checked(rules.boolean, default=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RenderedRequest(Value):
    """A config drive whose files the compute service renders itself.

    Nova does so: its InstanceMetadata has more data than a request.  Nothing
    is added, and only forgotten secrets are left out.  What such a service
    knows only while it creates an instance, it can read from the existing
    drive: :meth:`ConfigDriveDriver.recall`.

    :param uuid: the instance's
    :param files: paths such as ``openstack/latest/meta_data.json`` to bytes;
        without any, or with some that readers refuse, the drive can be
        planned but not built
    :param image_properties: as in :class:`ConfigDriveRequest`, like
        config_drive and launched
    """

    uuid: str = checked(rules.canonical_uuid)
    files: Mapping[str, bytes] = checked(
        _files, default_factory=dict, secret=True
    )
    image_properties: Mapping[str, str] = checked(
        rules.mapping_of_text, default_factory=dict
    )
    config_drive: bool = checked(rules.boolean, default=False)
    launched: bool = checked(rules.boolean, default=False)


Request = ConfigDriveRequest | RenderedRequest
