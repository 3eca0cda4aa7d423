"""Whatever a tree or a request holds, the readers see that or there is none.

The names of our own trees are plain; that any name within the limits is kept
to the letter is what the image promises to whoever adds one.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.exception import ImageError, InvalidRequest
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.metadata.openstack import build_tree
from cfgdrive_virt.model.tree import MetadataTree

from . import readers, strategies
from .instances import TIMESTAMP, minimal

Reader = Callable[[Path], dict[str, bytes]]


def read_back(data: bytes, *through: Reader) -> list[dict[str, bytes]]:
    """Return what each reader finds in an image."""
    # Not tmp_path: hypothesis would share it between examples.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "disk.config")
        path.write_bytes(data)
        return [reader(path) for reader in through]


def image_of(files: dict[str, bytes]) -> bytes:
    return iso9660.build(
        MetadataTree(files), label="config-2", timestamp=TIMESTAMP
    ).data


@settings(strategies.PROPERTY, max_examples=150)
@given(strategies.trees())
def test_rock_ridge_and_joliet_keep_every_name_to_the_letter(
    files: dict[str, bytes],
) -> None:
    through = (
        readers.bsdtar_rock_ridge,
        readers.xorriso_rock_ridge,
        readers.xorriso_joliet,
    )
    for found in read_back(image_of(files), *through):
        assert found == files


@settings(strategies.PROPERTY, max_examples=40)
@given(strategies.trees())
def test_isoinfo_finds_every_name(files: dict[str, bytes]) -> None:
    assert read_back(image_of(files), readers.isoinfo_rock_ridge) == [files]


@settings(strategies.PROPERTY, max_examples=60)
@given(strategies.trees(strategies.names.filter(strategies.survives_7z)))
def test_7z_keeps_every_name_without_a_dot_at_its_end(
    files: dict[str, bytes],
) -> None:
    assert read_back(image_of(files), readers.seven_zip) == [files]


@settings(strategies.PROPERTY, max_examples=60)
@given(
    strategies.trees(strategies.names.filter(strategies.survives_libarchive))
)
def test_libarchive_keeps_every_name_of_joliet_that_is_nfc(
    files: dict[str, bytes],
) -> None:
    assert read_back(image_of(files), readers.bsdtar_joliet) == [files]


@settings(strategies.PROPERTY, max_examples=60)
@given(strategies.trees())
def test_equal_trees_make_equal_images(files: dict[str, bytes]) -> None:
    backwards = dict(reversed(files.items()))

    assert image_of(files) == image_of(backwards)


@settings(strategies.PROPERTY, max_examples=15)
@given(
    st.lists(strategies.names, min_size=5, max_size=10, unique=True),
    st.sampled_from(["", "x/"]),
)
def test_a_crowded_directory_is_read_whole(
    names: list[str], directory: str
) -> None:
    files = {
        f"{directory}{strategies.fitted(f'{number}{name}')}": name.encode()
        for number in range(40)
        for name in names
    }
    through = (readers.bsdtar_rock_ridge, readers.xorriso_joliet)

    for found in read_back(image_of(files), *through):
        assert found == files


def _around(bad: str) -> st.SearchStrategy[str]:
    plain = st.text("ab ", max_size=3)
    return st.builds(lambda left, right: left + bad + right, plain, plain)


@settings(strategies.PROPERTY)
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(st.sampled_from(["", ".", ".."]), id="not-a-name"),
        pytest.param(_around("\0"), id="nul"),
        pytest.param(_around("\n"), id="newline"),
        pytest.param(
            st.sampled_from([chr(code) for code in range(32)]).flatmap(
                _around
            ),
            id="control",
        ),
        pytest.param(
            st.sampled_from("*:;?\\").flatmap(_around), id="joliet-forbids"
        ),
        pytest.param(
            st.integers(65, 255).map(lambda size: "x" * size), id="too-long"
        ),
        pytest.param(
            st.integers(22, 85).map(lambda size: "€" * size),
            id="too-long-in-utf8",
        ),
        pytest.param(
            st.integers(17, 63).map(lambda size: "😀" * size),
            id="too-long-in-utf8-beyond-the-bmp",
        ),
    ],
)
@pytest.mark.parametrize("path", ["{}", "{}/file", "directory/{}", "a/{}/b"])
@given(data=st.data())
def test_a_name_beyond_the_limits_is_refused(
    path: str, names: st.SearchStrategy[str], data: st.DataObject
) -> None:
    files = {path.format(data.draw(names)): b"x", "other": b"y"}

    with pytest.raises(ImageError):
        image_of(files)


@pytest.mark.parametrize("directories", [8, 9, 50, 1000])
def test_a_file_too_deep_is_refused(directories: int) -> None:
    with pytest.raises(ImageError):
        image_of({"d/" * directories + "f": b""})


@pytest.mark.parametrize("path", ["/a", "a/", "a//b", "//", "a/../b", "./a"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ImageError):
        image_of({path: b""})


@pytest.mark.parametrize("path", ["\ud800", "a\udfff/b"])
def test_a_name_that_is_no_unicode_is_refused(path: str) -> None:
    with pytest.raises(ImageError):
        image_of({path: b""})


@settings(strategies.PROPERTY, max_examples=200)
@given(
    st.dictionaries(
        st.text("ab./\0\n*;\\é€😀x", max_size=300), st.just(b"x"), max_size=4
    )
)
def test_any_path_is_refused_or_kept(files: dict[str, bytes]) -> None:
    try:
        data = image_of(files)
    except ImageError:
        return
    assert read_back(data, readers.bsdtar_rock_ridge) == [files]


@settings(strategies.PROPERTY, max_examples=50)
@given(strategies.requests())
def test_any_request_makes_a_drive_that_is_read_back_whole(
    request: ConfigDriveRequest,
) -> None:
    tree = build(request)
    data = iso9660.build(tree, label="config-2", timestamp=TIMESTAMP).data
    through = (readers.bsdtar_rock_ridge, readers.xorriso_joliet)

    for found in read_back(data, *through):
        assert found == dict(tree.files)


@settings(strategies.PROPERTY, max_examples=50)
@given(strategies.requests())
def test_a_request_makes_the_same_drive_twice(
    request: ConfigDriveRequest,
) -> None:
    first = iso9660.build(
        build(request), label="config-2", timestamp=TIMESTAMP
    )

    assert (
        iso9660.build(build(request), label="config-2", timestamp=TIMESTAMP)
        == first
    )


@settings(strategies.PROPERTY, max_examples=80)
@given(strategies.requests())
def test_every_json_file_is_standard_json_in_ascii(
    request: ConfigDriveRequest,
) -> None:
    for path, content in build(request).files.items():
        if path.endswith(".json"):
            json.loads(content.decode("ascii"), parse_constant=pytest.fail)


@settings(strategies.PROPERTY, max_examples=80)
@given(strategies.requests())
def test_meta_data_says_what_went_in(request: ConfigDriveRequest) -> None:
    meta_data = loaded(build(request), "openstack/latest/meta_data.json")
    devices = meta_data.pop("devices")
    first = request.network_config is not None
    expected: dict[str, Any] = {
        "uuid": request.uuid,
        "name": request.name,
        "hostname": request.hostname,
        "launch_index": request.launch_index,
        "availability_zone": request.availability_zone,
        "project_id": request.project_id,
        "dedicated_cpus": list(request.dedicated_cpus),
        "random_seed": base64.b64encode(request.random_seed or b"").decode(),
    }
    if request.metadata:
        expected["meta"] = dict(request.metadata)
    if request.admin_pass is not None:
        expected["admin_pass"] = request.admin_pass
    if request.keypairs:
        ssh = [key for key in request.keypairs if key.type == "ssh"]
        # Words are of one line.
        end = "\n" if len(ssh) > 1 else ""
        public = {key.name: f"{key.public_key}{end}" for key in ssh}
        if public:
            expected["public_keys"] = public
        expected["keys"] = [
            {
                "name": key.name,
                "type": key.type,
                "data": public.get(key.name, key.public_key),
            }
            for key in request.keypairs
        ]
    if first:
        expected["network_config"] = {
            "name": "network_config",
            "content_path": "/content/0000",
        }
    if request.injected_files:
        expected["files"] = [
            {"path": file.path, "content_path": f"/content/{number:04}"}
            for number, file in enumerate(request.injected_files, first)
        ]

    assert meta_data == expected
    assert [device.get("tags", []) for device in devices] == [
        list(device.tags) for device in request.devices
    ]


@settings(strategies.PROPERTY, max_examples=80)
@given(strategies.requests())
def test_content_and_user_data_are_the_bytes_that_went_in(
    request: ConfigDriveRequest,
) -> None:
    files = build(request).files
    contents = [file.content for file in request.injected_files]
    if request.network_config is not None:
        contents.insert(0, request.network_config)
    found = [
        content
        for path, content in files.items()
        if path.startswith("openstack/content/")
    ]

    assert found == contents
    assert files.get("openstack/latest/user_data") == request.user_data
    assert files.get("ec2/latest/user-data") == request.user_data


@settings(strategies.PROPERTY, max_examples=80)
@given(strategies.requests())
def test_vendor_data_says_what_went_in(request: ConfigDriveRequest) -> None:
    tree = build(request)
    static = loaded(tree, "openstack/latest/vendor_data.json")
    targets = loaded(tree, "openstack/latest/vendor_data2.json")
    given = {} if request.vendor_data is None else request.vendor_data

    assert static == thawed(given)
    assert targets == thawed(request.vendor_data2) | {"static": static}


@pytest.mark.parametrize("depth", [500, 900])
@pytest.mark.parametrize("field", ["vendor_data", "vendor_data2"])
def test_vendor_data_too_deep_is_an_invalid_request(
    field: str, depth: int
) -> None:
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]

    with pytest.raises(InvalidRequest):
        dataclasses.replace(minimal(), **{field: {"a": deep}})


@settings(strategies.PROPERTY, max_examples=80)
@given(strategies.requests())
def test_no_request_decides_on_a_name(request: ConfigDriveRequest) -> None:
    for path in build(request).files:
        top, version, name = path.split("/")
        assert top in ("openstack", "ec2")
        assert version in ("content", "latest") or version[0] in "12"
        assert name in _NAMES or name.isdigit()


_NAMES = {
    "meta_data.json", "user_data", "vendor_data.json", "vendor_data2.json",
    "network_data.json", "meta-data.json", "user-data",
}  # fmt: skip


def build(request: ConfigDriveRequest) -> MetadataTree:
    assert request.random_seed is not None
    return build_tree(request, random_seed=request.random_seed)


def loaded(tree: MetadataTree, path: str) -> Any:
    return json.loads(tree.files[path])


def thawed(value: Any) -> Any:
    """Return frozen JSON as a parser gives it."""
    if isinstance(value, (list, tuple)):
        return [thawed(item) for item in value]
    if hasattr(value, "items"):
        return {key: thawed(item) for key, item in value.items()}
    return value
