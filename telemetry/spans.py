"""Where the time of a request or a run went: spans, kept in memory and written in bulk.

    with trace(trace_id, task_id=task_id), span("task", "assistant") as current:
        current.set(steps=3)
    flush_spans()

Identifiers are W3C's (hexadecimal). Spans nest by context variable, so a thread that runs in a copy of the
context continues the same trace. Recording costs a few microseconds and never fails; `flush_spans` never
fails either.
"""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from foundation.batches import Batches
from telemetry.models import Span

# What is not flushed in time gives way to what is newer: telemetry must not eat the memory of what it
# watches.
MOST_PENDING = 10_000
NAME_LENGTH = Span._meta.get_field("name").max_length


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One ended span."""

    trace_id: str
    span_id: str
    parent_id: str
    task_id: uuid.UUID | None
    kind: str
    name: str
    status: str
    started_at: datetime
    duration_ms: float
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in which trace the running code is."""

    trace_id: str
    task_id: uuid.UUID | None
    span_id: str


def _write(records: list[SpanRecord]) -> None:
    Span.objects.bulk_create([_row(ended) for ended in records], ignore_conflicts=True)


_pending: Batches[SpanRecord] = Batches("spans", _write, most=MOST_PENDING)
_place: ContextVar[_Place | None] = ContextVar("mutirao_span", default=None)


def new_trace_id() -> str:
    """16 random bytes in hexadecimal."""
    return secrets.token_hex(16)


def new_span_id() -> str:
    """8 random bytes in hexadecimal."""
    return secrets.token_hex(8)


def request_span_id(trace_id: str, request_id: str) -> str:
    """The span of this request, computable wherever both are known: its tasks name it as their parent."""
    return _derived("request", trace_id, request_id)


def attempt_span_id(task_id: uuid.UUID, fence: int) -> str:
    """The span of this attempt, also for the process that finds it left behind."""
    return _derived("attempt", str(task_id), str(fence))


def _derived(*parts: str) -> str:
    return hashlib.blake2b("/".join(parts).encode(), digest_size=8).hexdigest()


def current_trace_id() -> str:
    """The running trace, or an empty string."""
    place = _place.get()
    return place.trace_id if place else ""


def current_span_id() -> str:
    """The innermost open span, or an empty string."""
    place = _place.get()
    return place.span_id if place else ""


@contextmanager
def trace(trace_id: str = "", *, task_id: uuid.UUID | None = None, parent_id: str = "") -> Iterator[str]:
    """Spans opened inside belong to this trace (a new one when no id is given). Gives the trace's id."""
    token = _place.set(_Place(trace_id or new_trace_id(), task_id, parent_id))
    try:
        yield current_trace_id()
    finally:
        _place.reset(token)


@dataclass(slots=True)
class OpenSpan:
    """A span that has begun. `end()` may be called in another thread than the one that began it."""

    place: _Place
    parent: _Place
    kind: str
    name: str
    attributes: dict[str, Any]
    started: float = field(default_factory=time.perf_counter)

    def set(self, **attributes: Any) -> None:
        """Adds attributes (JSON values)."""
        self.attributes.update(attributes)

    def end(self, *, error: BaseException | None = None, failed: bool = False) -> None:
        """Records the span; with an error it counts as failed. What was current before is current again."""
        if error is not None:
            self.attributes["error"] = type(error).__name__
            failed = True
        duration = time.perf_counter() - self.started
        record(
            SpanRecord(
                trace_id=self.place.trace_id,
                span_id=self.place.span_id,
                parent_id=self.parent.span_id,
                task_id=self.place.task_id,
                kind=self.kind,
                name=self.name,
                status=Span.Status.ERROR if failed else Span.Status.OK,
                started_at=datetime.now(UTC) - timedelta(seconds=duration),
                duration_ms=duration * 1000,
                attributes=self.attributes,
            )
        )
        if _place.get() is self.place:
            _place.set(self.parent)


def record(ended: SpanRecord) -> None:
    """Keeps a span that has ended until the next flush."""
    _pending.add(ended)


def open_span(
    kind: str, name: str, *, parent: OpenSpan | None = None, span_id: str = "", **attributes: Any
) -> OpenSpan | None:
    """Begins a span for code that has no `with` (callbacks), or gives None outside any trace. End it with
    `.end()`.

    Its parent is the innermost open span of this context, unless another one is given.
    """
    outer = parent.place if parent else _place.get()
    if outer is None:
        return None
    place = _Place(outer.trace_id, outer.task_id, span_id or new_span_id())
    _place.set(place)
    return OpenSpan(place, outer, kind, name, attributes)


@contextmanager
def span(kind: str, name: str, *, span_id: str = "", **attributes: Any) -> Iterator[OpenSpan]:
    """One timed piece of work; a kind of `Span.Kind`. Outside any trace it begins one of its own.

    An exception passes through and marks the span as failed.
    """
    opened = open_span(kind, name, span_id=span_id, **attributes)
    if opened is None:
        with trace(), span(kind, name, span_id=span_id, **attributes) as opened:
            yield opened
        return
    try:
        yield opened
    except BaseException as error:
        opened.end(error=error)
        raise
    opened.end()


def pending_spans() -> int:
    """How many ended spans wait to be written."""
    return len(_pending)


def flush_spans() -> int:
    """Writes all ended spans of this process; how many were written. Errors are logged only."""
    return _pending.flush()


def _row(ended: SpanRecord) -> Span:
    return Span(
        trace_id=ended.trace_id,
        span_id=ended.span_id,
        parent_id=ended.parent_id,
        task_id=ended.task_id,
        kind=ended.kind,
        name=ended.name.replace("\x00", "")[:NAME_LENGTH],
        status=ended.status,
        started_at=ended.started_at,
        duration_ms=ended.duration_ms,
        attributes=ended.attributes,
    )
