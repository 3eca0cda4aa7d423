"""What files share is written once, and may be read back."""

from __future__ import annotations

import pytest

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.model.tree import MetadataTree


@pytest.mark.parametrize("copies", [1, 21, 64, 65, 200])
def test_content_is_read_back_however_many_share_it(copies: int) -> None:
    tree = MetadataTree({f"{n}": b"x" * 300_000 for n in range(copies)})
    built = iso9660.build(tree, label="config-2", timestamp=0).data

    assert iso9660.read(built).tree.files == tree.files
    assert len(built) < 300_000 + 500_000


def test_more_shared_content_than_is_read_is_refused() -> None:
    tree = MetadataTree({f"{n}": b"x" * 300_000 for n in range(300)})
    with pytest.raises(ImageError, match="use fewer or smaller ones"):
        iso9660.build(tree, label="config-2", timestamp=0)
