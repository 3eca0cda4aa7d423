"""What connects the driver to others: nova, libvirt, the command line."""
