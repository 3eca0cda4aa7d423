"""Where nova looks for drivers: compute_driver=cfgdrive_virt.LibvirtDriver."""

from cfgdrive_virt.adapters.nova.driver import LibvirtDriver

__all__ = ["LibvirtDriver"]
