"""The options, under the names and in the groups that nova.conf has them.

An existing nova.conf works as it is: what is nova's keeps nova's name,
meaning and default, and options that are not known here are no error.  Where
nova has registered its options already, those are used.
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
        help="Directory that holds a directory for every instance; a drive"
        " in a file is <instances_path>/<uuid>/disk.config.  It must exist.",
    ),
    cfg.BoolOpt(
        "force_config_drive",
        default=False,
        help="Give every instance a config drive, asked for or not.  An"
        " instance that has been launched before keeps what it has: it may"
        " be using the metadata service.",
    ),
    cfg.StrOpt(
        "config_drive_format",
        choices=(
            (ISO9660, "ISO9660 with Rock Ridge and Joliet, on a cdrom"),
            (VFAT, "VFAT, on a writable disk"),
        ),
        sample_default=ISO9660,
        help="File system of the drive.  Not set: the policy decides, and"
        " says why.",
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
        help="Domain added to an instance's host name.  Empty: none.",
    ),
    cfg.ListOpt(
        "vendordata_providers",
        item_type=types.String(choices=["StaticJSON", "DynamicJSON"]),
        default=["StaticJSON"],
        help="Where vendor data comes from.  StaticJSON: the file that"
        " vendordata_jsonfile_path names.  DynamicJSON: what the compute"
        " service collected and put into the request's vendor_data2.",
    ),
    cfg.StrOpt(
        "vendordata_jsonfile_path",
        help="JSON file with the static vendor data.  It is read for every"
        " drive that is built.  Not set: an empty object.",
    ),
]

_LIBVIRT_OPTS = [
    cfg.StrOpt(
        "virt_type",
        default="kvm",
        choices=("kvm", "lxc", "qemu", "parallels"),
        help="Type of the domains.  Config drives need kvm or qemu.",
    ),
    cfg.StrOpt(
        "images_type",
        default="default",
        choices=("raw", "flat", "qcow2", "lvm", "rbd", "ploop", "default"),
        help="Where disks are kept.  rbd: in Ceph volumes; every other type"
        " keeps config drives in files.",
    ),
    cfg.StrOpt(
        "images_rbd_pool",
        default="rbd",
        help="Ceph pool that holds the volumes, for images_type rbd.",
    ),
    cfg.StrOpt(
        "images_rbd_ceph_conf",
        default="",
        help="Path of the Ceph configuration.  Empty: librados' own default.",
    ),
    cfg.StrOpt("rbd_user", help="Ceph client name, without 'client.'."),
    cfg.StrOpt(
        "rbd_secret_uuid",
        help="UUID of the libvirt secret that holds rbd_user's key.",
    ),
    cfg.IntOpt(
        "rbd_connect_timeout",
        default=5,
        help="Seconds to wait for the Ceph cluster when connecting.",
    ),
    cfg.IntOpt(
        "rbd_destroy_volume_retries",
        default=12,
        min=0,
        help="How often to try again to remove a drive that somebody has"
        " open: of a guest that was killed Ceph takes up to 30 seconds to"
        " know.",
    ),
    cfg.IntOpt(
        "rbd_destroy_volume_retry_interval",
        default=5,
        min=0,
        help="Seconds to wait before rbd_destroy_volume_retries.",
    ),
    cfg.ListOpt(
        "disk_cachemodes",
        default=[],
        help="Cache modes by type of disk source, such as"
        " file=directsync,network=writeback.  A file without one gets none"
        " where the file system can do O_DIRECT, else writeback.",
    ),
    cfg.StrOpt(
        "hw_disk_discard",
        choices=("ignore", "unmap"),
        help="Discard mode of the disks.",
    ),
    cfg.ListOpt(
        "hw_machine_type",
        help="Machine types by architecture, such as x86_64=q35.  An image's"
        " hw_machine_type outranks it.",
    ),
    cfg.StrOpt(
        "disk_prefix",
        help="Prefix of target device names, such as vd, in place of the"
        " bus' own.",
    ),
]

_OWN_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "live_migration",
        default="auto",
        choices=(
            ("auto", "a drive in a file that hosts don't share must"),
            ("always", "a drive in a file must, wherever it is"),
            ("never", "nobody migrates instances of this host"),
        ),
        help="Whether drives must survive live migration without shared"
        " storage.  libvirt then copies writable disks only: where"
        " config_drive_format isn't set such a drive is VFAT on a writable"
        " disk.  Drives in RBD needn't be copied; nor, by auto, those of a"
        " service that brings them to the destination itself, as our driver"
        " for nova does.",
    ),
    cfg.StrOpt(
        "instances_path_shared",
        default="auto",
        choices=(
            ("auto", "as its file system tells: NFS is, ext4 is not"),
            ("yes", "hosts share it"),
            ("no", "hosts don't share it"),
        ),
        help="Whether instances_path is shared by the hosts between which"
        " instances migrate.",
    ),
    cfg.BoolOpt(
        "verify_drive",
        default=False,
        help="Read every drive back and compare it with what went in, before"
        " it is put in place.",
    ),
    cfg.IntOpt(
        "rbd_operation_timeout",
        default=30,
        min=1,
        help="Seconds to wait for an answer from the Ceph cluster, for each"
        " of the requests that an operation takes.  Not below what the"
        " cluster takes to recover from the loss of a daemon.",
    ),
    cfg.ListOpt(
        "rbd_monitors",
        default=[],
        help="Ceph monitors that libvirt is told of, such as"
        " 10.0.0.1:6789,[fd00::1]:6789.  Empty: asked from the cluster.",
    ),
    cfg.IntOpt(
        "max_drive_size",
        default=64,
        min=1,
        max=4095,
        help="Largest drive that is built, and largest content that goes into"
        " one, in MiB.  64 is what nova allows a"
        " VFAT drive; cloudbase-init reads an ISO on a raw disk up to 128.",
    ),
    cfg.ListOpt(
        "one_shot_secrets",
        item_type=types.String(choices=list(ONE_SHOT)),
        default=[],
        help="Secrets that an instance's drive holds until it is up, and then"
        " no more: admin_pass, user_data, or both.  The compute service tells"
        " when (forget_secrets); later drives of the same guest are without"
        " them, too.  A guest that reads its user data at every boot needs it"
        " to stay.  Empty: none.",
    ),
]

#: Our own group.
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
    """Register the options; those that nova registered already stay nova's.

    In a process that has both, nova's come first: nova itself takes no
    option that somebody else registered under its name.
    """
    for group, opts in _OPTS:
        for opt in opts:
            try:
                conf.register_opt(opt, group=group)
            except cfg.DuplicateOptError:
                # Nova's, with nova's own help: same name, same meaning.
                continue
