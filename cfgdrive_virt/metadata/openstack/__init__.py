"""OpenStack's layout: ``openstack/``, and ``ec2/`` for older readers."""

from __future__ import annotations

from cfgdrive_virt.metadata.openstack.layout import OpenStack
from cfgdrive_virt.metadata.openstack.tree import build_tree

__all__ = ["OPENSTACK", "build_tree"]

OPENSTACK = OpenStack()
