"""Config drives in nova: ``compute_driver = cfgdrive_virt.LibvirtDriver``.

No other package imports nova.  nova's own InstanceMetadata renders the files
of a drive.  This library builds the image, stores it, chooses the device and
migrates it.  Everything else stays nova's own.
"""
