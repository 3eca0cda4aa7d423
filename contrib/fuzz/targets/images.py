"""Images of both formats, as a guest or anybody else may have written them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from random import Random

from cfgdrive_virt import image as images
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import stamp
from cfgdrive_virt.metadata import layout_in
from cfgdrive_virt.model.drive import Contents
from fuzz import corpus, iso9660, mutate, others, vfat
from fuzz.limits import Hang
from fuzz.target import Target, Violation

#: The largest accepted multiple of an image's size that its files have.
_MOST_SHOWN = 64
_MOST_LABEL = 32
_LARGE = 1 << 20
#: Files of a tree that is built again: pycdlib takes 0.1 ms for each.
_MOST_REBUILT = 1000


class _Images(Target):
    """Images of one format."""

    def mutate(
        self, data: bytes, chance: Random, pool: Sequence[bytes]
    ) -> bytes:
        """Change structures, bytes, or both; now and then seal it again."""
        changed = data
        kind = chance.random()
        if kind < 0.75:
            changed = self._structures(data, chance)
        if kind > 0.65:
            some = bytearray(changed)
            mutate.mutate(some, chance, pool, mutate.IN_PLACE)
            changed = bytes(some)
        if kind > 0.97:
            some = bytearray(changed)
            mutate.mutate(some, chance, pool, mutate.OF_SIZE, 1)
            changed = bytes(some)
        return seal(changed, chance) if chance.random() < 0.1 else changed

    def run(self, data: bytes) -> str:
        """Read an image; rebuild it; have others read it."""
        contents = images.read(data)
        files = contents.tree.files
        shown = sum(map(len, files.values()))
        if shown > _MOST_SHOWN * len(data):
            raise Violation(f"{shown:,} bytes of {len(data):,}")
        if len(contents.label) > _MOST_LABEL:
            raise Violation(f"a label of {len(contents.label):,} characters")
        if len(files) <= _MOST_REBUILT and self.sampled(data, 16):
            _rebuild(contents)
        if self.sampled(data, 2000):
            self._compare(data, contents)
        sealed = contents.stamp is not None and contents.is_as_built
        size = len(files).bit_length()
        return f"{contents.format} {contents.ours} {sealed} {size}"

    def _structures(self, data: bytes, chance: Random) -> bytes:
        raise NotImplementedError

    def _by_others(self, data: bytes) -> dict[str, bytes] | None:
        """Return the files that another program finds; None if it can't."""
        raise NotImplementedError

    def _compare(self, data: bytes, contents: Contents) -> None:
        """Compare the contents of files that another program finds, too.

        Which names a damaged image gives may depend on the reader: on its
        code page, and on whether it believes a wrong checksum.  bsdtar cuts
        files that overlap.
        """
        theirs = self._by_others(data) or {}
        paths = [
            path
            for path, content in contents.tree.files.items()
            if len(content) == len(theirs.get(path, b""))
            and content != theirs.get(path, b"")
        ]
        if paths:
            raise Violation(f"another reader has other bytes: {paths[:3]!a}")


class Iso9660(_Images):
    """ISO9660 images."""

    name = "iso9660"

    def corpus(self) -> list[bytes]:
        """Return images of ours and of genisoimage."""
        # Small ones more often: more inputs in a second.
        small = corpus.iso9660()[3:]
        return [*corpus.iso9660(), *small, *small]

    def _structures(self, data: bytes, chance: Random) -> bytes:
        return iso9660.mutate_structures(data, chance)

    def _by_others(self, data: bytes) -> dict[str, bytes] | None:
        return others.bsdtar(data)


class Vfat(_Images):
    """VFAT images."""

    name = "vfat"

    def corpus(self) -> list[bytes]:
        """Return images of ours and of mkfs.vfat and mtools."""
        # The image of FAT16 is larger: fewer inputs of it in a second.
        small = [one for one in corpus.vfat() if len(one) < _LARGE]
        return [*corpus.vfat(), *small, *small]

    def _structures(self, data: bytes, chance: Random) -> bytes:
        return vfat.mutate_structures(data, chance)

    def _by_others(self, data: bytes) -> dict[str, bytes] | None:
        return others.mtools(data)


def seal(data: bytes, chance: Random) -> bytes:
    """Return an image with the stamp of the files that it has now."""
    try:
        contents = images.read(data)
    # Whatever the reader can't take is an input for the target.
    except (Exception, Hang):
        return data
    layout = layout_in(contents.tree.files)
    without = chance.choice(((), (), ("admin_pass",), ("user_data", "x")))
    with contextlib.suppress(ImageError):
        tree = contents.tree.below(layout.own)
        changed = bytearray(data)
        at = stamp.OFFSETS[contents.format]
        mutate.put(changed, at, stamp.encode(tree, without))
        return bytes(changed)
    return data


def _rebuild(contents: Contents) -> None:
    """Build the same files again, and read them back."""
    try:
        again = corpus.image(contents.tree, contents.format)
    except ImageError:
        # What others may write is more than what we write.
        return
    if images.read(again).tree != contents.tree:
        raise Violation("rebuilt and read again, it has other files")
