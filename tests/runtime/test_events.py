"""When events are written, and how many at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from agents.runtime.events import EventWriter
from agents.tasks.data import NewEvent
from agents.tasks.exceptions import LeaseLost


class Ledger:
    """Notes batches; holds a write back while its gate is closed, and fails when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[list[dict[str, Any]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.written = threading.Semaphore(0)
        self.error = error

    def append(self, events: Sequence[NewEvent]) -> None:
        self.gate.wait(10)
        if self.error:
            raise self.error
        self.batches.append([event.data for event in events])
        self.written.release()


def test_the_first_piece_of_a_message_does_not_wait_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.runtime.events.WAIT_SECONDS", 60)
    ledger = Ledger()
    writer = EventWriter(append=ledger.append)
    writer.add("message", {"text": "Hel"})

    assert ledger.written.acquire(timeout=10)
    writer.add("message", {"text": "lo"})
    assert ledger.batches == [[{"text": "Hel"}]]
    assert [event.data for event in writer.finish()] == [{"text": "lo"}]


def test_every_later_piece_is_written_soon_although_nothing_follows_it() -> None:
    ledger = Ledger()
    writer = EventWriter(append=ledger.append)
    for text in ("Hel", "lo", "!"):
        writer.add("message", {"text": text})
        assert ledger.written.acquire(timeout=10), "it was held back until the next event"
    assert ledger.batches == [[{"text": "Hel"}], [{"text": "lo"}], [{"text": "!"}]]
    assert writer.finish() == ()


def test_what_comes_while_a_write_is_under_way_is_written_together() -> None:
    ledger = Ledger()
    writer = EventWriter(append=ledger.append)
    ledger.gate.clear()
    writer.add("message", {"text": "a"})
    for kind, data in (("message", {"text": "b"}), ("message", {"text": "c"}), ("step", {"node": "n"})):
        writer.add(kind, data)
    ledger.gate.set()
    assert ledger.written.acquire(timeout=10)
    left = [event.data for event in writer.finish()]

    told = [data for batch in ledger.batches for data in batch] + left
    assert "".join(data.get("text", "") for data in told) == "abc"
    assert told[-1] == {"node": "n"}
    assert len(ledger.batches) <= 2


def test_an_event_is_written_though_nothing_follows_it() -> None:
    ledger = Ledger()
    writer = EventWriter(append=ledger.append)
    writer.add("step", {"node": "slow"})

    assert ledger.written.acquire(timeout=10)
    assert writer.finish() == ()


def test_a_short_run_writes_nothing_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.runtime.events.WAIT_SECONDS", 60)
    ledger = Ledger()
    writer = EventWriter(append=ledger.append)
    writer.add("step", {"node": "only"})

    assert [event.data for event in writer.finish()] == [{"node": "only"}]
    assert ledger.batches == []


def test_many_waiting_events_do_not_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.runtime.events.WAIT_SECONDS", 60)
    ledger = Ledger()
    writer = EventWriter(append=ledger.append)
    for number in range(40):
        writer.add("step", {"node": str(number)})

    assert ledger.written.acquire(timeout=10)
    assert len(ledger.batches[0]) == 40
    writer.finish()


def test_nul_and_what_json_has_no_word_for_are_taken_out() -> None:
    writer = EventWriter(append=Ledger().append)
    writer.add("custom", {"data": {"a\x00": float("nan"), "b": {1}, "c": "x\ud800"}})

    assert [event.data for event in writer.finish()] == [{"data": {"a": None, "b": [1], "c": "x"}}]


def test_a_lost_lease_is_told_at_once_and_raised_by_the_next_call() -> None:
    told: list[Exception] = []
    heard = threading.Event()

    def on_failure(error: Exception) -> None:
        told.append(error)
        heard.set()

    writer = EventWriter(append=Ledger(LeaseLost()).append, on_failure=on_failure)
    writer.add("message", {"text": "a"})

    assert heard.wait(10)
    assert isinstance(told[0], LeaseLost)
    with pytest.raises(LeaseLost):
        writer.add("message", {"text": "b"})
    with pytest.raises(LeaseLost):
        writer.finish()


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    writer = EventWriter(append=Ledger().append)
    writer.add("step", {"node": "n"})
    writer.finish()

    assert threading.active_count() == before
