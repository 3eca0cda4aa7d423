"""What files share is written once, and may be read back."""

from __future__ import annotations

import pytest

from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model.tree import MetadataTree


@pytest.mark.parametrize("copies", [1, 21, 64, 65, 200])
def test_content_is_read_back_however_many_share_it(copies: int) -> None:
    tree = MetadataTree({f"{n}": b"x" * 300_000 for n in range(copies)})
    built = iso9660.build(tree, label="config-2", timestamp=0).data

    assert iso9660.read(built).tree.files == tree.files
    assert len(built) < (1 + (copies - 1) // 64) * 300_000 + 250_000
