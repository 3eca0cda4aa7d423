"""XML as we want it, in files: tests/unit/libvirt_xml/golden/*.xml.

Where a change is meant, write them anew and read the difference:

    CFGDRIVE_VIRT_REGENERATE=1 pytest tests/unit/libvirt_xml && git diff
"""

from __future__ import annotations

import os
from pathlib import Path

_DIRECTORY = Path(__file__).with_name("golden")


def assert_is_golden(xml: str, name: str) -> None:
    """Compare with a golden file, or write it."""
    path = _DIRECTORY / f"{name}.xml"
    if os.environ.get("CFGDRIVE_VIRT_REGENERATE"):
        path.write_text(xml, encoding="utf-8")
    assert xml == path.read_text(encoding="utf-8")
