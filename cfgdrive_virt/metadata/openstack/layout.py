"""OpenStack's layout as one value: see :class:`Layout`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from cfgdrive_virt.exception import Problem
from cfgdrive_virt.metadata.compare import Difference
from cfgdrive_virt.metadata.layout import Additions, Layout, Recalled
from cfgdrive_virt.metadata.openstack import (
    check,
    network_data,
    recall,
    secrets,
)
from cfgdrive_virt.metadata.openstack.tree import build_tree
from cfgdrive_virt.model.request import ConfigDriveRequest
from cfgdrive_virt.model.tree import MetadataTree

#: Keys whose values are secret, in letters of either case.
_SECRET = re.compile(
    r"(?i)pass|secret|token|^data$|^keys$|^openssh-key$|^public_keys$|^random_seed$"
)


class OpenStack(Layout):
    """The layout of nova's config drives."""

    name = "openstack"
    label = "config-2"
    own = ("ec2/", "openstack/")

    def files(
        self, request: ConfigDriveRequest, additions: Additions
    ) -> MetadataTree:
        """Return the files of every version that nova knows."""
        return build_tree(
            request,
            random_seed=additions.random_seed,
            vendor_data=additions.vendor_data,
            vendor_data_static=additions.vendor_data_static,
            dhcp_domain=additions.dhcp_domain,
            skip_versions=additions.skip_versions,
            one_address=additions.one_address,
        )

    def left_out(
        self, request: ConfigDriveRequest, additions: Additions
    ) -> Iterator[tuple[str, str]]:
        """Yield what network_data.json leaves out of the network."""
        if request.network is not None:
            for key, why in network_data.left_out(
                request.network, one_address=additions.one_address
            ):
                yield f"network.{key}", why

    def problems(self, tree: MetadataTree) -> Iterable[Problem]:
        """Return what cloud-init and its peers would refuse a drive for."""
        return check.problems(tree)

    def ignores(self, difference: Difference) -> bool:
        """Ignore the bus and the address of a device if the request does."""
        return check.is_learnt(difference)

    def key(self, difference: Difference) -> str | None:
        """Return such as ``meta_data.json meta.role``; None for the seed."""
        return check.key(difference)

    def recover(
        self, request: ConfigDriveRequest, tree: MetadataTree
    ) -> ConfigDriveRequest:
        """Take over the seed, the password, files and devices' places."""
        return recall.recover(request, tree)

    def recall(self, uuid: str, tree: MetadataTree) -> Recalled:
        """Return the password, the injected files and vendor_data2.json."""
        return recall.recall(uuid, tree)

    def random_seed(self, tree: MetadataTree) -> bytes | None:
        """Return the seed of ``latest``."""
        return check.random_seed(tree)

    def without(
        self, tree: MetadataTree, names: Collection[str]
    ) -> MetadataTree:
        """Leave out user data, and the password in every meta_data.json."""
        return secrets.without(tree, names)

    def is_secret(self, path: str, key: str = "") -> bool:
        """Hide keys that hold or sound like secrets, and whole files.

        Those are user data, injected files, and vendor data: agents of
        tenants get their credentials there.
        """
        if key:
            return bool(_SECRET.search(key))
        name = path.rpartition("/")[2]
        return not name.endswith(".json") or name.startswith("vendor_data")

    def is_newest(self, path: str) -> bool:
        """Tell whether a file lies below a ``latest``."""
        return "latest" in path.split("/")
