"""What the store of volumes does without a cluster, or without bindings."""

from __future__ import annotations

from typing import Any

import pytest

from cfgdrive_virt.model.drive import Monitor, RbdLocation
from cfgdrive_virt.store.ceph import store as store_rbd
from cfgdrive_virt.store.ceph.store import RbdStore

from ...processes import python
from ...samples import UUID


def test_a_drive_is_named_as_nova_names_it() -> None:
    store = RbdStore(
        pool="vms",
        user="cinder",
        ceph_conf="/nonexistent",
        connect_timeout=5,
        operation_timeout=30,
    )
    location = store.location(UUID)
    assert location == RbdLocation(UUID, "vms", f"{UUID}_disk.config")
    assert location.source == f"vms/{UUID}_disk.config"
    assert str(location) == f"rbd:vms/{UUID}_disk.config"


def test_neither_import_nor_construction_loads_the_bindings() -> None:
    loaded = python(
        "import sys\n"
        "from cfgdrive_virt.store.ceph.store import RbdStore\n"
        "RbdStore(pool='rbd', user=None, ceph_conf='', connect_timeout=1,"
        " operation_timeout=1).location('')\n"
        "print({'rados', 'rbd'} & set(sys.modules))"
    )
    assert loaded == "set()\n"


@pytest.mark.parametrize("missing", ["rados", "rbd"])
def test_missing_bindings_are_told_by_their_packages(missing: str) -> None:
    told = python(
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "from cfgdrive_virt.exception import StoreError\n"
        "from cfgdrive_virt.store.ceph.store import RbdStore\n"
        "store = RbdStore(pool='rbd', user=None, ceph_conf='',"
        " connect_timeout=1, operation_timeout=1)\n"
        "for call in (store.monitors, lambda: store.exists('')):\n"
        "    try:\n"
        "        call()\n"
        "    except StoreError as error:\n"
        "        print(error)\n"
    )
    for line in told.splitlines():
        assert "python3-rados and python3-rbd" in line
        assert "PyPI has none that work" in line
        assert "--system-site-packages" in line
    assert len(told.splitlines()) == 2


V1, V2 = {"type": "v1", "addr": "{}:6789"}, {"type": "v2", "addr": "{}:3300"}


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]"])
@pytest.mark.parametrize(
    ("addresses", "port"),
    [([V2, V1], 6789), ([V1], 6789), ([V2], 3300)],
    ids=["both", "v1", "v2"],
)
def test_a_monitors_older_address_is_taken_if_it_has_one(
    addresses: list[dict[str, Any]], port: int, host: str
) -> None:
    told = [one | {"addr": one["addr"].format(host)} for one in addresses]
    found = store_rbd._monitor({"public_addrs": {"addrvec": told}})
    assert found == Monitor(host.strip("[]"), port)
