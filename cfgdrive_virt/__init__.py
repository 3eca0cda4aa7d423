"""Config drives for libvirt compute services.

Start with :class:`ConfigDriveDriver`, the hook that a compute service calls,
and :class:`ConfigDriveRequest`, what a drive says of an instance.
"""

from cfgdrive_virt.driver.driver import ConfigDriveDriver, Drive, Medium, Plan
from cfgdrive_virt.exception import ConfigDriveError
from cfgdrive_virt.metadata.openstack.recall import Recalled
from cfgdrive_virt.model.decision import Decision, Machine, Verdict
from cfgdrive_virt.model.drive import DriveImage, FileLocation
from cfgdrive_virt.model.migration import DestinationCheck, MigratingDrive
from cfgdrive_virt.model.network import (
    Bond,
    Interface,
    NetworkInfo,
    Route,
    Subnet,
    Vlan,
)
from cfgdrive_virt.model.request import (
    ConfigDriveRequest,
    DiskDevice,
    Ec2Ids,
    InjectedFile,
    Keypair,
    NicDevice,
    RenderedRequest,
    Request,
    ShareDevice,
)
from cfgdrive_virt.model.status import Status

__all__ = [
    "Bond",
    "ConfigDriveDriver",
    "ConfigDriveError",
    "ConfigDriveRequest",
    "Decision",
    "DestinationCheck",
    "DiskDevice",
    "Drive",
    "DriveImage",
    "Ec2Ids",
    "FileLocation",
    "InjectedFile",
    "Interface",
    "Keypair",
    "Machine",
    "Medium",
    "MigratingDrive",
    "NetworkInfo",
    "NicDevice",
    "Plan",
    "Recalled",
    "RenderedRequest",
    "Request",
    "Route",
    "ShareDevice",
    "Status",
    "Subnet",
    "Verdict",
    "Vlan",
]
