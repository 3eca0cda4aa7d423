"""What a drive costs by the size of its content."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path

from bench import images, instance
from bench.measure import Cost, Way, measure
from cfgdrive_virt import ConfigDriveRequest, InjectedFile

#: MiB of one more file.
SIZES = (0, 1, 4, 9)

_MIB = 1 << 20
#: The ways whose costs are compared.
_NAMES = (images.KNOWN, images.GENISOIMAGE, images.NOVA, images.OURS)


def group(way: str, size: int) -> str:
    """Return the name of what is measured.

    :param way: the group of the same way without the file
    :param size: of the file in MiB
    """
    return f"{way}, {size} MiB more"


def measured(request: ConfigDriveRequest, repetitions: int) -> list[Cost]:
    """Return what images take that hold one more file, of random bytes."""
    costs: list[Cost] = []
    for size in SIZES:
        file = InjectedFile(path="/large", content=os.urandom(size * _MIB))
        files = (*request.injected_files, file)
        larger = dataclasses.replace(request, injected_files=files)
        with tempfile.TemporaryDirectory() as directory:
            found = images.ways(instance.instance_of(larger), Path(directory))
            ways = [
                Way(
                    group(way.group, size),
                    way.name,
                    way.run,
                    way.clean,
                    way.times,
                )
                for way in found
                if way.name in (*_NAMES, images.MCOPY)
            ]
            costs += measure(ways, repetitions)
    return costs
