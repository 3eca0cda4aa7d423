"""The module that nova loads: compute_driver=cfgdrive_virt.LibvirtDriver.

nova looks for drivers in its own package nova.virt only.
"""

from cfgdrive_virt.adapters.nova import releases

# Check before importing what an unsupported nova may lack.
releases.check()

from cfgdrive_virt.adapters.nova.driver import LibvirtDriver  # noqa: E402

__all__ = ["LibvirtDriver"]
