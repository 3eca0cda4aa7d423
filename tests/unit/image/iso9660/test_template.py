"""A drive of a known shape is byte for byte what pycdlib makes of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from random import Random

import pytest

from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.image.iso9660 import template, writer
from cfgdrive_virt.model.tree import MetadataTree

#: Around the boundaries of a sector.
SIZES = (1, 2, 2047, 2048, 2049, 4095, 4096, 4097, 6144, 20_000)
LAST = 2**32 - 1


@pytest.fixture(autouse=True)
def no_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_templates", template.Templates())


def built(
    files: dict[str, bytes], timestamp: int = 0, without: tuple[str, ...] = ()
) -> bytes:
    return iso9660.build(
        MetadataTree(files),
        label="config-2",
        timestamp=timestamp,
        without=without,
    ).data


def mastered(
    files: dict[str, bytes], timestamp: int = 0, without: tuple[str, ...] = ()
) -> bytes:
    """Build a drive of a shape that isn't known: by pycdlib."""
    kept, writer._templates = writer._templates, template.Templates()
    try:
        return built(files, timestamp, without)
    finally:
        writer._templates = kept


def a_shape(chance: Random) -> dict[str, bytes]:
    names = ["d", "a", "x" * chance.randint(2, 60), "é" * chance.randint(1, 9)]
    pool = [chance.randbytes(chance.choice(SIZES)) for _ in range(6)] + [b""]
    found = {}
    for number in range(chance.randint(1, 20)):
        above = chance.choices(names, k=chance.choice((0, 0, 1, 2, 4)))
        name = f"{number}{'n' * chance.choice((0, 3, 30, 61))}"
        found["/".join([*above, name])] = chance.choice(pool)
    return found


def other_contents(
    files: dict[str, bytes], chance: Random
) -> dict[str, bytes]:
    """Replace contents: files that share one do so again, empty ones stay."""
    others = {
        content: content
        and chance.randbytes(chance.choice(SIZES)) + b"%d" % number
        for number, content in enumerate(sorted(set(files.values())))
    }
    return {path: others[content] for path, content in files.items()}


@pytest.mark.parametrize("seed", range(10))
def test_a_known_shape_gives_the_bytes_of_pycdlib(seed: int) -> None:
    chance = Random(seed)
    for _ in range(100):
        files = a_shape(chance)
        built(files)
        for _ in range(2):
            files = other_contents(files, chance)
            timestamp = chance.randint(0, LAST)
            without = chance.choice(((), ("admin_pass",)))
            assert len(writer._templates._kept) <= template.MAX_KEPT
            same = built(files, timestamp, without) == mastered(
                files, timestamp, without
            )
            assert same, files


def test_a_known_shape_of_500_directories() -> None:
    chance = Random(0)
    files = {f"d{n}/e{n % 7}/f": chance.randbytes(n) for n in range(500)}
    built(files)
    files = other_contents(files, chance)

    assert built(files, LAST) == mastered(files, LAST)


@pytest.mark.parametrize(
    "other",
    [
        {"a/b": b"1", "a/c": b"1"},
        {"a/b": b"1", "a/c": b""},
        {"a/b": b"1", "a/d": b"2"},
        {"a/b": b"1"},
        {"a": b"1", "b": b"2"},
    ],
    ids=["shared", "empty", "renamed", "fewer", "above"],
)
def test_another_shape_is_another_template(other: dict[str, bytes]) -> None:
    built({"a/b": b"1", "a/c": b"2"})
    assert built(other) == mastered(other)
    assert len(writer._templates._kept) == 2


def test_the_label_belongs_to_the_shape() -> None:
    tree = MetadataTree({"a": b"1"})
    iso9660.build(tree, label="config-2", timestamp=0)
    data = iso9660.build(tree, label="cidata", timestamp=0).data
    assert data[16 * 2048 + 40 :].startswith(b"cidata ")


def templates() -> Iterator[template.Template]:
    yield from writer._templates._kept.values()


def test_a_template_is_the_same_whatever_the_drive_holds() -> None:
    made = []
    for secret, without in ((b"hunter2" * 9999, ()), (b"x", ("user_data",))):
        writer._templates = template.Templates()
        built({"a/b": secret, "a/c": b"", "d": secret + b"!"}, 7, without)
        made += templates()
    assert made[0] == made[1]
    assert b"hunter2" not in b"".join(made[0].parts)


def test_the_number_and_the_size_of_templates_are_limited() -> None:
    for number in range(template.MAX_KEPT + 5):
        built({f"{number}": b"1"})
    assert len(list(templates())) == template.MAX_KEPT
    # The oldest ones are gone.
    assert next(shape[1][0][0] for shape in writer._templates._kept) == "5"

    large = {f"{n}{'x' * 55}": b"" for n in range(1200)}
    built(large)
    assert len(list(templates())) == template.MAX_KEPT
    assert all(kept.size <= template.MAX_SIZE for kept in templates())
    assert built(large) == mastered(large)


def test_shared_content_is_limited_in_a_known_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "MAX_SHARED", 10)
    built({"a": b"1", "b": b"1"})
    with pytest.raises(ImageError, match="shares content"):
        built({"a": b"1" * 11, "b": b"1" * 11})


def test_threads_build_shapes_at_the_same_time() -> None:
    wrong = []

    def build(seed: int) -> None:
        chance = Random(seed)
        for number in range(60):
            files = {f"{number % 40}": chance.randbytes(3000)}
            data = built(files)
            found = iso9660.read(data).tree.files
            if dict(found) != files:
                wrong.append(files)

    threads = [threading.Thread(target=build, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_forked_process_builds_known_and_new_shapes() -> None:
    expected = {name: mastered({name: b"1"}) for name in "ab"}
    built({"a": b"2"})
    child = os.fork()
    if not child:
        right = all(built({name: b"1"}) == expected[name] for name in "ab")
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
