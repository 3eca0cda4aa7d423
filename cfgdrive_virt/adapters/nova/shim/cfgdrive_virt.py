"""Where nova looks for drivers: compute_driver=cfgdrive_virt.LibvirtDriver."""

from cfgdrive_virt.adapters.nova import releases

# Before what an unknown nova may lack.
releases.check()

from cfgdrive_virt.adapters.nova.driver import LibvirtDriver  # noqa: E402

__all__ = ["LibvirtDriver"]
