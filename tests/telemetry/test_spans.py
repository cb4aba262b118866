"""Where the time went, and that recording it never hurts."""

from __future__ import annotations

import contextvars
import threading
import uuid
from collections.abc import Iterator

import pytest
from django.db import OperationalError

from telemetry import spans
from telemetry.models import Span
from telemetry.spans import (
    current_span_id,
    current_trace_id,
    flush_spans,
    open_span,
    pending_spans,
    span,
    trace,
)


@pytest.fixture(autouse=True)
def _nothing_pending() -> Iterator[None]:
    spans._pending.clear()
    yield
    spans._pending.clear()


@pytest.mark.django_db
class TestWritten:
    def test_spans_are_written_in_one_statement_with_their_places_in_the_trace(
        self, django_assert_num_queries: object
    ) -> None:
        task_id = uuid.uuid4()
        with trace("a" * 32, task_id=task_id), span("task", "assistant") as outer:
            outer.set(steps=1)
            with span("step", "model"):
                pass

        with django_assert_num_queries(1):  # type: ignore[operator]
            assert flush_spans() == 2

        task, step = Span.objects.get(kind="task"), Span.objects.get(kind="step")
        assert (step.parent_id, task.parent_id) == (task.span_id, "")
        assert {task.trace_id, step.trace_id} == {"a" * 32}
        assert {task.task_id, step.task_id} == {task_id}
        assert task.attributes == {"steps": 1}
        assert task.duration_ms >= step.duration_ms >= 0

    def test_a_span_of_a_failure_says_so_and_lets_it_through(self) -> None:
        with pytest.raises(KeyError), span("tool", "look up"):
            raise KeyError
        flush_spans()

        failed = Span.objects.get()
        assert (failed.status, failed.attributes) == ("error", {"error": "KeyError"})

    def test_a_name_fits_whatever_it_is(self) -> None:
        with span("tool", "x\x00" * 1_000):
            pass

        assert flush_spans() == 1
        assert len(Span.objects.get().name) == 200

    def test_nothing_pending_costs_nothing(self, django_assert_num_queries: object) -> None:
        with django_assert_num_queries(0):  # type: ignore[operator]
            assert flush_spans() == 0


def test_a_database_that_is_away_is_no_ones_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OperationalError

    monkeypatch.setattr(Span.objects, "bulk_create", refuse)
    with span("task", "a"):
        pass

    assert flush_spans() == 0
    assert pending_spans() == 0


def test_what_nobody_flushes_gives_way_to_what_is_newer() -> None:
    for _ in range(spans.MOST_PENDING + 10):
        with span("step", "a"):
            pass

    assert pending_spans() == spans.MOST_PENDING


def test_the_current_span_is_the_innermost_and_ends_with_it() -> None:
    assert current_trace_id() == current_span_id() == ""
    with trace() as trace_id, span("task", "a"):
        outer = current_span_id()
        with span("step", "b"):
            assert current_span_id() not in {"", outer}
        assert current_span_id() == outer
        assert current_trace_id() == trace_id
    assert current_trace_id() == current_span_id() == ""


def test_a_thread_in_a_copy_of_the_context_goes_on_in_the_same_trace() -> None:
    seen: list[str] = []
    with trace("b" * 32):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: seen.append(current_trace_id()),))
        thread.start()
        thread.join()

    assert seen == ["b" * 32]


def test_code_without_a_trace_opens_no_span_by_callback() -> None:
    assert open_span("model", "m") is None


def test_an_opened_span_may_have_another_parent_than_the_current_one() -> None:
    with trace("c" * 32):
        first = open_span("step", "first")
        assert first is not None
        second = open_span("step", "second")
        third = open_span("tool", "third", parent=first)
        assert second is not None
        assert third is not None
        for opened in (third, second, first):
            opened.end()

    records = {record.name: record for record in spans._pending}
    assert records["third"].parent_id == records["first"].span_id
