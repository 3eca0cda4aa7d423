"""The targets of the fuzzer, by name."""

from __future__ import annotations

from fuzz.target import Target
from fuzz.targets.build import Build
from fuzz.targets.domain import DomainXml
from fuzz.targets.drive import Drive
from fuzz.targets.images import Iso9660, Vfat
from fuzz.targets.instance import InstanceFile
from fuzz.targets.notes import Notes

__all__ = ["TARGETS"]

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Iso9660(),
        Vfat(),
        Drive(),
        Build(),
        InstanceFile(),
        DomainXml(),
        Notes(),
    )
}
