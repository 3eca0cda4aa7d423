"""The world outside: instance files, libvirt, the command line."""
