"""Config drives for libvirt compute services.

Start with :class:`ConfigDriveDriver`, whose hooks a compute service calls, and
:class:`ConfigDriveRequest`, which describes an instance.  Every error is a
:class:`ConfigDriveError`.

A name's module is loaded when the name is first used: errors and values need
none of the libraries that the driver needs.
"""

from typing import TYPE_CHECKING

from cfgdrive_virt import lazy

if TYPE_CHECKING:
    from cfgdrive_virt.driver.driver import (
        ConfigDriveDriver,
        Drive,
        Medium,
        Plan,
    )
    from cfgdrive_virt.exception import (
        ConfigDriveError,
        DomainError,
        DriveInUse,
        DriveUnreadable,
        ImageError,
        InvalidConfiguration,
        InvalidDomain,
        InvalidRequest,
        MigrationRefused,
        NoWholeDrive,
        Problem,
        StoreError,
        UnsupportedCombination,
    )
    from cfgdrive_virt.metadata.layout import Recalled
    from cfgdrive_virt.model.decision import Decision, Verdict
    from cfgdrive_virt.model.drive import (
        DriveImage,
        FileLocation,
        Location,
        RbdLocation,
    )
    from cfgdrive_virt.model.machine import Controller, Machine, Place
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
    from cfgdrive_virt.model.tree import MetadataTree
    from cfgdrive_virt.readers import Loss

__all__ = [
    "Bond",
    "ConfigDriveDriver",
    "ConfigDriveError",
    "ConfigDriveRequest",
    "Controller",
    "Decision",
    "DestinationCheck",
    "DiskDevice",
    "DomainError",
    "Drive",
    "DriveImage",
    "DriveInUse",
    "DriveUnreadable",
    "Ec2Ids",
    "FileLocation",
    "ImageError",
    "InjectedFile",
    "Interface",
    "InvalidConfiguration",
    "InvalidDomain",
    "InvalidRequest",
    "Keypair",
    "Location",
    "Loss",
    "Machine",
    "Medium",
    "MetadataTree",
    "MigratingDrive",
    "MigrationRefused",
    "NetworkInfo",
    "NicDevice",
    "NoWholeDrive",
    "Place",
    "Plan",
    "Problem",
    "RbdLocation",
    "Recalled",
    "RenderedRequest",
    "Request",
    "Route",
    "ShareDevice",
    "Status",
    "StoreError",
    "Subnet",
    "UnsupportedCombination",
    "Verdict",
    "Vlan",
]

if not TYPE_CHECKING:
    __getattr__ = lazy.attributes(
        __name__,
        __all__,
        (
            "exception", "model.tree", "model.drive", "model.machine",
            "model.decision", "model.status", "model.network",
            "model.request", "model.migration", "metadata.layout", "readers",
            "driver.driver",
        ),
    )  # fmt: skip


def __dir__() -> list[str]:
    return __all__
