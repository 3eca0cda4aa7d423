"""What a layout is: the files of a config drive, for one kind of reader.

A layout knows its volume label and its paths; how its files are made of a
request, checked and compared; what they say of a request that leaves things
open; and which of them hold secrets.  All others ask it, so that a layout is
one folder below ``metadata`` and one line in ``metadata.LAYOUTS``.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from cfgdrive_virt.exception import InvalidRequest, Problem
from cfgdrive_virt.metadata import compare, json_file
from cfgdrive_virt.metadata.compare import Difference
from cfgdrive_virt.model.request import (
    ConfigDriveRequest,
    InjectedFile,
    RenderedRequest,
)
from cfgdrive_virt.model.tree import MetadataTree
from cfgdrive_virt.model.value import show

#: Characters of a path in an error.
_LONGEST = 200


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What the driver and the settings add to a request.

    :param random_seed: bytes for the guest's entropy pool
    :param vendor_data: the deployment's static vendor data; a request's own
        vendor data replaces it
    :param vendor_data_static: whether vendor_data2.json has a ``static`` key
    :param dhcp_domain: the domain to append to the hostname
    :param skip_versions: versions of the ec2 tree to leave out
    :param one_address: of the static addresses that a link has in an IP
        version, list only the first one
    """

    random_seed: bytes = dataclasses.field(repr=False)
    vendor_data: Any = dataclasses.field(default=None, repr=False)
    vendor_data_static: bool = True
    dhcp_domain: str = ""
    skip_versions: Collection[str] = ()
    one_address: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Recalled:
    """What only an instance's drive still says.

    :param vendor_data2: target to JSON
    """

    admin_pass: str | None = dataclasses.field(default=None, repr=False)
    injected_files: tuple[InjectedFile, ...] = dataclasses.field(
        default=(), repr=False
    )
    vendor_data2: Mapping[str, Any] = dataclasses.field(
        default_factory=dict, repr=False
    )


class Layout(abc.ABC):
    """Base class of the layouts.

    Trees that a layout is given may come from a guest: it trusts nothing in
    them.

    :cvar name: the layout's name, for people
    :cvar label: the volume label by which readers find the drive: ASCII, at
        most 11 characters (VFAT)
    :cvar own: prefixes of the paths that belong to the layout.  A guest that
        may write to its drive may add other files
    """

    name: str
    label: str
    own: tuple[str, ...]

    @abc.abstractmethod
    def files(
        self, request: ConfigDriveRequest, additions: Additions
    ) -> MetadataTree:
        """Return all files of a request's drive; all lie below ``own``."""

    def left_out(
        self, request: ConfigDriveRequest, additions: Additions
    ) -> Iterator[tuple[str, str]]:
        """Yield what a request has and its drive doesn't: the field, and why.

        What readers would take wrongly is left out.
        """
        del request, additions
        yield from ()

    def rendered(self, request: RenderedRequest) -> MetadataTree:
        """Return the files that the compute service rendered.

        :raises InvalidRequest: if there are none, if one lies outside the
            layout's own paths, or if readers would refuse one: the error
            names file and key, never the content
        :raises ImageError: if a path is impossible on a drive
        """
        rule = f"must be below {' or '.join(self.own)}"
        problems = [
            Problem("files", show(path), rule)
            for path in request.files
            if not path.startswith(self.own)
        ]
        if not request.files:
            problem = Problem("files", "", "must be there to build a drive")
            problems.append(problem)
        if problems:
            raise InvalidRequest(problems)
        tree = MetadataTree(request.files)
        # Of too much JSON, the image's builder says what is too much.
        if json_file.excess(tree):
            return tree
        if refused := self.refused(tree):
            raise InvalidRequest(refused)
        return tree

    def refused(self, tree: MetadataTree) -> list[Problem]:
        """Return the reasons for which readers refuse what a service rendered.

        A service may write JSON that is read, and that no guest may write.
        """
        return [
            Problem(ascii(problem.path)[1:-1][:_LONGEST], "", problem.rule)
            for problem in self.problems(tree)
            if problem.rule != json_file.INVALID
            or not json_file.is_read_leniently(
                tree.files.get(problem.path, b"")
            )
        ]

    @abc.abstractmethod
    def problems(self, tree: MetadataTree) -> Iterable[Problem]:
        """Return the reasons for which readers would refuse a drive."""

    def differences(
        self, expected: MetadataTree, found: MetadataTree
    ) -> Iterator[Difference]:
        """Yield the differences of two trees that matter."""
        for difference in compare.differences(expected, found):
            if not self.ignores(difference):
                yield difference

    def ignores(self, difference: Difference) -> bool:
        """Tell whether this difference is allowed."""
        del difference
        return False

    def key(self, difference: Difference) -> str | None:
        """Return the name of a difference, the same one in all versions.

        None for a difference that does not make a drive stale.
        """
        return f"{difference.path} {difference.key}".rstrip()

    @abc.abstractmethod
    def recover(
        self, request: ConfigDriveRequest, tree: MetadataTree
    ) -> ConfigDriveRequest:
        """Return a request, with what it omits taken from its drive.

        That is what differs each time, such as random_seed, and what a
        service knows only once; and only what a request can hold.
        """

    @abc.abstractmethod
    def recall(self, uuid: str, tree: MetadataTree) -> Recalled:
        """Return what a service knows only when it makes an instance."""

    @abc.abstractmethod
    def random_seed(self, tree: MetadataTree) -> bytes | None:
        """Return the seed that a drive holds; None if it holds none."""

    @abc.abstractmethod
    def without(
        self, tree: MetadataTree, names: Collection[str]
    ) -> MetadataTree:
        """Return the tree that the request without some secrets gives.

        :param names: of ``model.request.ONE_SHOT``
        :raises ImageError: if a file that may hold one cannot be read
        """

    @abc.abstractmethod
    def is_secret(self, path: str, key: str = "") -> bool:
        """Tell whether a terminal must not show a file or a key's value.

        :param key: one key of a JSON file, at any depth; empty for the file
        """

    def is_newest(self, path: str) -> bool:
        """Tell whether a file belongs to the newest version of the layout."""
        del path
        return True
