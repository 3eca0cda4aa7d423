"""What tests of more than one module start from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.adapters.cli import instance_file

from .logged import leaks, recorded, secrets_used

SAMPLE = Path(__file__).parents[1] / "etc" / "instance.sample.yaml"


@pytest.fixture(scope="session")
def sample() -> ConfigDriveRequest:
    """The instance of etc/instance.sample.yaml, which has everything."""
    return instance_file.load(SAMPLE.read_bytes(), str(SAMPLE))


@pytest.fixture(autouse=True)
def _no_secret_is_logged(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Look for the secrets of a test's requests in all that it logs."""
    path = tmp_path_factory.getbasetemp() / "log"
    path.unlink(missing_ok=True)
    sample: ConfigDriveRequest = request.getfixturevalue("sample")
    with recorded(path), secrets_used() as used:
        # The one that is made once for all.
        dataclasses.replace(sample)
        yield
    if request.node.path.name != "test_logged.py":
        assert leaks(path.read_bytes(), used) == []


@pytest.fixture
def instances(tmp_path: Path) -> Path:
    """An instances_path, empty."""
    path = tmp_path / "instances"
    path.mkdir()
    return path


@pytest.fixture
def conf(tmp_path: Path, instances: Path) -> Callable[..., cfg.ConfigOpts]:
    """Make the configuration that a nova.conf of this text gives."""

    def make(text: str = "") -> cfg.ConfigOpts:
        ours = tmp_path / "instances_path.conf"
        ours.write_text(f"[DEFAULT]\ninstances_path = {instances}\n")
        nova = tmp_path / "nova.conf"
        nova.write_text(text)
        made = cfg.ConfigOpts()
        made(
            args=[],
            project="nova",
            default_config_files=[str(ours), str(nova)],
            default_config_dirs=[],
        )
        return made

    return make
