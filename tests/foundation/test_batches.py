"""Writing in bulk: nothing is lost on a stop, little in an outage, and one bad item costs only itself."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest
from django.db import DataError, OperationalError

from foundation import batches
from foundation.batches import AT_ONCE, Batches


class Sink:
    """Takes what is written, unless it is away or cannot take one of them."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.calls = 0
        self.is_away = False
        self.bad: set[int] = set()
        self.was_written = threading.Event()
        self.was_refused = threading.Event()

    def write(self, items: list[int]) -> None:
        self.calls += 1
        if self.is_away:
            self.was_refused.set()
            raise OperationalError
        if self.bad.intersection(items):
            raise DataError
        self.rows += items
        self.was_written.set()


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(batches, "_all", {})
    yield
    batches.stop_all()


def _batches(sink: Sink, **options: object) -> Batches[int]:
    usual: dict[str, object] = {"keeps": True, "at_once": True, "seconds": lambda: 3600.0}
    return Batches(str(uuid.uuid4()), sink.write, **(usual | options))  # type: ignore[arg-type]


def test_without_a_writer_each_item_is_written_as_it_comes(sink: Sink) -> None:
    rows = _batches(sink)
    rows.add(1)
    rows.add(2)
    assert (sink.rows, sink.calls, len(rows)) == ([1, 2], 2, 0)


def test_a_stop_writes_all_that_waits_in_few_statements(sink: Sink) -> None:
    rows = _batches(sink)
    batches.start_all()
    for number in range(1_000):
        rows.add(number)
    assert (len(rows), sink.rows) == (1_000, [])
    batches.stop_all()
    assert sorted(sink.rows) == [*range(1_000)]
    assert sink.calls == 1_000 // AT_ONCE


def test_what_comes_after_the_stop_is_written_at_once(sink: Sink) -> None:
    rows = _batches(sink)
    batches.start_all()
    batches.stop_all()
    rows.add(7)
    assert sink.rows == [7]


def test_many_threads_at_once_lose_nothing_and_double_nothing(sink: Sink) -> None:
    rows = _batches(sink, seconds=lambda: 0.001)
    batches.start_all()

    def add(first: int) -> None:
        for number in range(first, first + 500):
            rows.add(number)

    threads = [threading.Thread(target=add, args=(number * 500,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batches.stop_all()
    assert sorted(sink.rows) == [*range(4_000)]


def test_rows_outlast_an_outage(sink: Sink) -> None:
    rows = _batches(sink, seconds=lambda: 0.001)
    sink.is_away = True
    batches.start_all()
    for number in range(10):
        rows.add(number)
    assert sink.was_refused.wait(10)
    assert sink.rows == []
    sink.is_away = False
    assert sink.was_written.wait(10)
    batches.stop_all()
    assert sorted(sink.rows) == [*range(10)]
    assert rows.lost == 0


def test_what_does_not_keep_gives_up_in_an_outage(sink: Sink) -> None:
    rows = _batches(sink, keeps=False, at_once=False)
    sink.is_away = True
    rows.add(1)
    assert (rows.flush(), len(rows), rows.lost) == (0, 0, 1)


def test_too_many_in_an_outage_are_counted_and_the_oldest_go(sink: Sink) -> None:
    told: list[int] = []
    rows = _batches(sink, most=5, on_lost=told.append)
    sink.is_away = True
    batches.start_all()
    for number in range(8):
        rows.add(number)
    assert [*rows] == [3, 4, 5, 6, 7]
    assert (rows.lost, sum(told)) == (3, 3)
    # Else the writer would try for long to be rid of them when it is stopped.
    sink.is_away = False


def test_a_stop_in_an_outage_ends_in_time_and_says_what_is_lost(sink: Sink) -> None:
    rows = _batches(sink)
    sink.is_away = True
    batches.start_all()
    rows.add(1)
    batches.stop_all(within=0.3)
    assert rows.lost == 1


def test_a_bad_item_costs_only_itself(sink: Sink) -> None:
    rows = _batches(sink)
    batches.start_all()
    sink.bad = {3}
    for number in range(6):
        rows.add(number)
    batches.stop_all()
    assert sorted(sink.rows) == [0, 1, 2, 4, 5]
    assert rows.lost == 1


def test_an_outage_met_by_a_process_without_a_writer_keeps_the_item_for_the_next_one(sink: Sink) -> None:
    rows = _batches(sink)
    sink.is_away = True
    rows.add(1)
    sink.is_away = False
    rows.add(2)
    assert sorted(sink.rows) == [1, 2]
