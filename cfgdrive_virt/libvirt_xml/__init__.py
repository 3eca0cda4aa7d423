"""All handling of libvirt's XML; only this package imports lxml."""
