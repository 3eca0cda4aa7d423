"""Each error says what is wrong, where, and what to do about it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cfgdrive_virt.exception import StoreError
from cfgdrive_virt.store.ceph.store import RbdStore

from .cluster import SHORT, Cluster, eventually

UUID = "83679162-1378-4288-a2d4-70e13ec132aa"
OTHER_UUID = "00000000-0000-0000-0000-00000000000a"
LEAD = f"can't write rbd:compute/{UUID}_disk.config: "


def refusal(store: RbdStore, uuid: str = UUID) -> str:
    with pytest.raises(StoreError) as caught:
        store.write(uuid, b"data")
    return str(caught.value).removeprefix(LEAD)


def test_a_missing_configuration(ceph: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "ceph.conf"
    assert refusal(ceph.store(ceph_conf=str(path))) == (
        f"[libvirt] images_rbd_ceph_conf={path} can't be read: No such file or"
        " directory"
    )


def test_a_directory_for_a_configuration(
    ceph: Cluster, tmp_path: Path
) -> None:
    assert refusal(ceph.store(ceph_conf=str(tmp_path))) == (
        f"[libvirt] images_rbd_ceph_conf={tmp_path} can't be read: Is a"
        " directory"
    )


def test_what_is_no_configuration(ceph: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "ceph.conf"
    path.write_text("[global\nmon host 127.0.0.1\n")
    assert refusal(ceph.store(ceph_conf=str(path))) == (
        f"[libvirt] images_rbd_ceph_conf={path} is not a valid Ceph"
        " configuration"
    )


def test_no_configuration_at_all(
    ceph: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEPH_CONF", str(tmp_path / "absent"))
    assert refusal(ceph.store(ceph_conf="")) == (
        "librados finds no Ceph configuration in its default places"
        " ($CEPH_CONF, /etc/ceph/ceph.conf, ...); set [libvirt]"
        " images_rbd_ceph_conf"
    )


def test_a_configuration_in_librados_own_place(
    ceph: Cluster, drive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEPH_CONF", str(ceph.conf))
    store = ceph.store(ceph_conf="")
    store.write(drive, b"data")
    assert store.exists(drive) is True


def test_a_configuration_without_monitors(
    ceph: Cluster, tmp_path: Path
) -> None:
    path = ceph.configuration(tmp_path / "ceph.conf", mon_host=None)
    assert refusal(ceph.store(ceph_conf=path)) == (
        f"{path} names no monitors; set mon_host there, or name another file"
        " in [libvirt] images_rbd_ceph_conf"
    )


def test_a_missing_keyring(ceph: Cluster, tmp_path: Path) -> None:
    keyring = tmp_path / "absent.keyring"
    path = ceph.configuration(tmp_path / "ceph.conf", keyring=str(keyring))
    assert refusal(ceph.store(ceph_conf=path)) == (
        "there is no readable keyring for [libvirt] rbd_user=compute"
        f" (client.compute); searched for {keyring}"
    )


def test_a_key_that_is_not_the_users(ceph: Cluster, tmp_path: Path) -> None:
    key = "AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA=="
    keyring = tmp_path / "keyring"
    keyring.write_text(f"[client.compute]\n\tkey = {key}\n")
    path = ceph.configuration(tmp_path / "ceph.conf", keyring=str(keyring))
    told = refusal(ceph.store(ceph_conf=path))
    assert told == (
        "the monitors refuse [libvirt] rbd_user=compute (client.compute): they"
        f" don't know this user, or have another key than {keyring}; compare"
        " with ceph auth get client.compute"
    )


def test_a_user_that_is_not_known(ceph: Cluster, tmp_path: Path) -> None:
    key = (ceph.directory / "secret").read_text().strip()
    keyring = tmp_path / "keyring"
    keyring.write_text(f"[client.nobody]\n\tkey = {key}\n")
    path = ceph.configuration(tmp_path / "ceph.conf", keyring=str(keyring))
    told = refusal(ceph.store(ceph_conf=path, user="nobody"))
    assert told.startswith(
        "the monitors refuse [libvirt] rbd_user=nobody (client.nobody)"
    )
    assert key not in told


def test_no_monitor_at_that_address(ceph: Cluster, tmp_path: Path) -> None:
    path = ceph.configuration(
        tmp_path / "ceph.conf", mon_host="[v2:127.0.0.1:9]"
    )
    start = time.monotonic()
    told = refusal(ceph.store(ceph_conf=path, connect_timeout=SHORT))
    assert time.monotonic() - start < 10 * SHORT
    assert told == (
        "no monitor of [v2:127.0.0.1:9] answered within [libvirt]"
        f" rbd_connect_timeout={SHORT} seconds; check that they are up,"
        " and reachable from this host"
    )


def test_a_pool_that_is_not_there(ceph: Cluster) -> None:
    told = refusal(ceph.store(pool="absent"))
    assert told == (
        f"can't write rbd:absent/{UUID}_disk.config: there is no pool absent;"
        " create it, or correct [libvirt] images_rbd_pool=absent"
    )


@pytest.fixture
def pool(ceph: Cluster) -> Callable[[], str]:
    """Make a pool that the compute service has no rights on."""

    def make(name: str = "strange") -> str:
        ceph.ceph("osd", "pool", "create", name, "8", "--size", "1")
        ceph.rbd("pool", "init", name)
        return name

    return make


def test_a_pool_without_rights(ceph: Cluster, pool: Callable[[], str]) -> None:
    store = ceph.store()
    assert store.exists(UUID) is False
    # It wasn't there when the kept connection was made.
    told = refusal(ceph.store(pool=pool()))
    assert told == (
        f"can't write rbd:strange/{UUID}_disk.config: permission denied to"
        " [libvirt] rbd_user=compute; client.compute needs the capabilities"
        " mon 'profile rbd' and osd 'profile rbd pool=strange'"
        " (ceph auth caps)"
    )


def test_rights_that_are_granted_later_hold_at_once(
    ceph: Cluster, tmp_path: Path
) -> None:
    mon = ("mon", "profile rbd")
    keyring = tmp_path / "keyring"
    keyring.write_text(ceph.ceph("auth", "get-or-create", "client.late", *mon))
    path = ceph.configuration(tmp_path / "ceph.conf", keyring=str(keyring))
    store = ceph.store(ceph_conf=path, user="late")
    assert "denied to [libvirt] rbd_user=late" in refusal(store)
    osd = ("osd", f"profile rbd pool={ceph.pool}")
    ceph.ceph("auth", "caps", "client.late", *mon, *osd)
    assert store.exists(UUID) is False


def test_a_name_that_is_not_utf_8(ceph: Cluster, store: RbdStore) -> None:
    name = b"compute/caf\xe9"
    ceph.rbd("create", "--size", "1", os.fsdecode(name))
    try:
        with pytest.raises(StoreError) as caught:
            list(store.drives())
        assert str(caught.value).endswith("; rename it")
        assert "has a volume whose name isn't UTF-8" in str(caught.value)
    finally:
        ceph.rbd("rm", os.fsdecode(name))


def test_a_pool_that_came_after_the_connection(
    ceph: Cluster, pool: Callable[[str], str], tmp_path: Path
) -> None:
    keyring = tmp_path / "keyring"
    keyring.write_text(
        ceph.ceph(
            "auth", "get-or-create", "client.later", "mon", "profile rbd",
            "osd", "profile rbd pool=later, profile rbd pool=compute",
        )
    )  # fmt: skip
    conf = ceph.configuration(tmp_path / "ceph.conf", keyring=str(keyring))
    options = {"user": "later", "ceph_conf": conf}
    assert ceph.store(**options).exists(UUID) is False
    store = ceph.store(pool=pool("later"), **options)
    location = store.write(UUID, b"d" * 512)
    assert store.read(location, 512) == b"d" * 512
    assert store.delete(UUID) is True


def test_a_pool_at_its_quota(
    ceph: Cluster, pool: Callable[[str], str], tmp_path: Path
) -> None:
    name = pool("full")
    ceph.ceph("osd", "pool", "set-quota", name, "max_objects", "1")
    keyring = tmp_path / "keyring"
    keyring.write_text(
        ceph.ceph(
            "auth", "get-or-create", "client.full", "mon", "profile rbd",
            "osd", "profile rbd pool=full",
        )
    )  # fmt: skip
    conf = ceph.configuration(tmp_path / "ceph.conf", keyring=str(keyring))
    store = ceph.store(
        pool=name, user="full", ceph_conf=conf, operation_timeout=SHORT
    )

    def is_full() -> bool:
        pools = ceph.ask("osd", "pool", "ls", "detail")
        [flags] = [p["flags_names"] for p in pools if p["pool_name"] == name]
        return "full_quota" in flags

    eventually(is_full)
    start = time.monotonic()
    told = refusal(store)
    assert time.monotonic() - start < 10 * SHORT
    assert told == (
        f"can't write rbd:full/{UUID}_disk.config: no answer within"
        f" [cfgdrive_virt] rbd_operation_timeout={SHORT} seconds; the pool may"
        " be full or at its quota, or its OSDs down (ceph health detail)."
        "  A requested change may still take effect"
    )
    assert store.exists(UUID) is False
    ceph.ceph("osd", "pool", "set-quota", name, "max_objects", "0")
    eventually(lambda: not is_full())
    patient = ceph.store(pool=name, user="full", ceph_conf=conf)
    location = patient.write(UUID, b"d" * 512)
    assert store.read(location, 512) == b"d" * 512


def test_librados_itself_prints_nothing(ceph: Cluster, tmp_path: Path) -> None:
    path = ceph.configuration(tmp_path / "ceph.conf", keyring="/nonexistent")
    program = (
        "from cfgdrive_virt.store.ceph.store import RbdStore\n"
        "try:\n"
        f"    RbdStore(pool='compute', user='compute', ceph_conf={path!r},"
        " connect_timeout=5, operation_timeout=5).exists('')\n"
        "except Exception as error:\n"
        "    print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("StoreError\n", "")


def test_a_volume_with_a_damaged_header_stops_no_list(
    ceph: Cluster, store: RbdStore
) -> None:
    for uuid in (UUID, OTHER_UUID):
        store.write(uuid, b"x" * 4096)
    volume = ceph.identifier(f"{UUID}_disk.config")
    header = ("-p", ceph.pool, "setomapval", f"rbd_header.{volume}")
    try:
        ceph.admin("rados", *header, "size", "x")
        found = {drive.location.uuid: drive for drive in store.drives()}
        assert "can't access rbd:compute/" in found[UUID].problem
        assert found[OTHER_UUID].size == 4096
        assert not found[OTHER_UUID].problem
    finally:
        ceph.empty()
