"""Config drives in nova: ``compute_driver = cfgdrive_virt.LibvirtDriver``.

nova's only importer.  What goes on a drive is nova's own, its
InstanceMetadata; the image, the store, the device, the policy and the
migration are ours; all else of nova is left alone.
"""
