"""The options, with the names and groups of nova.conf.

An existing nova.conf works unchanged: nova's options keep nova's name, meaning
and default, and unknown options are not an error.  If nova has already
registered its options, those are used.
"""

from __future__ import annotations

from oslo_config import cfg, types

from cfgdrive_virt.model.drive import ISO9660, VFAT
from cfgdrive_virt.model.request import ONE_SHOT

_DEFAULT_OPTS = [
    cfg.StrOpt(
        "state_path",
        default="/var/lib/nova",
        help="Directory that holds the compute service's state.",
    ),
    cfg.StrOpt(
        "instances_path",
        default="$state_path/instances",
        sample_default="$state_path/instances",
        help="Directory with one subdirectory for each instance; a drive in a"
        " file is <instances_path>/<uuid>/disk.config.  The directory must"
        " exist.",
    ),
    cfg.BoolOpt(
        "force_config_drive",
        default=False,
        help="Give every new instance a config drive, even if it doesn't"
        " request one.  Instances that were launched before are not affected:"
        " they may be using the metadata service.",
    ),
    cfg.StrOpt(
        "config_drive_format",
        choices=(
            (ISO9660, "ISO9660 with Rock Ridge and Joliet, on a cdrom"),
            (VFAT, "VFAT, on a writable disk"),
        ),
        sample_default=ISO9660,
        help="File system of the drive.  If it isn't set, the policy chooses"
        " one, and logs the reason.",
    ),
]

_API_OPTS = [
    cfg.StrOpt(
        "config_drive_skip_versions",
        default="1.0 2007-01-19 2007-03-01 2007-08-29 2007-10-10 2007-12-15"
        " 2008-02-01 2008-09-01",
        help="Versions of the ec2 tree to leave out, separated by spaces.",
    ),
    cfg.StrOpt(
        "dhcp_domain",
        default="novalocal",
        help="Domain that is appended to an instance's host name.  Empty:"
        " none.",
    ),
    cfg.ListOpt(
        "vendordata_providers",
        item_type=types.String(choices=["StaticJSON", "DynamicJSON"]),
        default=["StaticJSON"],
        help="Sources of vendor data.  StaticJSON: the file that"
        " vendordata_jsonfile_path names.  DynamicJSON: the data that the"
        " compute service passes in the request's vendor_data2.",
    ),
    cfg.StrOpt(
        "vendordata_jsonfile_path",
        help="JSON file with the static vendor data.  It is read each time a"
        " drive is built.  If it isn't set, vendor data is an empty object.",
    ),
]

_LIBVIRT_OPTS = [
    cfg.StrOpt(
        "virt_type",
        default="kvm",
        choices=("kvm", "lxc", "qemu", "parallels"),
        help="Virtualization type of the domains.  Config drives require kvm"
        " or qemu.",
    ),
    cfg.StrOpt(
        "images_type",
        default="default",
        choices=("raw", "flat", "qcow2", "lvm", "rbd", "ploop", "default"),
        help="Where disks are stored.  With rbd, config drives are Ceph"
        " volumes; with every other type, they are files.",
    ),
    cfg.StrOpt(
        "images_rbd_pool",
        default="rbd",
        help="Ceph pool that holds the volumes, if images_type is rbd.",
    ),
    cfg.StrOpt(
        "images_rbd_ceph_conf",
        default="",
        help="Path of the Ceph configuration file.  Empty: librados' default.",
    ),
    cfg.StrOpt("rbd_user", help="Ceph client name, without 'client.'."),
    cfg.StrOpt(
        "rbd_secret_uuid",
        help="UUID of the libvirt secret that holds rbd_user's key.",
    ),
    cfg.IntOpt(
        "rbd_connect_timeout",
        default=5,
        help="Seconds to wait for a connection to the Ceph cluster.",
    ),
    cfg.IntOpt(
        "rbd_destroy_volume_retries",
        default=12,
        min=0,
        help="How often to retry the removal of a drive that a client has"
        " open: after a guest is killed, Ceph takes up to 30 seconds to"
        " notice.",
    ),
    cfg.IntOpt(
        "rbd_destroy_volume_retry_interval",
        default=5,
        min=0,
        help="Seconds to wait before each of the rbd_destroy_volume_retries.",
    ),
    cfg.ListOpt(
        "disk_cachemodes",
        default=[],
        help="Cache modes by type of disk source, such as"
        " file=directsync,network=writeback.  The default is none for a file"
        " whose file system supports O_DIRECT, else writeback.",
    ),
    cfg.StrOpt(
        "hw_disk_discard",
        choices=("ignore", "unmap"),
        help="Discard mode of the disks.",
    ),
    cfg.ListOpt(
        "hw_machine_type",
        help="Machine types by architecture, such as x86_64=q35.  The image"
        " property hw_machine_type takes precedence.",
    ),
    cfg.StrOpt(
        "disk_prefix",
        help="Prefix of target device names, such as vd, instead of the bus'"
        " default.",
    ),
]

_OWN_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "live_migration",
        default="auto",
        choices=(
            ("auto", "required of drives in files that hosts don't share"),
            ("always", "required of all drives in files"),
            ("never", "not required: no instance of this host is migrated"),
        ),
        help="Whether drives must survive live migration without shared"
        " storage.  libvirt copies writable disks only, so if"
        " config_drive_format isn't set, such a drive is VFAT on a writable"
        " disk.  This does not apply to drives in RBD nor, with auto, to"
        " compute services that transfer drives to the destination"
        " themselves, as the nova driver of cfgdrive_virt does.",
    ),
    cfg.StrOpt(
        "instances_path_shared",
        default="auto",
        choices=(
            ("auto", "depends on its file system: NFS is shared, ext4 isn't"),
            ("yes", "hosts share it"),
            ("no", "hosts don't share it"),
        ),
        help="Whether the hosts between which instances migrate share"
        " instances_path.",
    ),
    cfg.StrOpt(
        "addresses_per_link",
        default="auto",
        choices=(
            ("auto", "depends on the image's os_type and os_distro"),
            ("all", "all that the instance has"),
            ("first", "the first one of each IP version"),
        ),
        help="Static addresses of a link in network_data.json.  Readers of"
        " Windows and FreeBSD apply one after the other, and the guest keeps"
        " the last one, and loses its gateway; with auto, their images get"
        " the first.",
    ),
    cfg.BoolOpt(
        "verify_drive",
        default=False,
        help="Read every new drive back and compare it with its input before"
        " it is put in place.",
    ),
    cfg.IntOpt(
        "rbd_operation_timeout",
        default=30,
        min=1,
        help="Seconds to wait for the Ceph cluster to answer each of the"
        " requests that an operation consists of.  It should not be less than"
        " the cluster needs to recover from the loss of a daemon.",
    ),
    cfg.ListOpt(
        "rbd_monitors",
        default=[],
        help="Ceph monitors that libvirt connects to, such as"
        " 10.0.0.1:6789,[fd00::1]:6789.  Empty: those that the cluster lists.",
    ),
    cfg.IntOpt(
        "max_drive_size",
        default=64,
        min=1,
        max=4095,
        help="Maximum size of a drive, and of the content that goes into one,"
        " in MiB.  Nova allows a VFAT drive 64 MiB; cloudbase-init reads an"
        " ISO image on a raw disk up to 128 MiB.",
    ),
    cfg.IntOpt(
        "lock_timeout",
        default=300,
        min=1,
        help="Seconds that a call waits for another one that works on the same"
        " instance's drive, before it fails.  A warning in the log says after"
        " 10 seconds what it waits for.  The longest calls wait for a guest to"
        " release its drive, or for Ceph.",
    ),
    cfg.ListOpt(
        "one_shot_secrets",
        item_type=types.String(choices=list(ONE_SHOT)),
        default=[],
        help="Secrets that are removed from an instance's drive once the"
        " instance is up: admin_pass, user_data, or both.  The compute service"
        " must call forget_secrets then; later drives of the instance omit"
        " these secrets, too.  Don't list user_data if guests read it at every"
        " boot.  Empty: none.",
    ),
]

#: The group of the options that nova does not have.
GROUP = "cfgdrive_virt"

_OPTS: tuple[tuple[str | None, list[cfg.Opt]], ...] = (
    (None, _DEFAULT_OPTS),
    ("api", _API_OPTS),
    ("libvirt", _LIBVIRT_OPTS),
    (GROUP, _OWN_OPTS),
)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group, for oslo-config-generator."""
    return [(group, list(opts)) for group, opts in _OPTS]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options; those that nova has registered stay nova's.

    In a process with both, nova must register first: it fails if one of its
    options is already registered.
    """
    for group, opts in _OPTS:
        for opt in opts:
            try:
                conf.register_opt(opt, group=group)
            except cfg.DuplicateOptError:
                # Nova's option has the same meaning; only the help differs.
                continue
