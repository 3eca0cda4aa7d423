"""Instances, documents and secrets that the tests share: plain values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from oslo_config import cfg

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.conf import register_opts
from cfgdrive_virt.model.settings import Settings
from cfgdrive_virt.settings import read_settings

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "etc" / "instance.sample.yaml"

UUID = "83679162-1378-4288-a2d4-70e13ec132aa"
OTHER_UUID = "00000000-0000-4000-8000-00000000000a"
MAC = "fa:16:3e:ed:9a:59"
SEED = b"seed"

#: What the sample instance holds that nobody is to see by accident.
SECRETS = (
    "correct horse battery staple",
    "AAAAC3NzaC1lZDI1NTE5",
    "hello from user data",
    "timezone: Etc/UTC",
    "r12",
    "Welcome to web-1.",
    "AAECAwQF",
    "c2FtcGxlIHNlZWQ6",
    "never use it for a real instance",
)


def document(**fields: Any) -> dict[str, Any]:
    """Return an instance's document: the least, and these fields."""
    return {"uuid": UUID, "name": "web-1", "hostname": "web-1"} | fields


def request(**fields: Any) -> ConfigDriveRequest:
    """Return an instance of which the least is told, and these fields."""
    return ConfigDriveRequest(**document(**fields))


def wanted(**fields: Any) -> ConfigDriveRequest:
    """Return an instance that asks for a drive, always the same one."""
    return request(config_drive=True, random_seed=SEED, **fields)


def settings(**fields: Any) -> Settings:
    """Return the defaults of all options, and these values."""
    conf = cfg.ConfigOpts()
    conf(args=[], default_config_files=[], default_config_dirs=[])
    register_opts(conf)
    return dataclasses.replace(read_settings(conf), **fields)


def secrets_in(text: str) -> list[str]:
    """Return the sample's secrets that a text gives away."""
    return [secret for secret in SECRETS if secret in text]


def state_of(path: Path) -> tuple[int, int, int]:
    """Return what changes with a file, and not if somebody reads it."""
    status = path.stat()
    return status.st_ino, status.st_ctime_ns, status.st_size


def nested(depth: int) -> Any:
    """Return a mapping in a mapping in a ..., so many times."""
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value
