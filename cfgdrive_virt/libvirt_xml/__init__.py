"""Everything that is libvirt's XML; lxml's only owner."""
