"""Drives in the volumes of a Ceph pool."""
