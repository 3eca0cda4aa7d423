"""A short run of every target, and what the fuzzer finds in broken code."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import pytest
from fuzz import campaign, corpus, documents, iso9660, scratch, vfat, watch
from fuzz.limits import Limits
from fuzz.target import SECRET, Target, Violation, secret_in
from fuzz.targets import TARGETS, drive, images

from cfgdrive_virt import ConfigDriveDriver, image
from cfgdrive_virt.exception import ImageError, InvalidRequest, Problem

ROOT = Path(__file__).parents[2]
FOREVER = campaign.Bounds(seconds=1e9)

#: Inputs of each target: together a few seconds.
INPUTS = {
    "iso9660": 600, "vfat": 600, "drive": 50, "build": 100, "instance": 100,
    "domain": 600, "notes": 300,
}  # fmt: skip


class Planted(Target):
    """A target whose product does what a test wants."""

    name = "planted"
    limits = Limits(seconds=0.2, memory=1 << 20, factor=2, text=100)

    def __init__(self, product: Callable[[bytes], object]) -> None:
        self._product = product

    def corpus(self) -> list[bytes]:
        return [b"whole"]

    def mutate(
        self, data: bytes, chance: Random, pool: Sequence[bytes]
    ) -> bytes:
        del pool
        return data + chance.randbytes(1)

    def run(self, data: bytes) -> str:
        return str(self._product(data))


def refuse(text: str) -> Callable[[bytes], NoReturn]:
    def product(_data: bytes) -> NoReturn:
        raise ImageError(text)

    return product


def endless(_data: bytes) -> NoReturn:
    while True:
        pass


def hoard(_data: bytes) -> int:
    return len(bytearray(8 << 20))


def recurse(data: bytes) -> object:
    return recurse(data)


def log(text: str) -> Callable[[bytes], None]:
    def product(_data: bytes) -> None:
        logging.getLogger("cfgdrive_virt.x").debug("%s", text)

    return product


def fuzzed(target: Target, inputs: int, seed: str = "1") -> campaign.Result:
    bounds = campaign.Bounds(FOREVER.seconds, inputs)
    try:
        return campaign.fuzz(target, seed, bounds)
    finally:
        target.close()


def kinds(result: campaign.Result) -> list[str]:
    return sorted(kind.partition(":")[0] for kind in result.found)


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(name: str) -> None:
    result = fuzzed(TARGETS[name], INPUTS[name])

    assert result.found == {}
    assert result.inputs == INPUTS[name]
    # It gets behind the first check, and not always through all of them.
    assert 0 < result.accepted < result.inputs or name == "drive"
    assert len(result.kinds) > 5


@pytest.mark.parametrize("name", TARGETS)
def test_the_same_seed_gives_the_same_inputs(name: str) -> None:
    def digests(seed: str) -> list[str]:
        found: list[str] = []
        inputs = len(TARGETS[name].corpus()) + 15
        bounds = campaign.Bounds(FOREVER.seconds, inputs)
        campaign.fuzz(
            TARGETS[name],
            seed,
            bounds,
            lambda data: found.append(watch.digest(data)),
        )
        TARGETS[name].close()
        return found

    assert digests("1") == digests("1")
    assert digests("1") != digests("2")


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_accepted(name: str) -> None:
    target = TARGETS[name]
    for data in {*target.corpus()}:
        assert watch.judge(target, data).state == watch.ACCEPTED
    target.close()


@pytest.mark.parametrize(
    ("product", "kind"),
    [
        pytest.param(lambda data: data[99], "error", id="index-error"),
        pytest.param(recurse, "error", id="recursion"),
        pytest.param(endless, "hang", id="endless"),
        pytest.param(hoard, "memory", id="memory"),
        pytest.param(refuse(f"not {SECRET}"), "secret", id="secret"),
        pytest.param(refuse("a\x1b[1mb"), "text", id="unprintable"),
        pytest.param(refuse("two\nlines"), "text", id="lines"),
        pytest.param(refuse("x" * 101), "text", id="long"),
        pytest.param(refuse(""), "text", id="empty"),
        pytest.param(log(SECRET), "secret", id="secret-in-log"),
        pytest.param(log("a\nb"), "text", id="lines-in-log"),
    ],
)
def test_a_defect_is_found(
    product: Callable[[bytes], object], kind: str
) -> None:
    assert kinds(fuzzed(Planted(product), 1)) == [kind]


def test_a_broken_rule_is_found() -> None:
    def product(_data: bytes) -> NoReturn:
        raise Violation("another tree")

    assert kinds(fuzzed(Planted(product), 1)) == ["violation"]


@pytest.mark.parametrize(
    "product",
    [
        pytest.param(refuse("damaged: 'x' in sector 7"), id="refused"),
        pytest.param(len, id="accepted"),
        pytest.param(log("nothing special"), id="log"),
    ],
)
def test_what_is_as_it_should_be_is_no_finding(
    product: Callable[[bytes], object],
) -> None:
    assert fuzzed(Planted(product), 70).found == {}


def test_a_list_of_problems_may_have_lines() -> None:
    def product(_data: bytes) -> NoReturn:
        raise InvalidRequest(Problem(f"a[{n}]", "", "bad") for n in range(200))

    assert fuzzed(Planted(product), 1).found == {}


@pytest.mark.parametrize("name", ["iso9660", "vfat"])
def test_a_reader_that_breaks_at_a_mutation_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = image.read

    def broken(data: bytes) -> Any:
        contents = read(data)
        if "openstack/latest/meta_data.json" not in contents.tree.files:
            raise IndexError("no such file")
        return contents

    # The corpus has this file, but plain ISO9660 has it under other names.
    whole = [data for data in TARGETS[name].corpus() if _has_names(data)]
    monkeypatch.setattr(TARGETS[name], "corpus", lambda: whole)
    monkeypatch.setattr(image, "read", broken)

    assert "error" in kinds(fuzzed(TARGETS[name], 300))


def _has_names(data: bytes) -> bool:
    return "openstack/latest/meta_data.json" in image.read(data).tree.files


def test_an_image_that_is_rebuilt_into_another_one_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = corpus.image

    def forgetful(tree: Any, image_format: str) -> bytes:
        files = dict(list(tree.files.items())[1:])
        return build(type(tree)(files), image_format)

    monkeypatch.setattr(images.corpus, "image", forgetful)

    assert "violation" in kinds(fuzzed(TARGETS["vfat"], 200))


def test_findings_of_one_kind_are_counted_but_few_are_kept() -> None:
    result = fuzzed(Planted(lambda data: data[9999]), 20)

    assert result.findings == 20
    [found] = result.found.values()
    assert len(found) == 3
    assert b"whole" in {finding.data for finding in found}


def test_the_same_finding_is_kept_once() -> None:
    target = Planted(lambda data: data[9999])
    target.mutate = lambda *_: b"same"  # type: ignore[method-assign]
    result = fuzzed(target, 20)

    [found] = result.found.values()
    assert [finding.data for finding in found] == [b"whole", b"same"]


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_an_input_that_the_mutator_cannot_change_is_tried_as_it_is(
    error: type[Exception],
) -> None:
    def too_large(*_: object) -> NoReturn:
        raise error

    target = Planted(len)
    target.mutate = too_large  # type: ignore[method-assign]

    assert fuzzed(target, 3).accepted == 3


def test_inputs_do_not_grow_without_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(campaign, "_LARGEST_INPUT", 7)
    sizes: set[int] = set()
    bounds = campaign.Bounds(FOREVER.seconds, 50)
    campaign.fuzz(Planted(len), "1", bounds, lambda data: sizes.add(len(data)))

    assert sizes == {5, 6, 7}


def test_a_process_that_dies_is_found_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(data: bytes) -> str:
        scratch.driver()
        if len(data) > 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return "read"

    monkeypatch.setitem(TARGETS, "planted", Planted(die))
    monkeypatch.setitem(TARGETS, "other", Planted(len))
    before = {*scratch._parent().iterdir()}
    bounds = campaign.Bounds(60, 10)
    results = campaign.run(["planted", "other"], "1", bounds, 2)

    assert kinds(results["planted"]) == ["died"]
    [found] = results["planted"].found["died"][:1]
    assert len(found.data) == 6
    left = {*scratch._parent().iterdir()} - before
    assert not [path for path in left if path.name.startswith("cfgdrive-")]
    assert results["other"].inputs == 10
    assert results["other"].found == {}


def test_a_process_that_is_stuck_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # In C code, no signal handler of Python's runs.
    def stuck(_data: bytes) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])
        while True:
            signal.pause()

    monkeypatch.setattr(campaign, "SILENT", 1)
    monkeypatch.setitem(TARGETS, "planted", Planted(stuck))
    results = campaign.run(["planted"], "1", campaign.Bounds(2, 10), 1)

    assert kinds(results["planted"])[0] == "killed"


def test_a_saved_finding_is_found_again_until_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Planted(endless)
    monkeypatch.setitem(TARGETS, "planted", target)
    result = fuzzed(target, 1)
    [[finding]] = result.found.values()
    path = campaign.save(finding, "seed-1", tmp_path)

    assert path.read_bytes() == b"whole"
    assert "seed-1" in path.with_suffix(".txt").read_text()
    assert campaign.replay(path).state == watch.FINDING
    monkeypatch.setitem(TARGETS, "planted", Planted(refuse("damaged")))
    assert campaign.replay(path).state == watch.REFUSED


def test_the_program_runs_targets_and_replays_inputs(tmp_path: Path) -> None:
    done = _program("vfat", "instance", "--inputs", "30", "--jobs", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "seed" in done.stdout
    assert "30 inputs" in done.stdout

    path = tmp_path / "vfat-1.input"
    path.write_bytes(corpus.vfat()[0])
    done = _program("--replay", str(path))
    assert done.returncode == 0
    assert done.stdout.startswith("accepted: vfat")

    assert _program("nonsense").returncode == 2


def _program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "contrib" / "fuzz"), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize("module", [iso9660, vfat])
def test_structures_are_found_in_every_image_of_the_corpus(
    module: Any,
) -> None:
    some = {"iso9660": corpus.iso9660, "vfat": corpus.vfat}
    for data in some[module.__name__.rpartition(".")[2]]():
        changed = {
            module.mutate_structures(data, Random(number))
            for number in range(50)
        }
        assert len(changed) > 30


@pytest.mark.parametrize("name", ["iso9660", "vfat"])
def test_a_sealed_image_has_the_stamp_of_its_files(name: str) -> None:
    data = TARGETS[name].corpus()[0]
    whole = image.read(data)
    content = whole.tree.files["openstack/latest/user_data"]
    changed = data.replace(content, content[::-1])
    assert not image.read(changed).is_as_built

    assert image.read(images.seal(changed, Random(1))).is_as_built


def test_a_crowded_volume_is_whole() -> None:
    refused = 0
    for number in range(9):
        try:
            found = image.read(vfat.crowd(Random(number)))
        except ImageError as error:
            assert "more than 2,048 files" in str(error)  # noqa: PT017
            refused += 1
        else:
            assert len(found.tree) >= 64
    assert 0 < refused < 9


def test_documents_change_and_stay_documents() -> None:
    document = {"a": [1, {"b": "c"}], "d": None}
    changed = [
        documents.change(document, Random(number)) for number in range(200)
    ]

    assert document == {"a": [1, {"b": "c"}], "d": None}
    assert sum(one != document for one in changed) > 150
    coded = {documents.encode(one, Random(7)) for one in changed}
    assert len(coded) > 100


@pytest.mark.parametrize(
    "text", [SECRET, f"x{SECRET}x", "SGlkK2Rlbj1QYTU1LndvcmQ="]
)
def test_the_secret_is_recognized(text: str) -> None:
    assert secret_in(text)
    assert secret_in("nothing") is None


def test_a_hook_that_touches_another_instance_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def must_fetch(_driver: Any, _uuid: str, drive: Any) -> bool:
        # As if the place that the other host sent were believed.
        for path in Path(drive.location).parents[1].glob("*/disk.config"):
            path.unlink()
        return True

    monkeypatch.setattr(ConfigDriveDriver, "must_fetch", must_fetch)

    assert "violation" in kinds(fuzzed(TARGETS["notes"], 3))


def test_another_readers_other_bytes_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def others(_target: Any, data: bytes) -> dict[str, bytes]:
        found = image.read(data).tree.files
        return {path: content[::-1] for path, content in found.items()}

    monkeypatch.setattr(TARGETS["vfat"], "thorough", True)
    monkeypatch.setattr(images.Vfat, "_by_others", others)

    assert kinds(fuzzed(TARGETS["vfat"], 1)) == ["violation"]


@pytest.mark.parametrize(
    ("data", "is_leak"),
    [
        pytest.param(f"admin_pass: {SECRET}\nname: x\n", True, id="password"),
        pytest.param(f"name: {SECRET}\n", False, id="moved-to-a-name"),
        pytest.param(f"{SECRET}: 1\n", False, id="moved-to-a-key"),
        pytest.param(f"admin_pass: [{SECRET}\n", True, id="not-yaml"),
        pytest.param(
            f'{{"user_data": {{"base64": "{SECRET}"}}}}', True, id="nested"
        ),
    ],
)
def test_a_secret_that_a_mutation_moved_is_no_leak(
    data: str, is_leak: bool
) -> None:
    found = TARGETS["instance"].leak(f"not {SECRET}", data.encode())

    assert bool(found) == is_leak


def test_a_drive_that_becomes_large_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drive, "_BESIDE", -1_000_000)

    assert "violation" in kinds(fuzzed(TARGETS["drive"], 10))
