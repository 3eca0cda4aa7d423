"""cloud-init: its data source ConfigDrive, and its network renderers."""

from __future__ import annotations

from cfgdrive_virt.readers.reader import Reader

CLOUD_INIT = Reader("cloud-init", "cloud-init with any of its renderers", ())
