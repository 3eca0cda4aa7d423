"""A plain compute service on libvirt; the only importer of its binding."""
