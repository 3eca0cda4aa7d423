"""Calls by several threads: results in order, and not too many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cfgdrive_virt.store.ceph import ahead

#: Seconds; only a call that never comes takes as long.
PATIENCE = 30


def test_results_come_in_the_order_of_the_items() -> None:
    last = threading.Event()

    def act(number: int) -> int:
        # The first one ends last.
        if number == 0:
            assert last.wait(PATIENCE)
        if number == ahead.THREADS - 1:
            last.set()
        return number

    numbers = range(3 * ahead.THREADS)
    assert list(ahead.call(act, numbers)) == list(numbers)


def test_all_threads_work_at_once() -> None:
    together = threading.Barrier(ahead.THREADS)
    items = range(ahead.THREADS)
    found = list(ahead.call(lambda _: together.wait(PATIENCE), items))
    assert sorted(found) == list(items)


def test_no_item_is_taken_before_there_is_room_for_its_result() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = ahead.call(str, items())
    assert next(results) == "0"
    assert len(taken) == ahead.THREADS
    assert next(results) == "1"
    assert len(taken) == ahead.THREADS + 1


def test_an_error_comes_at_its_place_and_is_the_last() -> None:
    called: list[int] = []

    def act(number: int) -> int:
        called.append(number)
        if number == 2:
            raise ValueError(number)
        return number

    results = ahead.call(act, range(100))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="2"):
        next(results)
    assert len(called) <= 2 + ahead.THREADS
    assert list(results) == []


def test_who_stops_asking_stops_the_calls() -> None:
    called: list[int] = []
    results = ahead.call(called.append, range(100))
    next(results)
    results.close()
    assert len(called) <= ahead.THREADS


@pytest.mark.parametrize("number", [0, 1, ahead.THREADS - 1, ahead.THREADS])
def test_few_items_are_enough(number: int) -> None:
    items = list(range(number))
    assert list(ahead.call(int, items)) == items
