"""A drive of a known shape is byte for byte what pycdlib makes of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from random import Random

import pytest

from cfgdrive_virt import image
from cfgdrive_virt.exception import ImageError
from cfgdrive_virt.image import iso9660
from cfgdrive_virt.image.iso9660 import reader, template, writer
from cfgdrive_virt.model.tree import MetadataTree

#: Around the boundaries of a sector.
SIZES = (1, 2, 2047, 2048, 2049, 4095, 4096, 4097, 6144, 20_000)
LAST = 2**32 - 1


@pytest.fixture(autouse=True)
def no_templates() -> Iterator[None]:
    forget()
    yield
    forget()


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
    kept = template.TEMPLATES.kept
    forget()
    try:
        return built(files, timestamp, without)
    finally:
        template.TEMPLATES.kept = kept


def forget() -> None:
    template.TEMPLATES.kept = {}


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
            assert len(template.TEMPLATES.kept) <= template.MAX_KEPT
            same = built(files, timestamp, without) == mastered(
                files, timestamp, without
            )
            assert same, files


@pytest.mark.parametrize("seed", range(5))
def test_an_image_of_a_known_shape_is_read_as_any_other(seed: int) -> None:
    chance = Random(seed)
    for _ in range(40):
        files = a_shape(chance)
        data = built(files, 1)
        known = template.TEMPLATES.read(data)
        assert known == reader.read(data)
        assert known is not None
        assert dict(known.tree.files) == files
        others = other_contents(files, chance)
        data = built(others, LAST, ("user_data",))
        assert template.TEMPLATES.read(data) == reader.read(data)


def outcome(read: Callable[[bytes], object], data: bytes) -> object:
    try:
        return read(data)
    except ImageError:
        return "refused"


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_image_is_read_as_without_templates(seed: int) -> None:
    chance = Random(seed)
    files = a_shape(chance) | {"p": b"1" * 3000, "q": b"2", "r": b"2"}
    whole = built(files)
    recognized = 0
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3))):
            at = chance.randrange(16 * 2048, len(data))
            data[at] = chance.choice((0, 1, 255, data[at] ^ 1, data[at] ^ 128))
        changed = bytes(data[: chance.choice((len(data),) * 9 + (at,))])
        found = template.TEMPLATES.read(changed)
        if found is not None:
            recognized += 1
            assert found == outcome(reader.read, changed)
    # Changes of contents and of the stamp leave an image recognizable.
    assert 0 < recognized < 1500


def test_an_image_that_shares_too_much_is_left_to_the_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = built({"a": b"1" * 11, "b": b"1" * 11, "c": b"1" * 11})
    assert template.TEMPLATES.read(data) is not None
    monkeypatch.setattr(template, "MAX_SHARED", 21)
    assert template.TEMPLATES.read(data) is None


def test_a_drive_that_is_as_it_should_be_makes_its_shape_known() -> None:
    data = built({"a": b"1", "b": b"2"})
    forget()
    image.remember(image.read(data))
    assert template.TEMPLATES.read(data) is not None


def test_no_shape_is_mastered_only_to_be_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mastered_for = []
    real = writer._mastered
    monkeypatch.setattr(
        writer,
        "_mastered",
        lambda tree, label: mastered_for.append(tree) or real(tree, label),
    )
    # Too large to be kept, what can't be built, and beyond the number kept.
    large = MetadataTree({f"{n}/x": b"" for n in range(300)})
    for _ in range(3):
        iso9660.remember(large, "config-2")
        iso9660.remember(MetadataTree({"a" * 99: b""}), "config-2")
        iso9660.remember(MetadataTree({"a": b""}), "c\ufffd" * 40)
    assert mastered_for.count(large) == 1
    for number in range(template.MAX_KEPT + 5):
        iso9660.remember(MetadataTree({f"{number}": b""}), "config-2")
    assert len(template.TEMPLATES.kept) == template.MAX_KEPT
    count = len(mastered_for)
    iso9660.remember(MetadataTree({"new": b""}), "config-2")
    assert len(mastered_for) == count


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
    assert len(template.TEMPLATES.kept) == 2


def test_the_label_belongs_to_the_shape() -> None:
    tree = MetadataTree({"a": b"1"})
    iso9660.build(tree, label="config-2", timestamp=0)
    data = iso9660.build(tree, label="cidata", timestamp=0).data
    assert data[16 * 2048 + 40 :].startswith(b"cidata ")


def templates() -> Iterator[template.Template]:
    yield from filter(None, template.TEMPLATES.kept.values())


def test_a_template_is_the_same_whatever_the_drive_holds() -> None:
    made = []
    for secret, without in ((b"hunter2" * 9999, ()), (b"x", ("user_data",))):
        forget()
        built({"a/b": secret, "a/c": b"", "d": secret + b"!"}, 7, without)
        made += templates()
    assert made[0] == made[1]
    assert b"hunter2" not in b"".join(made[0].parts)


def test_the_number_and_the_size_of_templates_are_limited() -> None:
    for number in range(template.MAX_KEPT + 5):
        built({f"{number}": b"1"})
    assert len(list(templates())) == template.MAX_KEPT
    # The oldest ones are gone.
    assert next(shape[1][0][0] for shape in template.TEMPLATES.kept) == "5"

    large = {f"{n}/x": b"" for n in range(300)}
    built(large)
    assert len(list(templates())) == template.MAX_KEPT - 1
    assert all(kept.first * 2048 <= template.MAX_SIZE for kept in templates())
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
