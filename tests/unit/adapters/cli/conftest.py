"""The command, and what it works on."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cfgdrive_virt.adapters.cli.main import main
from cfgdrive_virt.readers import READERS

from ...processes import command
from ...samples import SAMPLE
from .commands import ODD, PLAIN, Real, Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process; a traceback fails the test."""
    monkeypatch.chdir(tmp_path)
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    for name in ("SOURCE_DATE_EPOCH", "LIBVIRT_DEFAULT_URI"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: Any, data: bytes | None = None) -> Result:
        try:
            result = CliRunner().invoke(main, list(map(str, arguments)), data)
        finally:
            # The command takes them for itself.
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if result.exception is not None:
            assert isinstance(result.exception, SystemExit), result.exc_info
        return result

    return run


@pytest.fixture
def two_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two readers only, of which images with os_distro=odd have one."""
    # They come back in the reverse order.
    for name in reversed(list(READERS)):
        monkeypatch.delitem(READERS, name)
    for reader in (PLAIN, ODD):
        monkeypatch.setitem(READERS, reader.name, reader)
    for module in ("adapters.cli.drives", "driver.planner"):
        monkeypatch.setattr(
            f"cfgdrive_virt.{module}.likely",
            lambda of: (ODD if of.get("os_distro") == "odd" else PLAIN,),
        )


@pytest.fixture
def real(tmp_path: Path) -> Real:
    """Run the command in a process of its own."""

    def real(
        *arguments: Any, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        given: dict[str, Any] = {"stdout": subprocess.PIPE, "cwd": tmp_path}
        done = subprocess.run(
            command(*map(str, arguments)),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
            **given | options,
        )
        assert "Traceback" not in done.stderr
        return done

    return real


@pytest.fixture(params=["iso9660", "vfat"])
def image_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def image(run: Run, tmp_path: Path, image_format: str) -> Path:
    """The sample's drive."""
    options = ("-o", "drive", "--format", image_format)
    assert run("build", SAMPLE, *options).exit_code == 0
    return tmp_path / "drive"


@pytest.fixture
def nova_conf(tmp_path: Path, instances: Path) -> Path:
    path = tmp_path / "nova.conf"
    path.write_text(f"[DEFAULT]\ninstances_path = {instances}\n")
    return path
