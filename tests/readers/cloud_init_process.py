"""A process that reads drives with the cloud-init on its path.

For each line of JSON on its input, a tree of files and the MACs of a guest's
NICs, it prints one: what cloud-init makes of them.  One process has one
release of cloud-init, so that a test can ask several.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from cloudinit import helpers, net, subp, util
from cloudinit.config import schema
from cloudinit.distros.networking import LinuxNetworking
from cloudinit.net import (
    eni,
    netplan,
    network_manager,
    network_state,
    networkd,
    sysconfig,
)
from cloudinit.sources import DataSourceConfigDrive

#: Its distributions' settings: distros/debian.py and distros/rhel.py.
_SYSCONFIG = {
    "control": "etc/sysconfig/network",
    "iface_templates": "%(base)s/network-scripts/ifcfg-%(name)s",
    "route_templates": {
        "ipv4": "%(base)s/network-scripts/route-%(name)s",
        "ipv6": "%(base)s/network-scripts/route6-%(name)s",
    },
}
_RENDERERS = {
    "eni": lambda: eni.Renderer({"eni_path": "etc/network/interfaces"}),
    # The features that it would ask netplan for change nothing here.
    "netplan": lambda: netplan.Renderer(
        {"netplan_path": "etc/netplan/50-cloud-init.yaml", "features": ["-"]}
    ),
    "networkd": networkd.Renderer,
    "network-manager": network_manager.Renderer,
    "sysconfig": lambda: sysconfig.Renderer(_SYSCONFIG),
}


def _isolate() -> None:
    """Let cloud-init neither see nor change this machine."""
    DataSourceConfigDrive.on_first_boot = lambda *_, **__: None
    DataSourceConfigDrive.find_candidate_devs = lambda **_: ["/dev/sr0"]
    util.chownbyname = lambda *_: None
    util.udevadm_settle = lambda *_, **__: None
    subp.which = lambda program, **_: f"/sbin/{program}"
    net.get_ib_hwaddrs_by_interface = dict
    net.get_ib_interface_hwaddr = lambda *_: None
    # Only its log has this, and it takes most of the time.
    network_state.NetworkStateInterpreter.dump_network_state = lambda _: ""


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what cloud-init makes of a drive.

    ``read``: whether it uses the drive; ``metadata``, ``keys``, ``userdata``
    and ``vendordata`` of it; ``config``: the network's, None without any;
    ``schema``: what its schema refuses in that, if this release has one;
    ``rendered``: by renderer, the files, or the error; ``error``: what ended
    it before that.
    """
    result: dict[str, Any] = {"read": False, "rendered": {}, "error": ""}
    nics = [(name, mac, "virtio_net", "0x1") for name, mac in asked["nics"]]
    net.get_interfaces = lambda *_, **__: nics
    with tempfile.TemporaryDirectory() as directory:
        for path, content in asked["files"].items():
            file = Path(directory, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(content))
        util.mount_cb = lambda _device, function, **_: function(directory)
        paths = helpers.Paths({"cloud_dir": "/nonexistent"})
        source = DataSourceConfigDrive.DataSourceConfigDrive({}, None, paths)
        try:
            result["read"] = source._get_data()
            if not result["read"]:
                return result
            result |= {
                "metadata": source.metadata,
                "keys": source.get_public_ssh_keys(),
                "userdata": source.userdata_raw,
                "vendordata": [source.vendordata_raw, source.vendordata2_raw],
                "config": source.network_config,
            }
            if result["config"]:
                LinuxNetworking().wait_for_physdevs(result["config"])
        except Exception as error:
            result["error"] = repr(error)
            return result
    if result["config"]:
        result["schema"] = _schema(result["config"])
        for name in asked["renderers"]:
            result["rendered"][name] = _rendered(name, result["config"])
    return result


def _schema(config: dict[str, Any]) -> str:
    kind = getattr(getattr(schema, "SchemaType", None), "NETWORK_CONFIG", None)
    if kind is None:
        return ""
    try:
        schema.validate_cloudconfig_schema(
            config, schema_type=kind, strict=True
        )
    except schema.SchemaValidationError as error:
        return str(error)
    return ""


def _rendered(name: str, config: dict[str, Any]) -> dict[str, str] | str:
    renderer = _RENDERERS[name]()
    with tempfile.TemporaryDirectory() as target:
        try:
            state = network_state.parse_net_config_data(
                config, renderer=renderer
            )
            renderer.render_network_state(state, target=target)
        except Exception as error:
            return repr(error)
        return {
            str(path.relative_to(target)): path.read_text()
            for path in Path(target).rglob("*")
            if path.is_file()
        }


def main() -> None:
    _isolate()
    for line in sys.stdin:
        answered = json.dumps(answer(json.loads(line)), default=repr)
        sys.stdout.write(f"{answered}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
